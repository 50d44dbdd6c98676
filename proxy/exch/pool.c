/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/exch/pool.h"

#include "common/err.h"
#include "common/hash.h"
#include "common/mem.h"
#include "proxy/exch/origin.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    BUCKETS = 256,
    HOSTS_KEPT = 512,
    STREAMS_EACH = 100 /* as many as origins commonly let have */
};

#define H1_ASKED_MS ((uint64_t)10 * 60 * 1000)

/* What an origin speaks, as it was last seen. */
enum protocol {
    PROTO_UNKNOWN,
    PROTO_H1,
    PROTO_H2
};

/* All about one origin under one egress. */
struct pool_host {
    struct list link; /* in its bucket */
    struct pool *pool;
    struct egress *egress;
    char *name;
    size_t len;
    unsigned port;
    bool tls, private_ok;
    struct list idle; /* struct origin, last used first */
    struct list busy;
    struct list shared; /* HTTP/2 */
    struct list making; /* DIALING, SECURING */
    struct list waits;
    unsigned idle_count, busy_count, shared_count, making_count;
    unsigned making_h1;   /* of those on the way, HTTP/1.1 only */
    unsigned streams;     /* that its HTTP/2 connections let have at once, as the last one said */
    uint64_t fact_ms;     /* when it last verified; 0: never */
    enum protocol proto;  /* what it spoke then */
    uint64_t h1_until_ms; /* it has asked for HTTP/1.1: not HTTP/2 before this */
};

struct pool {
    struct worker *worker;
    struct list bucket[BUCKETS];
    unsigned hosts;
    uint64_t serial; /* of the newest connection */
    unsigned owned;  /* connections that belong to one client */
    struct pool_stats stats;
};

struct egress *egress_ref(struct egress *e)
{
    atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
    return e;
}

void egress_unref(struct egress *e)
{
    if (e != NULL && atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) == 1) {
        e->free(e);
    }
}

struct pool *pool_new(struct worker *w)
{
    struct pool *p = xnew(struct pool);
    p->worker = w;
    for (unsigned i = 0; i < BUCKETS; i++) {
        list_init(&p->bucket[i]);
    }
    return p;
}

static bool is_empty(const struct pool_host *h)
{
    return h->idle_count + h->busy_count + h->shared_count + h->making_count == 0 &&
           list_is_empty(&h->waits);
}

static bool is_full(const struct pool_host *h)
{
    return h->making_count + h->busy_count + h->shared_count + h->idle_count >=
           h->egress->conns_max;
}

static void drop_host(struct pool_host *h)
{
    list_drop(&h->link);
    h->pool->hosts--;
    egress_unref(h->egress);
    free(h->name);
    free(h);
}

/* Facts about origins without connections are kept for a while, but not without end. */
static void sweep(struct pool *p)
{
    uint64_t now = worker_now_ms(p->worker);
    for (unsigned i = 0; i < BUCKETS; i++) {
        LIST_EACH_SAFE (it, &p->bucket[i]) {
            struct pool_host *h = LIST_OF(it, struct pool_host, link);
            if (is_empty(h) && (p->hosts > HOSTS_KEPT || now - h->fact_ms > POOL_FACT_MS)) {
                drop_host(h);
            }
        }
    }
}

static struct pool_host *host_for(struct pool *p, const struct origin_key *key)
{
    struct list *bucket = &p->bucket[(hash_str(key->host) + key->port) % BUCKETS];
    LIST_EACH (it, bucket) {
        struct pool_host *h = LIST_OF(it, struct pool_host, link);
        if (h->egress == key->egress && h->port == key->port && h->tls == key->tls &&
            h->private_ok == key->private_ok && str_eq(str_of(h->name, h->len), key->host)) {
            return h;
        }
    }
    if (p->hosts >= HOSTS_KEPT) {
        sweep(p);
    }
    struct pool_host *h = xnew(struct pool_host);
    h->pool = p;
    h->egress = egress_ref(key->egress);
    h->name = xstrndup(key->host.ptr, key->host.len);
    h->len = key->host.len;
    h->port = key->port;
    h->tls = key->tls;
    h->private_ok = key->private_ok;
    h->streams = STREAMS_EACH;
    list_init(&h->idle);
    list_init(&h->busy);
    list_init(&h->shared);
    list_init(&h->making);
    list_init(&h->waits);
    list_append(bucket, &h->link);
    p->hosts++;
    return h;
}

/* Origins. */

static void bury_origin(struct grave *g)
{
    struct origin *o = CONTAINER_OF(g, struct origin, grave);
    h1_free(&o->parser);
    h2_free(o->h2);
    egress_unref(o->egress);
    free(o);
}

static unsigned *count_of(struct origin *o)
{
    struct pool_host *h = o->host;
    switch (o->state) {
    case ORIGIN_IDLE:
        return &h->idle_count;
    case ORIGIN_BUSY:
        return &h->busy_count;
    case ORIGIN_SHARED:
        return &h->shared_count;
    case ORIGIN_DIALING:
    case ORIGIN_SECURING:
    case ORIGIN_CLOSED:
        break;
    }
    return &h->making_count;
}

/* The only place that changes a state: state and list go together. */
static void change_state(struct origin *o, enum origin_state to)
{
    struct pool_host *h = o->host;
    --*count_of(o);
    list_drop(&o->link);
    o->state = to;
    if (to == ORIGIN_CLOSED) {
        return;
    }
    ++*count_of(o);
    struct list *list = to == ORIGIN_IDLE     ? &h->idle
                        : to == ORIGIN_BUSY   ? &h->busy
                        : to == ORIGIN_SHARED ? &h->shared
                                              : &h->making;
    list_prepend(list, &o->link);
}

static void start_needed(struct pool_host *h);

static bool is_making(const struct origin *o)
{
    return o->state == ORIGIN_DIALING || o->state == ORIGIN_SECURING;
}

/* Who was to get a stream waits again, as the next. */
static void take_back(struct pool_wait *wait)
{
    wait->origin->given_count--;
    wait->origin = NULL;
    worker_not_ready(&wait->now);
    list_drop(&wait->link);
    list_prepend(&wait->host->waits, &wait->link);
}

static void close_origin(struct origin *o)
{
    struct pool_host *h = o->host;
    if (o->state == ORIGIN_CLOSED) {
        return;
    }
    if (o->dial != NULL) {
        dial_cancel(o->dial);
        o->dial = NULL;
    }
    if (o->conn != NULL) {
        conn_close(o->conn);
        o->conn = NULL;
    }
    while (o->h2 != NULL && !list_is_empty(&o->given)) {
        take_back(LIST_OF(o->given.prev, struct pool_wait, link));
    }
    worker_not_ready(&o->ready);
    if (o->h2 != NULL) {
        assert(list_is_empty(&o->calls));
        h2_abandon(o->h2); /* this may be inside one of its calls */
    }
    if (o->promised != NULL) { /* found dead before its taker had it: he is the next again */
        struct pool_wait *wait = o->promised;
        o->promised = NULL;
        wait->origin = NULL;
        worker_not_ready(&wait->now);
        list_prepend(&h->waits, &wait->link);
    }
    h->pool->owned -= o->client != 0;
    h->making_h1 -= is_making(o) && o->h1_only;
    change_state(o, ORIGIN_CLOSED);
    worker_bury(h->pool->worker, &o->grave, bury_origin);
    start_needed(h);
}

static bool is_stale(const struct origin *o)
{
    return worker_now_ms(o->host->pool->worker) - o->born_ms > o->egress->max_age_ms;
}

/* What an idle connection may not do is send. */
static void on_idle_data(struct conn *c, const uint8_t *p, size_t len)
{
    (void)p;
    (void)len;
    close_origin(c->owner);
}

static void on_idle_eof(struct conn *c)
{
    close_origin(c->owner);
}

static void on_idle_failed(struct conn *c, int err)
{
    (void)err;
    close_origin(c->owner);
}

static const struct conn_ops idle_ops = {
    .data = on_idle_data, .eof = on_idle_eof, .failed = on_idle_failed};

static void on_idle_too_long(struct timer *t)
{
    close_origin(CONTAINER_OF(t, struct conn, timer)->owner);
}

static void on_wait_served(struct ready *r);

static void serve(struct pool_wait *wait, struct origin *o, int err, const char *detail)
{
    list_drop(&wait->link);
    wait->origin = o;
    wait->err = err;
    if (err != 0) {
        snprintf(wait->detail, sizeof(wait->detail), "%s", detail);
    }
    worker_ready(wait->host->pool->worker, &wait->now, on_wait_served);
}

void origin_claim(struct origin *o, uint64_t client)
{
    o->host->pool->owned += o->client == 0;
    o->client = client;
}

static void give(struct origin *o, struct pool_wait *wait)
{
    timer_clear(&o->conn->timer);
    change_state(o, ORIGIN_BUSY);
    o->promised = wait;
    if (wait->bound_login) {
        origin_claim(o, wait->client);
    }
    serve(wait, o, 0, NULL);
}

/* ---- HTTP/2: one connection for many ---- */

static bool may_share(const struct origin *o, const struct pool_wait *wait)
{
    return !wait->h1_only && (o->client == 0 || o->client == wait->client) &&
           !(wait->fresh && o->serial <= wait->serial) && origin_h2_free(o) > o->given_count;
}

static void give_stream(struct origin *o, struct pool_wait *wait)
{
    timer_clear(&o->conn->timer);
    if (o->client == 0 && tls_asked_certificate(o->conn->top)) {
        origin_claim(o, wait->client);
    }
    serve(wait, o, 0, NULL);
    list_append(&o->given, &wait->link);
    o->given_count++;
}

/* Streams find their next users; a connection without any rests, or goes when it is of no more
 * use. */
static void offer_streams(struct origin *o)
{
    struct pool_host *h = o->host;
    if (is_stale(o) || o->conn->eof || o->conn->error != 0) {
        o->leaving = true;
    }
    LIST_EACH_SAFE (it, &h->waits) {
        struct pool_wait *wait = LIST_OF(it, struct pool_wait, link);
        if (wait->exch == NULL) {
            serve(wait, NULL, 0, NULL);
        } else if (may_share(o, wait)) {
            give_stream(o, wait);
        }
    }
    if (!list_is_empty(&o->calls) || o->given_count > 0) {
        return;
    }
    o->old = true;
    if (o->leaving) {
        close_origin(o);
    } else if (!timer_is_set(&o->conn->timer)) {
        timer_set(&h->pool->worker->timers, &o->conn->timer, o->egress->idle_ms, on_idle_too_long);
    }
}

static struct origin *find_shared(struct pool_host *h, const struct pool_wait *wait)
{
    LIST_EACH_SAFE (it, &h->shared) {
        struct origin *o = LIST_OF(it, struct origin, link);
        if (is_stale(o) && !o->leaving) {
            offer_streams(o);
        } else if (may_share(o, wait)) {
            return o;
        }
    }
    return NULL;
}

void origin_freed(struct origin *o)
{
    if (o->state == ORIGIN_SHARED && !o->conn->closed) {
        o->host->streams = h2_most(o->h2);
        offer_streams(o);
    }
}

void origin_lost(struct origin *o)
{
    close_origin(o);
}

void origin_speaks_h1_only(struct origin *o)
{
    struct pool_host *h = o->host;
    h->h1_until_ms = worker_now_ms(h->pool->worker) + H1_ASKED_MS;
    h->proto = PROTO_H1;
    o->leaving = true;
}

/* May `wait` have `o`, which is free? */
static bool may_have(const struct origin *o, const struct pool_wait *wait)
{
    return (o->client == 0 || o->client == wait->client) && !(wait->fresh && o->old);
}

/* A free connection finds its next user, or rests. */
static void offer(struct origin *o)
{
    struct pool_host *h = o->host;
    conn_own(o->conn, &idle_ops, o); /* what still comes in this turn is nobody's */
    LIST_EACH_SAFE (it, &h->waits) {
        struct pool_wait *wait = LIST_OF(it, struct pool_wait, link);
        if (wait->exch == NULL) {
            serve(wait, NULL, 0, NULL);
        } else if (may_have(o, wait)) {
            give(o, wait);
            return;
        }
    }
    if (!list_is_empty(&h->waits) && is_full(h)) { /* nobody who waits may have it: it makes room */
        close_origin(o);
        return;
    }
    if (h->idle_count >= o->egress->idle_max) { /* the longest unused one makes room */
        struct origin *oldest = h->idle_count > 0 ? LIST_OF(h->idle.prev, struct origin, link) : o;
        if (oldest != o) {
            close_origin(oldest);
        }
    }
    change_state(o, ORIGIN_IDLE);
    o->old = true;
    timer_set(&h->pool->worker->timers, &o->conn->timer, o->egress->idle_ms, on_idle_too_long);
    conn_go_on(o->conn, PAUSE_NO_ROOM);
}

static void on_made(struct origin *o)
{
    struct pool_host *h = o->host;
    h->fact_ms = worker_now_ms(h->pool->worker);
    o->born_ms = h->fact_ms;
    o->serial = ++h->pool->serial;
    h->making_h1 -= o->h1_only;
    timer_clear(&o->conn->timer);
    bool h2 = h->tls && str_eq(tls_alpn(o->conn->top), STR("h2"));
    if (!o->h1_only) {
        h->proto = h2 ? PROTO_H2 : PROTO_H1;
    }
    if (h2) {
        list_init(&o->given);
        change_state(o, ORIGIN_SHARED);
        origin_h2_start(o, MAX(h->streams, 1U));
        offer_streams(o);
    } else {
        offer(o);
    }
    start_needed(h); /* those that were counted on the other protocol */
}

/* The one who has waited longest hears of it; so do all who only wanted to know. */
static void on_not_made(struct origin *o, int err, const char *detail)
{
    struct pool_host *h = o->host;
    bool told = false;
    h->pool->stats.failures++;
    h->fact_ms = 0;
    LIST_EACH_SAFE (it, &h->waits) {
        struct pool_wait *wait = LIST_OF(it, struct pool_wait, link);
        bool counts_on_it = !o->h1_only && h->proto != PROTO_H1 && !wait->h1_only;
        if (wait->exch == NULL || counts_on_it || !told) {
            told |= wait->exch != NULL;
            serve(wait, NULL, err, detail);
        }
    }
    close_origin(o);
}

static void on_securing_data(struct conn *c, const uint8_t *p, size_t len)
{
    (void)p;
    (void)len;
    on_not_made(c->owner, ERR_PROTOCOL, "the origin spoke before it was asked");
}

static void on_securing_eof(struct conn *c)
{
    on_not_made(c->owner, ERR_EOF, "the origin closed the connection during the TLS handshake");
}

static void on_securing_failed(struct conn *c, int err)
{
    on_not_made(c->owner, err, err_str(err));
}

static void on_secured(struct conn *c, int err)
{
    struct origin *o = c->owner;
    if (err != 0) {
        on_not_made(o, err, c->top->detail);
    } else {
        on_made(o);
    }
}

static const struct conn_ops securing_ops = {.data = on_securing_data,
                                             .eof = on_securing_eof,
                                             .failed = on_securing_failed,
                                             .secured = on_secured};

static void on_secure_timeout(struct timer *t)
{
    struct origin *o = CONTAINER_OF(t, struct conn, timer)->owner;
    on_not_made(o, ERR_TIMEOUT, "the origin did not finish the TLS handshake in time");
}

static void on_dialed(void *ctx, const struct dial_result *result)
{
    struct origin *o = ctx;
    struct pool_host *h = o->host;
    o->dial = NULL;
    if (result->err != 0) {
        on_not_made(o, result->err, result->detail);
        return;
    }
    o->conn = result->conn;
    if (!h->tls) {
        conn_own(o->conn, &idle_ops, o);
        conn_read(o->conn);
        on_made(o);
        return;
    }
    change_state(o, ORIGIN_SECURING);
    conn_own(o->conn, &securing_ops, o);
    int err = tls_connect(o->conn, h->egress->tls, str_of(h->name, h->len),
                          o->h1_only ? ALPN_H1 : ALPN_H2_H1);
    if (err != 0) {
        on_not_made(o, err, err_str(err));
        return;
    }
    timer_set(&h->pool->worker->timers, &o->conn->timer, h->egress->secure_ms, on_secure_timeout);
    conn_read(o->conn);
}

static void make(struct pool_host *h, bool h1_only)
{
    struct origin *o = xnew(struct origin);
    o->h1_only = h1_only;
    h->making_h1 += h1_only;
    o->host = h;
    o->egress = egress_ref(h->egress);
    o->state = ORIGIN_DIALING;
    list_append(&h->making, &o->link);
    h->making_count++;
    h->pool->stats.connects++;
    o->dial = dial_start(h->pool->worker, &h->egress->dial, str_of(h->name, h->len), h->port,
                         h->private_ok, on_dialed, o);
}

/* How many connections the exchanges that wait need, by HTTP/1.1 and as it comes. */
static void count_needed(const struct pool_host *h, unsigned *h1, unsigned *any)
{
    unsigned streams = 0;
    bool facts = false;
    *h1 = *any = 0;
    LIST_EACH (it, &h->waits) {
        const struct pool_wait *wait = LIST_OF(it, struct pool_wait, link);
        *h1 += wait->exch != NULL && wait->h1_only;
        streams += wait->exch != NULL && !wait->h1_only;
        facts |= wait->exch == NULL;
    }
    if (h->proto == PROTO_H1 || !h->tls || !h->egress->http2) {
        *any = streams;
    } else { /* one for all, or for as many as it lets have streams */
        unsigned each = MAX(h->streams, 1U);
        *any = (streams + each - 1) / each;
    }
    if (facts && *h1 == 0 && *any == 0 && h->making_count == 0) {
        *(h->egress->http2 ? any : h1) = 1; /* one serves all who only want to know */
    }
}

/* As many connections on the way as there are who wait, within the limit. */
static void start_needed(struct pool_host *h)
{
    unsigned h1, any;
    count_needed(h, &h1, &any);
    while (h->making_h1 < h1 && !is_full(h)) {
        make(h, true);
    }
    while (h->making_count - h->making_h1 < any && !is_full(h)) {
        make(h, false);
    }
}

/* Waiting. */

static void attach(struct pool_wait *wait)
{
    struct origin *o = wait->origin;
    if (o->state != ORIGIN_SHARED) {
        o->promised = NULL;
        origin_h1_attach(o, wait->exch);
        return;
    }
    list_drop(&wait->link);
    o->given_count--;
    origin_h2_attach(o, wait->exch);
}

static void on_wait_served(struct ready *r)
{
    struct pool_wait *wait = CONTAINER_OF(r, struct pool_wait, now);
    wait->waiting = false;
    if (wait->exch == NULL) {
        wait->told(wait, wait->err, wait->detail);
    } else if (wait->err != 0) {
        exch_origin_failed(wait->exch, wait->err, wait->detail);
    } else {
        attach(wait);
    }
}

static void begin(struct pool_wait *wait, struct pool_host *h, const struct origin_key *key)
{
    list_init(&wait->link);
    wait->waiting = true;
    wait->host = h;
    wait->origin = NULL;
    wait->client = key->client;
    wait->bound_login = key->bound_login;
    wait->fresh = key->fresh;
    wait->h1_only = key->h1_only || !h->tls || !h->egress->http2 ||
                    worker_now_ms(h->pool->worker) < h->h1_until_ms;
    wait->serial = h->pool->serial;
    wait->err = 0;
}

/* The client's own connection first, else the one used last of those that are anybody's. */
static struct origin *find_idle(struct pool_host *h, uint64_t client)
{
    struct origin *best = NULL;
    LIST_EACH_SAFE (it, &h->idle) {
        struct origin *o = LIST_OF(it, struct origin, link);
        if (is_stale(o)) {
            close_origin(o);
        } else if (o->client == client) {
            return o;
        } else if (o->client == 0 && best == NULL) {
            best = o;
        }
    }
    return best;
}

void pool_get(struct pool *p, struct pool_wait *wait, const struct origin_key *key)
{
    struct pool_host *h = host_for(p, key);
    begin(wait, h, key);
    struct origin *o = find_shared(h, wait);
    if (o != NULL) {
        p->stats.reuses++;
        give_stream(o, wait);
        return;
    }
    o = key->fresh || (h->proto == PROTO_H2 && !wait->h1_only) ? NULL : find_idle(h, key->client);
    if (o != NULL) {
        p->stats.reuses++;
        give(o, wait);
        return;
    }
    list_append(&h->waits, &wait->link);
    if (is_full(h) && h->idle_count > 0) { /* other clients' own: the longest unused makes room */
        close_origin(LIST_OF(h->idle.prev, struct origin, link));
    }
    start_needed(h);
}

void pool_verify(struct pool *p, struct pool_wait *wait, const struct origin_key *key)
{
    struct pool_host *h = host_for(p, key);
    begin(wait, h, key);
    wait->exch = NULL;
    bool fresh = h->fact_ms != 0 && worker_now_ms(p->worker) - h->fact_ms <= POOL_FACT_MS;
    if (fresh || find_shared(h, wait) != NULL || find_idle(h, key->client) != NULL) {
        serve(wait, NULL, 0, NULL);
        return;
    }
    list_append(&h->waits, &wait->link);
    start_needed(h);
}

bool pool_speaks_h2(struct pool *p, const struct origin_key *key)
{
    const struct pool_host *h = host_for(p, key);
    return h->egress->http2 && h->proto == PROTO_H2;
}

void pool_cancel(struct pool_wait *wait)
{
    if (!wait->waiting) {
        return;
    }
    wait->waiting = false;
    list_drop(&wait->link);
    worker_not_ready(&wait->now);
    if (wait->origin != NULL) { /* found, not attached yet */
        struct origin *o = wait->origin;
        wait->origin = NULL;
        if (o->state == ORIGIN_SHARED) {
            o->given_count--;
            offer_streams(o);
        } else {
            o->promised = NULL;
            offer(o);
        }
    }
}

void origin_release(struct origin *o, bool reusable)
{
    assert(o->state == ORIGIN_BUSY);
    o->exch = NULL;
    o->served++;
    o->old = true;
    if (!reusable || is_stale(o) || o->conn->eof || o->conn->error != 0) {
        close_origin(o);
        return;
    }
    offer(o);
}

struct conn *origin_take_conn(struct origin *o)
{
    struct conn *c = o->conn;
    timer_clear(&c->timer);
    o->conn = NULL;
    o->exch = NULL;
    close_origin(o);
    return c;
}

static void close_all(struct list *origins, uint64_t client)
{
    LIST_EACH_SAFE (it, origins) {
        struct origin *o = LIST_OF(it, struct origin, link);
        if (client == 0 || o->client == client) {
            close_origin(o);
        }
    }
}

void pool_client_gone(struct pool *p, uint64_t client)
{
    for (unsigned i = 0; i < BUCKETS && p->owned > 0; i++) {
        LIST_EACH (it, &p->bucket[i]) {
            struct pool_host *h = LIST_OF(it, struct pool_host, link);
            close_all(&h->idle, client);
            close_all(&h->shared, client); /* its own: nobody else is on it */
        }
    }
}

/* No new streams; what has none goes at once. */
static void leave_all(struct pool_host *h)
{
    LIST_EACH_SAFE (it, &h->shared) {
        struct origin *o = LIST_OF(it, struct origin, link);
        o->leaving = true;
        offer_streams(o);
    }
}

void pool_retire(struct pool *p, const struct egress *current)
{
    for (unsigned i = 0; i < BUCKETS; i++) {
        LIST_EACH_SAFE (it, &p->bucket[i]) {
            struct pool_host *h = LIST_OF(it, struct pool_host, link);
            if (h->egress != current) {
                close_all(&h->idle, 0);
                leave_all(h);
                if (is_empty(h)) {
                    drop_host(h);
                }
            }
        }
    }
}

void pool_free(struct pool *p)
{
    for (unsigned i = 0; i < BUCKETS; i++) {
        LIST_EACH_SAFE (it, &p->bucket[i]) {
            struct pool_host *h = LIST_OF(it, struct pool_host, link);
            close_all(&h->idle, 0);
            close_all(&h->shared, 0);
            close_all(&h->making, 0);
            assert(is_empty(h));
            drop_host(h);
        }
    }
    free(p);
}

struct pool_stats pool_stats(const struct pool *p)
{
    struct pool_stats s = p->stats;
    for (unsigned i = 0; i < BUCKETS; i++) {
        LIST_EACH (it, &p->bucket[i]) {
            const struct pool_host *h = LIST_OF(it, struct pool_host, link);
            s.idle += h->idle_count;
            s.busy += h->busy_count + h->shared_count;
        }
    }
    return s;
}
