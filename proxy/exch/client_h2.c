/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/exch/client_h2.h"

#include "common/err.h"
#include "common/mem.h"
#include "proxy/net/conn.h"

#include <stdlib.h>

#define LINGER_MS 2000
#define TICK_MS   ((uint64_t)1000)
/* A connection that came as the drain began may still ask once. */
#define DRAIN_FIRST_MS ((uint64_t)1000)

/* A request of up to this size may go on behind its answer, and is dropped. A reset in the middle
 * of the upload would be shorter (RFC 9113, 8.1), but there are clients, curl among them, that
 * report it as a failure and never show the answer. */
#define UNWANTED_MAX ((uint64_t)8 << 20)

/* What a stream is waited for. */
enum patience {
    FOR_NOTHING,
    FOR_HEAD,
    FOR_BODY,
    FOR_READER,
};

/* A stream and its exchange. Freed when both are over. */
struct req {
    struct h2_stream s;
    struct client_h2 *client;
    struct exch *exch; /* NULL when it is over and only the stream is left */
    struct list link;
    struct trailers trailers; /* of the response */
    enum patience awaited;
    uint64_t since_ms; /* the last time it moved */
    uint64_t mark;     /* how far it was then */
    bool finished;     /* the exchange has said so */
    bool head_given;   /* the exchange has the request's head */
    bool answered;     /* a head with END_STREAM went out */
    bool late;         /* its time was up; it is still there */
    struct grave grave;
};

struct client_h2 {
    struct client_end end;
    struct worker *worker;
    struct conn *conn;
    const struct client_conf *conf;
    const struct client_app *app;
    void *app_conn;
    uint64_t number;
    struct h2 *h2;
    struct list reqs;
    struct ready ready; /* to send */
    struct grave grave;
    bool served, draining, closing;
    uint64_t idle_since_ms;
};

static const struct client_ops ops;

static struct req *of(const struct exch *ex)
{
    return ex->client_end;
}

static struct req *req_of(struct h2_stream *s)
{
    return CONTAINER_OF(s, struct req, s);
}

static uint64_t now_ms(const struct client_h2 *c)
{
    return worker_now_ms(c->worker);
}

static void bury_req(struct grave *g)
{
    free(CONTAINER_OF(g, struct req, grave));
}

static void bury(struct grave *g)
{
    struct client_h2 *c = CONTAINER_OF(g, struct client_h2, grave);
    h2_free(c->h2);
    while (!list_is_empty(&c->reqs)) {
        struct req *r = LIST_OF(c->reqs.next, struct req, link);
        list_drop(&r->link);
        free(r);
    }
    free(c);
}

static void end_exch(struct req *r)
{
    struct exch *ex = r->exch;
    if (ex != NULL) {
        r->exch = NULL;
        exch_client_gone(ex);
        exch_free(ex);
    }
}

/* Ends the client: the exchanges are told, the app last. */
static void end(struct client_h2 *c, bool linger)
{
    if (c->closing) {
        return;
    }
    c->closing = true;
    struct client_oddities odd = {.glitches = h2_glitches(c->h2),
                                  .aborted_heads = h2_aborted_heads(c->h2)};
    (void)h2_is_over(c->h2, &odd.fault);
    h2_abandon(c->h2);
    worker_not_ready(&c->ready);
    LIST_EACH_SAFE (it, &c->reqs) {
        end_exch(LIST_OF(it, struct req, link));
    }
    if (linger) {
        conn_linger(c->conn, c->conf->write_ms, LINGER_MS);
    } else {
        conn_close(c->conn);
    }
    if (odd.glitches > 0 || odd.aborted_heads > 0 || odd.fault != NULL) {
        c->app->odd(c->app_conn, &odd);
    }
    c->app->gone(c->app_conn);
    worker_bury(c->worker, &c->grave, bury);
}

/* ---- time ---- */

static enum patience patience(const struct req *r)
{
    const struct exch *ex = r->exch;
    if (ex == NULL) {
        return r->s.out.len > 0 || !r->s.closed ? FOR_READER : FOR_NOTHING;
    }
    if (!r->head_given) {
        return FOR_HEAD;
    }
    if (r->s.out.len > 0) {
        return FOR_READER;
    }
    return !ex->req_ended && !r->s.paused && !exch_awaits_100(ex) ? FOR_BODY : FOR_NOTHING;
}

static void too_late(struct req *r, enum patience what)
{
    struct client_h2 *c = r->client;
    if (what == FOR_HEAD) { /* nothing else can come on the connection before it (RFC 9113, 6.10) */
        h2_leave(c->h2, NGHTTP2_ENHANCE_YOUR_CALM);
    } else if (what == FOR_BODY && !r->exch->res_started) {
        exch_req_fault(r->exch, 408, "the request's body did not arrive in time");
    } else if (what == FOR_BODY && r->exch->res_ended) {
        h2_stop_request(c->h2, &r->s);
    } else {
        h2_reset(c->h2, &r->s, NGHTTP2_CANCEL);
    }
}

static void look_at(struct req *r)
{
    const struct client_conf *conf = r->client->conf;
    const uint64_t limit[] = {
        [FOR_HEAD] = conf->head_ms, [FOR_BODY] = conf->body_ms, [FOR_READER] = conf->write_ms};
    uint64_t now = now_ms(r->client);
    enum patience what = patience(r);
    uint64_t moved = what == FOR_BODY ? r->exch->req_bytes : what == FOR_READER ? r->s.sent : 0;
    uint64_t least = what == FOR_READER ? CLIENT_H2_LEAST : 1;
    if (what != r->awaited || moved >= r->mark + least) {
        r->awaited = what;
        r->mark = moved;
        r->since_ms = now;
        r->late = false;
    } else if (what != FOR_NOTHING && now - r->since_ms >= limit[what]) {
        r->since_ms = now;
        if (r->late) { /* nothing gets through to a client that does not read at all */
            end(r->client, false);
        } else {
            r->late = true;
            too_late(r, what);
        }
    }
}

static void on_tick(struct timer *t);

static uint64_t tick_ms(const struct client_conf *conf)
{
    uint64_t least = MIN(MIN(conf->head_ms, conf->body_ms), MIN(conf->write_ms, conf->idle_ms));
    return MAX(MIN(least / 4, TICK_MS), 10);
}

static void set_timer(struct client_h2 *c)
{
    if (!c->closing) {
        timer_set(&c->worker->timers, &c->conn->timer, tick_ms(c->conf), on_tick);
    }
}

static void on_tick(struct timer *t)
{
    struct client_h2 *c = CONTAINER_OF(t, struct conn, timer)->owner;
    set_timer(c);
    LIST_EACH_SAFE (it, &c->reqs) {
        look_at(LIST_OF(it, struct req, link));
        if (c->closing) {
            return;
        }
    }
    if (!list_is_empty(&c->reqs)) {
        return;
    }
    uint64_t limit =
        c->draining ? (c->served ? 0 : MIN(c->conf->idle_ms, DRAIN_FIRST_MS)) : c->conf->idle_ms;
    if (now_ms(c) - c->idle_since_ms >= limit) {
        h2_leave(c->h2, NGHTTP2_NO_ERROR);
        if (conn_backlog(c->conn) > 0) { /* it does not even take that */
            end(c, true);
        }
    }
}

/* ---- the connection ---- */

/* True when it has ended. */
static bool check_over(struct client_h2 *c)
{
    if (!c->closing && h2_is_over(c->h2, NULL)) {
        end(c, true);
    }
    return c->closing;
}

static void pump(struct ready *ready)
{
    struct client_h2 *c = CONTAINER_OF(ready, struct client_h2, ready);
    if (!conn_is_full(c->conn)) {
        h2_pump(c->h2, CONN_HIGH - MIN(conn_backlog(c->conn), CONN_HIGH - 1));
        (void)conn_is_full(c->conn); /* then room() comes */
    }
    (void)check_over(c);
}

static void on_wants(void *ctx)
{
    struct client_h2 *c = ctx;
    worker_ready(c->worker, &c->ready, pump);
}

static void on_send(void *ctx, const void *data, size_t len)
{
    struct client_h2 *c = ctx;
    conn_write(c->conn, data, len);
}

static void on_data(struct conn *conn, const uint8_t *p, size_t len)
{
    struct client_h2 *c = conn->owner;
    h2_feed(c->h2, p, len, now_ms(c));
    (void)check_over(c);
}

static void on_eof(struct conn *conn)
{
    end(conn->owner, true);
}

static void on_room(struct conn *conn)
{
    on_wants(conn->owner);
}

static void on_failed(struct conn *conn, int err)
{
    (void)err;
    end(conn->owner, false);
}

static const struct conn_ops conn_ops = {
    .data = on_data, .eof = on_eof, .room = on_room, .failed = on_failed};

/* ---- what the client sends ---- */

static struct h2_stream *on_begin(void *ctx)
{
    struct client_h2 *c = ctx;
    if (c->closing) {
        return NULL;
    }
    struct req *r = xnew(struct req);
    r->client = c;
    r->exch = exch_new(c->worker, &ops, r, c->number, &c->app->exch, c->app_conn);
    r->s.msg = &r->exch->req;
    r->s.out.pool = &c->worker->chunks;
    r->awaited = FOR_HEAD;
    r->since_ms = now_ms(c);
    list_append(&c->reqs, &r->link);
    c->served = true;
    return &r->s;
}

static void on_head(void *ctx, struct h2_stream *s, bool ends)
{
    (void)ctx;
    (void)ends;
    struct req *r = req_of(s);
    r->head_given = true;
    exch_req_head(r->exch);
}

static void on_bad_head(void *ctx, struct h2_stream *s)
{
    (void)ctx;
    struct req *r = req_of(s);
    r->head_given = true;
    exch_req_fault(r->exch, s->fault.status, s->fault.text);
}

/* The response is through, and nobody wants the rest of the request. */
static void stop_upload(const struct exch *ex)
{
    struct req *r = of(ex);
    uint64_t size = MAX(ex->req_bytes, ex->req.has_length ? ex->req.length : 0);
    if (ex->res_ended && !ex->req_ended && !ex->forwarding && size > UNWANTED_MAX) {
        h2_stop_request(r->client->h2, &r->s);
    }
}

static void on_body(void *ctx, struct h2_stream *s, const uint8_t *p, size_t len)
{
    (void)ctx;
    struct req *r = req_of(s);
    if (r->exch != NULL && !r->finished) {
        exch_req_body(r->exch, p, len);
        stop_upload(r->exch);
    }
}

static void on_end(void *ctx, struct h2_stream *s)
{
    (void)ctx;
    struct req *r = req_of(s);
    if (r->exch != NULL && !r->finished) {
        exch_req_end(r->exch, &s->trailers);
    }
}

static void on_stream_room(void *ctx, struct h2_stream *s)
{
    (void)ctx;
    struct req *r = req_of(s);
    if (r->exch != NULL) {
        exch_client_room(r->exch);
    }
}

static void on_closed(void *ctx, struct h2_stream *s)
{
    struct client_h2 *c = ctx;
    struct req *r = req_of(s);
    end_exch(r);
    list_drop(&r->link);
    worker_bury(c->worker, &r->grave, bury_req);
    if (list_is_empty(&c->reqs)) {
        c->idle_since_ms = now_ms(c);
    }
}

static const struct h2_ops h2_ops = {
    .begin = on_begin,
    .head = on_head,
    .bad_head = on_bad_head,
    .data = on_body,
    .end = on_end,
    .room = on_stream_room,
    .closed = on_closed,
    .goaway = NULL, /* a client's */
    .wants = on_wants,
    .send = on_send,
};

/* ---- the exchange's answers ---- */

static void write_head(struct exch *ex)
{
    struct req *r = of(ex);
    r->answered = ex->res.status >= 200 && ex->res.body == BODY_NONE;
    h2_respond(r->client->h2, &r->s, &ex->res, r->answered);
}

static void write_body(struct exch *ex, const void *data, size_t len)
{
    struct req *r = of(ex);
    h2_write(r->client->h2, &r->s, data, len);
}

static void write_end(struct exch *ex, const struct trailers *t)
{
    struct req *r = of(ex);
    if (!r->answered) {
        r->trailers = t != NULL ? *t : (struct trailers){0};
        h2_end(r->client->h2, &r->s, &r->trailers);
    }
    stop_upload(ex);
}

static void on_abort(struct exch *ex)
{
    struct req *r = of(ex);
    h2_reset(r->client->h2, &r->s,
             ex->unprocessed ? NGHTTP2_REFUSED_STREAM : NGHTTP2_INTERNAL_ERROR);
}

static void on_pause(struct exch *ex, bool stop)
{
    struct req *r = of(ex);
    if (!r->client->closing) {
        h2_pause(r->client->h2, &r->s, stop);
        if (!stop) {
            stop_upload(ex);
        }
    }
}

static bool is_full(struct exch *ex)
{
    return h2_is_full(&of(ex)->s);
}

static void on_finished(struct exch *ex)
{
    struct req *r = of(ex);
    r->finished = true; /* what is left is the stream's; closed() ends both */
    if (!ex->req_ended) {
        h2_stop_request(r->client->h2, &r->s);
    }
}

static const struct client_ops ops = {
    .version = 20,
    .head = write_head,
    .body = write_body,
    .end = write_end,
    .abort = on_abort,
    .pause = on_pause,
    .is_full = is_full,
    .finished = on_finished,
};

static void drain(struct client_end *e)
{
    struct client_h2 *c = CONTAINER_OF(e, struct client_h2, end);
    if (!c->draining) {
        c->draining = true;
        h2_drain(c->h2);
    }
}

static void close_now(struct client_end *e)
{
    end(CONTAINER_OF(e, struct client_h2, end), false);
}

struct client_end *client_h2_new(struct conn *conn, uint64_t number, const struct client_conf *conf,
                                 const struct client_app *app, void *app_conn)
{
    struct client_h2 *c = xnew(struct client_h2);
    c->end = (struct client_end){.drain = drain, .close = close_now};
    c->worker = conn->worker;
    c->conn = conn;
    c->conf = conf;
    c->app = app;
    c->app_conn = app_conn;
    c->number = number;
    c->idle_since_ms = now_ms(c);
    list_init(&c->reqs);
    c->h2 = h2_new(H2_SERVER, &conf->h2, &h2_ops, c, now_ms(c));
    conn_own(conn, &conn_ops, c);
    set_timer(c);
    on_wants(c);
    conn_read(conn);
    return &c->end;
}
