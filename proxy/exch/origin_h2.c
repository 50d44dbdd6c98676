/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/2 towards an origin: many exchanges, of many clients, on one connection of the pool. */
#include "common/err.h"
#include "common/mem.h"
#include "proxy/exch/origin.h"
#include "proxy/net/conn.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    INTERIM_MAX = 16,   /* 1xx heads in front of one response */
    EARLY_MS = 5000,    /* an origin that has answered already takes some of the request */
    CANCELS = 500,      /* of requests whose clients left; then the connection is for nobody new, */
    CANCELS_PER_S = 20, /* lest the origin send all away (GOAWAY) for the sake of one client */
};

/* One exchange on the connection. */
struct call {
    struct h2_stream s;
    struct origin *o;
    struct exch *exch; /* NULL when it is over and the rest of its request is still on its way */
    struct list link;
    struct ready ready;
    struct timer timer;
    struct grave grave;
    uint64_t mark; /* bytes sent when the timer was set */
    unsigned interim;
    bool req_done, res_done, refused;
};

static const struct origin_ops ops;

static struct call *of(const struct exch *ex)
{
    return ex->origin_end;
}

static struct call *call_of(struct h2_stream *s)
{
    return CONTAINER_OF(s, struct call, s);
}

static uint64_t now_ms(const struct origin *o)
{
    return worker_now_ms(o->conn->worker);
}

static void bury_call(struct grave *g)
{
    free(CONTAINER_OF(g, struct call, grave));
}

/* The call is over; its stream is reset if it is not. */
static void drop_call(struct call *c, uint32_t code)
{
    struct origin *o = c->o;
    timer_clear(&c->timer);
    worker_not_ready(&c->ready);
    list_drop(&c->link);
    if (!c->s.closed && !(c->req_done && c->res_done) && !budget_take(&o->cancels, now_ms(o))) {
        o->leaving = true;
    }
    h2_forget(o->h2, &c->s, code);
    worker_bury(o->conn->worker, &c->grave, bury_call);
    origin_freed(o);
}

/* ---- time, as in origin_h1.c, but each stream has its own ---- */

static void update_timer(struct call *c);

static void on_timeout(struct timer *t)
{
    struct call *c = CONTAINER_OF(t, struct call, timer);
    struct exch *ex = c->exch;
    if (c->s.was_full && c->s.sent > c->mark) {
        update_timer(c);
        return;
    }
    if (ex == NULL) {
        drop_call(c, NGHTTP2_CANCEL);
        return;
    }
    exch_time_out(ex, ERR_TIMEOUT,
                  !c->req_done     ? "the origin does not take the request"
                  : !ex->got_bytes ? "the origin did not answer in time"
                                   : "the origin's response came to a halt");
}

static void update_timer(struct call *c)
{
    const struct exch *ex = c->exch;
    const struct egress *e = c->o->egress;
    struct timers *timers = &c->o->conn->worker->timers;
    c->mark = c->s.sent;
    if (ex == NULL) {
        timer_set(timers, &c->timer, MIN(e->send_ms, EARLY_MS), on_timeout);
        return;
    }
    bool its_turn = c->req_done || exch_awaits_100(ex);
    uint64_t ms = c->s.was_full   ? (c->res_done ? MIN(e->send_ms, EARLY_MS) : e->send_ms)
                  : !its_turn     ? 0
                  : ex->got_bytes ? e->body_ms
                                  : e->head_ms;
    if (ms > 0 && !c->s.paused && !(c->res_done && c->req_done)) {
        timer_set(timers, &c->timer, ms, on_timeout);
    } else {
        timer_clear(&c->timer);
    }
}

/* ---- the connection ---- */

/* All its exchanges hear that it is gone; the pool drops it. */
static void fail_all(struct origin *o, int err, const char *detail)
{
    if (o->state == ORIGIN_CLOSED) {
        return;
    }
    h2_abandon(o->h2);
    while (!list_is_empty(&o->calls)) {
        struct call *c = LIST_OF(o->calls.next, struct call, link);
        if (c->exch != NULL) {
            exch_origin_failed(c->exch, err, detail); /* which detaches */
        }
        if (!list_is_empty(&c->link)) {
            drop_call(c, NGHTTP2_CANCEL);
        }
    }
    origin_lost(o);
}

static bool check_over(struct origin *o)
{
    const char *why;
    if (o->state == ORIGIN_CLOSED) {
        return true;
    }
    if (!h2_is_over(o->h2, &why)) {
        return false;
    }
    char detail[160];
    snprintf(detail, sizeof(detail), "the origin's HTTP/2 connection ended%s%s",
             why != NULL ? ": " : "", why != NULL ? why : "");
    fail_all(o, why != NULL ? ERR_PROTOCOL : ERR_EOF, detail);
    return true;
}

static void pump(struct ready *ready)
{
    struct origin *o = CONTAINER_OF(ready, struct origin, ready);
    if (o->state == ORIGIN_CLOSED) {
        return;
    }
    if (!conn_is_full(o->conn)) {
        h2_pump(o->h2, CONN_HIGH - MIN(conn_backlog(o->conn), CONN_HIGH - 1));
        if (o->state != ORIGIN_CLOSED) {
            (void)conn_is_full(o->conn); /* then room() comes */
        }
    }
    (void)check_over(o);
}

static void on_wants(void *ctx)
{
    struct origin *o = ctx;
    worker_ready(o->conn->worker, &o->ready, pump);
}

static void on_send(void *ctx, const void *data, size_t len)
{
    struct origin *o = ctx;
    conn_write(o->conn, data, len);
}

static void on_data(struct conn *conn, const uint8_t *p, size_t len)
{
    struct origin *o = conn->owner;
    h2_feed(o->h2, p, len, now_ms(o));
    (void)check_over(o);
}

static void on_eof(struct conn *conn)
{
    fail_all(conn->owner, ERR_EOF,
             "the origin closed the connection before its response was complete");
}

static void on_room(struct conn *conn)
{
    on_wants(conn->owner);
}

static void on_failed(struct conn *conn, int err)
{
    fail_all(conn->owner, err, err_str(err));
}

static const struct conn_ops conn_ops = {
    .data = on_data, .eof = on_eof, .room = on_room, .failed = on_failed};

/* ---- what the origin sends ---- */

static void on_head(void *ctx, struct h2_stream *s, bool ends)
{
    (void)ctx;
    (void)ends;
    struct call *c = call_of(s);
    struct exch *ex = c->exch;
    exch_res_bytes(ex);
    if (ex->res.status < 200 && ++c->interim > INTERIM_MAX) {
        exch_origin_failed(ex, ERR_PROTOCOL, "the origin sends interim responses without end");
        return;
    }
    exch_res_head(ex);
    if (c->exch != NULL) {
        update_timer(c);
    }
}

static void on_bad_head(void *ctx, struct h2_stream *s)
{
    (void)ctx;
    exch_origin_failed(call_of(s)->exch, ERR_PROTOCOL, s->fault.text);
}

static void on_body(void *ctx, struct h2_stream *s, const uint8_t *p, size_t len)
{
    (void)ctx;
    struct call *c = call_of(s);
    exch_res_body(c->exch, p, len);
    if (c->exch != NULL) {
        update_timer(c);
    }
}

static void on_end(void *ctx, struct h2_stream *s)
{
    (void)ctx;
    struct call *c = call_of(s);
    c->res_done = true;
    timer_clear(&c->timer);
    exch_res_end(c->exch, &s->trailers);
}

static void on_stream_room(void *ctx, struct h2_stream *s)
{
    (void)ctx;
    struct call *c = call_of(s);
    if (c->exch != NULL) {
        exch_origin_room(c->exch);
    }
    if (c->exch != NULL) {
        update_timer(c);
    }
}

static void on_closed(void *ctx, struct h2_stream *s)
{
    struct origin *o = ctx;
    struct call *c = call_of(s);
    struct exch *ex = c->exch;
    char detail[80];
    if (ex == NULL) {
        drop_call(c, NGHTTP2_NO_ERROR);
        return;
    }
    if (s->code == NGHTTP2_HTTP_1_1_REQUIRED) {
        origin_speaks_h1_only(o);
    }
    if (c->res_done) {
        c->req_done = true; /* it wants no more of it, if there is more (RFC 9113, 8.1) */
        exch_origin_failed(ex, ERR_EOF, "");
    } else if (s->code == NGHTTP2_REFUSED_STREAM || s->code == NGHTTP2_HTTP_1_1_REQUIRED) {
        exch_origin_refused(ex, s->code == NGHTTP2_HTTP_1_1_REQUIRED);
    } else {
        exch_res_bytes(ex); /* an answer of a kind: the connection was not dead */
        snprintf(detail, sizeof(detail), "the origin reset the stream: %s",
                 nghttp2_http2_strerror(s->code));
        exch_origin_failed(ex, ERR_PROTOCOL, detail);
    }
}

static void on_goaway(void *ctx)
{
    struct origin *o = ctx;
    o->leaving = true;
}

static const struct h2_ops h2_ops = {
    .begin = NULL, /* a server's */
    .head = on_head,
    .bad_head = on_bad_head,
    .data = on_body,
    .end = on_end,
    .room = on_stream_room,
    .closed = on_closed,
    .goaway = on_goaway,
    .wants = on_wants,
    .send = on_send,
};

/* ---- the exchange's orders ---- */

static void on_not_begun(struct ready *ready)
{
    struct call *c = CONTAINER_OF(ready, struct call, ready);
    if (c->exch != NULL) {
        exch_origin_refused(c->exch, false);
    }
}

static void write_head(struct exch *ex)
{
    struct call *c = of(ex);
    bool ends = ex->req_ended && ex->held.len == 0 && ex->req_trailers.count == 0;
    ex->res = (struct msg){.arena = &ex->arena};
    c->req_done = ends;
    if (!h2_request(c->o->h2, &c->s, &ex->req, ends)) {
        c->s.closed = c->refused = true;
        worker_ready(ex->worker, &c->ready, on_not_begun);
        return;
    }
    update_timer(c);
}

static void write_body(struct exch *ex, const void *data, size_t len)
{
    struct call *c = of(ex);
    h2_write(c->o->h2, &c->s, data, len);
}

static void write_end(struct exch *ex, const struct trailers *t)
{
    struct call *c = of(ex);
    if (!c->req_done) {
        c->req_done = true;
        h2_end(c->o->h2, &c->s, t);
        if (!c->refused) {
            update_timer(c);
        }
    }
}

static void on_pause(struct exch *ex, bool stop)
{
    struct call *c = of(ex);
    h2_pause(c->o->h2, &c->s, stop);
    update_timer(c);
}

static bool is_full(struct exch *ex)
{
    struct call *c = of(ex);
    bool before = c->s.was_full, full = h2_is_full(&c->s);
    if (full != before) {
        update_timer(c);
    }
    return full;
}

static void detach(struct exch *ex)
{
    struct call *c = of(ex);
    c->exch = NULL;
    if (c->req_done && c->res_done && !h2_is_sent(c->o->h2, &c->s)) {
        c->s.out_trailers = NULL; /* they go with the exchange */
        update_timer(c);          /* the rest of the request still has to leave */
    } else {
        drop_call(c, c->res_done ? NGHTTP2_NO_ERROR : NGHTTP2_CANCEL);
    }
}

static const struct origin_ops ops = {
    .may_refuse = true,
    .head = write_head,
    .body = write_body,
    .end = write_end,
    .pause = on_pause,
    .is_full = is_full,
    .detach = detach,
};

/* ---- for the pool ---- */

void origin_h2_start(struct origin *o, unsigned streams)
{
    list_init(&o->calls);
    o->h2_limits = (struct h2_limits){.head = o->egress->limits, .streams = streams};
    budget_init(&o->cancels, CANCELS, CANCELS_PER_S, now_ms(o));
    o->h2 = h2_new(H2_CLIENT, &o->h2_limits, &h2_ops, o, now_ms(o));
    conn_own(o->conn, &conn_ops, o);
    conn_go_on(o->conn, PAUSE_NO_ROOM);
    on_wants(o);
}

void origin_h2_attach(struct origin *o, struct exch *ex)
{
    struct call *c = xnew(struct call);
    c->o = o;
    c->exch = ex;
    c->s.msg = &ex->res;
    c->s.out.pool = &ex->worker->chunks;
    list_append(&o->calls, &c->link);
    o->served++;
    exch_attached(ex, &ops, c, o->served - 1, o->old);
    o->old = true;
}

unsigned origin_h2_free(const struct origin *o)
{
    unsigned most = h2_most(o->h2), now = h2_count(o->h2);
    return o->leaving || now >= most ? 0 : most - now;
}
