/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/app.h"

#include "common/err.h"
#include "common/log.h"
#include "common/mem.h"
#include "proxy/gate.h"
#include "proxy/net/dns.h"
#include "proxy/net/sessions.h"
#include "proxy/tunnel.h"

#include <stdlib.h>

#define CRL_EVERY_MS ((uint64_t)12 * 3600 * 1000) /* it is good for a week */
#define CRL_RETRY_MS ((uint64_t)10 * 1000)

static struct dns_conf dns_conf_of(const struct conf *c)
{
    return (struct dns_conf){.servers = c->origin.dns_servers.text.ptr,
                             .timeout_ms = (unsigned)c->origin.timeouts.dns};
}

static void on_crl_timer(struct timer *t)
{
    struct app *app = CONTAINER_OF(t, struct app, crl_timer);
    timer_set(&app->worker.timers, &app->crl_timer, CRL_RETRY_MS, on_crl_timer);
    leaves_ask_crl(app->leaves);
}

static void on_crl(void *ctx, struct str der)
{
    struct app *app = ctx;
    if (der.len > 0) {
        buf_clear(&app->crl);
        buf_str(&app->crl, der);
        timer_clear(&app->crl_timer);
        timer_set(&app->worker.timers, &app->crl_timer, CRL_EVERY_MS, on_crl_timer);
    }
}

static struct hold *new_hold(struct app *app, struct snapshot *s)
{
    struct hold *h = xnew(struct hold);
    *h = (struct hold){.snapshot = s, .app = app, .refs = 1};
    h->tls = server_tls_new(app->leaves, app->tickets);
    return h;
}

static int open_doors(struct app *app, const struct app_conf *conf)
{
    app->doors = xcalloc(conf->listeners, sizeof(*app->doors));
    for (unsigned i = 0; i < conf->listeners; i++) {
        struct door *door = &app->doors[i];
        door->app = app;
        door->index = i;
        int err =
            listen_start(&door->listener, &app->worker, conf->listener[i], gate_accepted, door);
        if (err != 0) {
            return err;
        }
        app->door_count++;
    }
    return 0;
}

int app_init(struct app *app, const struct app_conf *conf)
{
    *app = (struct app){.index = conf->index,
                        .tickets = conf->tickets,
                        .access_log = conf->access_log,
                        .block_log = conf->block_log};
    list_init(&app->clients);
    struct worker *w = &app->worker;
    int err = worker_init(w, conf->index);
    if (err != 0) {
        return err;
    }
    const struct conf *c = conf->snapshot->conf;
    const struct dns_conf dns = dns_conf_of(c);
    const struct leaves_conf leaves = {.fd = conf->channel,
                                       .ca = conf->snapshot->ca,
                                       .key = conf->leafkey,
                                       .on_crl = on_crl,
                                       .ctx = app};
    w->sessions = sessions_new();
    app->pool = pool_new(w);
    err = dns_new(w, &dns, &w->dns);
    if (err == 0) {
        err = auth_port_open(conf->auth, w, &app->auth);
    }
    if (err == 0) {
        err = leaves_new(w, &leaves, &app->leaves);
    }
    if (err == 0) {
        app->hold = new_hold(app, snapshot_ref(conf->snapshot));
        on_crl_timer(&app->crl_timer);
        err = open_doors(app, conf);
    }
    return err;
}

/* Tunnels that would be opened today are closed: their browser comes again, and is inspected. */
static void close_tunnels(struct app *app)
{
    LIST_EACH_SAFE (it, &app->clients) {
        struct client *c = LIST_OF(it, struct client, link);
        if (c->stage == STAGE_TUNNEL && tunnel_must_end(c->tunnel, app->hold->snapshot)) {
            client_close(c);
        }
    }
}

/* A password that was changed ends what was opened with the old one. */
static void end_logins(struct app *app)
{
    LIST_EACH_SAFE (it, &app->clients) {
        struct client *c = LIST_OF(it, struct client, link);
        if (c->stage == STAGE_OUTER || client_login_stands(c)) {
            continue; /* there each request brings its login */
        }
        client_log_out(c);
        if (c->stage == STAGE_INNER) {
            c->http->drain(c->http); /* the request under way has been judged */
        } else {
            client_close(c);
        }
    }
}

void app_publish(struct app *app, struct snapshot *s)
{
    struct hold *old = app->hold;
    const struct snapshot *before = old->snapshot;
    bool new_ca = X509_cmp(before->ca->issuing, s->ca->issuing) != 0 ||
                  X509_cmp(before->ca->root, s->ca->root) != 0;
    /* What else stands in a leaf. */
    bool new_leaves = new_ca || before->conf->certs.leaf_life != s->conf->certs.leaf_life ||
                      !str_eq(before->conf->proxy.public_url.text, s->conf->proxy.public_url.text);
    bool new_dns =
        !str_eq(before->conf->origin.dns_servers.text, s->conf->origin.dns_servers.text) ||
        before->conf->origin.timeouts.dns != s->conf->origin.timeouts.dns;
    if (new_leaves) {
        leaves_set_ca(app->leaves, s->ca);
    }
    if (new_ca) {
        buf_clear(&app->crl);
        timer_clear(&app->crl_timer);
        on_crl_timer(&app->crl_timer);
    }
    app->hold = new_hold(app, s);
    if (new_dns) {
        const struct dns_conf dns = dns_conf_of(s->conf);
        dns_configure(app->worker.dns, &dns);
    }
    pool_retire(app->pool, s->egress);
    close_tunnels(app);
    end_logins(app);
    hold_unref(old);
}

void app_drain(struct app *app)
{
    if (app->draining) {
        return;
    }
    app->draining = true;
    for (size_t i = 0; i < app->door_count; i++) {
        listen_drain(&app->doors[i].listener);
    }
    LIST_EACH_SAFE (it, &app->clients) {
        struct client *c = LIST_OF(it, struct client, link);
        if (c->stage == STAGE_OUTER || c->stage == STAGE_INNER) {
            c->http->drain(c->http);
        }
    }
}

void app_close_clients(struct app *app)
{
    LIST_EACH_SAFE (it, &app->clients) {
        client_close(LIST_OF(it, struct client, link));
    }
    worker_end_lingering(&app->worker);
}

void app_close(struct app *app)
{
    app_drain(app);
    app_close_clients(app);
    worker_drain(&app->worker);
    pool_free(app->pool);
    timer_clear(&app->crl_timer);
    worker_drain(&app->worker);
    /* Connections that are closing still hold their TLS layers, which know the cache: let them go
     * first. */
    while (app->worker.conns > 0) {
        (void)uv_run(&app->worker.loop, UV_RUN_ONCE);
    }
    hold_unref(app->hold);
    leaves_free(app->leaves);
    dns_free(app->worker.dns);
    auth_port_close(app->auth);
    worker_close(&app->worker);
    sessions_free(app->worker.sessions);
    buf_free(&app->crl);
    buf_free(&app->line);
    free(app->doors);
}
