/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/net/leaves.h"

#include "common/err.h"
#include "common/log.h"
#include "common/mem.h"
#include "proxy/net/tls_server.h"

#include <stdlib.h>
#include <time.h>

struct leaves {
    struct worker *worker;
    struct leaves_conf conf;
    struct mint *mint;
    struct leafcache *cache;
    struct timer timer; /* while the signer owes answers */
    uv_poll_t poll;
};

static void on_timer(struct timer *t);

/* The mint says itself when it next wants to be looked at. */
static void arm(struct leaves *l)
{
    uint64_t next = mint_next_ms(l->mint), now = worker_now_ms(l->worker);
    if (next != UINT64_MAX && !timer_is_set(&l->timer)) {
        timer_set(&l->worker->timers, &l->timer, next > now ? next - now : 0, on_timer);
    }
}

static void on_timer(struct timer *t)
{
    struct leaves *l = CONTAINER_OF(t, struct leaves, timer);
    mint_tick(l->mint, worker_now_ms(l->worker));
    arm(l);
}

static void on_done(void *arg, const struct mint_done *done)
{
    struct leaves *l = arg;
    if (done->name.len == 0) {
        l->conf.on_crl(l->conf.ctx, done->err == 0 ? done->crl : STR_NONE);
        return;
    }
    if (done->err == 0) {
        leafcache_put(l->cache, done->name, done->leaf, time(NULL));
    } else {
        log_warn("no leaf from the signer", L_STR("host", done->name),
                 L_Z("reason", err_str(done->err)));
    }
    if (done->ctx != NULL) {
        tls_leaf_arrived(done->ctx, done->err);
    }
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct leaves *l = poll->data;
    (void)events;
    int err = status < 0 ? status : mint_on_readable(l->mint, worker_now_ms(l->worker));
    if (err != 0) {
        log_error("the channel to the signer is broken", L_Z("reason", err_str(err)));
        (void)uv_poll_stop(poll);
    }
    arm(l);
    worker_drain(l->worker);
}

int leaves_new(struct worker *w, const struct leaves_conf *conf, struct leaves **out)
{
    struct leaves *l = xnew(struct leaves);
    l->worker = w;
    l->conf = *conf;
    l->conf.ca = ca_ref(conf->ca);
    l->poll.data = l;
    int err = uv_poll_init(&w->loop, &l->poll, conf->fd);
    if (err != 0) {
        ca_unref(l->conf.ca);
        free(l);
        return err;
    }
    /* How long leaves live is the signer's to say: it reads the configuration itself. */
    const struct mint_conf mint = {
        .fd = conf->fd, .ca = conf->ca, .key = conf->key, .on_done = on_done, .arg = l};
    l->mint = mint_new(&mint);
    const struct leafcache_conf cache = {.mint = l->mint, .key = conf->key};
    l->cache = leafcache_new(&cache);
    err = uv_poll_start(&l->poll, UV_READABLE, on_readable);
    if (err != 0) {
        leaves_free(l);
        return err;
    }
    *out = l;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void leaves_free(struct leaves *l)
{
    timer_clear(&l->timer);
    leafcache_free(l->cache);
    mint_free(l->mint);
    ca_unref(l->conf.ca);
    uv_close((uv_handle_t *)&l->poll, on_closed);
}

int leaves_get(struct leaves *l, struct str name, struct tls *waiter, struct leaf *out,
               STACK_OF(X509) * *chain)
{
    *chain = l->conf.ca->chain;
    int err = leafcache_get(l->cache, name, time(NULL), worker_now_ms(l->worker), waiter, out);
    arm(l);
    return err;
}

void leaves_cancel(struct leaves *l, struct tls *waiter)
{
    mint_cancel(l->mint, waiter);
}

void leaves_ask_crl(struct leaves *l)
{
    int err = mint_request_crl(l->mint, NULL, worker_now_ms(l->worker));
    if (err != 0) {
        log_warn("cannot ask the signer for its revocation list", L_Z("reason", err_str(err)));
    }
    arm(l);
}

void leaves_set_ca(struct leaves *l, struct ca *ca)
{
    ca_ref(ca);
    ca_unref(l->conf.ca);
    l->conf.ca = ca;
    leafcache_clear(l->cache);
    mint_set_ca(l->mint, ca, worker_now_ms(l->worker));
    arm(l);
}
