/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 towards an origin: one exchange at a time on a connection of the pool. */
#include "common/err.h"
#include "proxy/exch/origin.h"
#include "proxy/net/conn.h"

#include <assert.h>

enum {
    INTERIM_MAX = 16, /* 1xx heads in front of one response */
    EARLY_MS = 5000,  /* an origin that has answered already takes some of the request */
};

static const struct origin_ops ops;

static struct origin *of(const struct exch *ex)
{
    return ex->origin_end;
}

/* Time: while the request leaves, until the response's head, between pieces of its body. */

static void update_timer(struct origin *o);

static void on_timeout(struct timer *t)
{
    struct origin *o = CONTAINER_OF(t, struct conn, timer)->owner;
    if (o->conn->was_full && conn_has_taken(o->conn)) {
        update_timer(o);
        return;
    }
    o->reusable = false;
    exch_time_out(o->exch, ERR_TIMEOUT,
                  !o->req_done          ? "the origin does not take the request"
                  : !o->exch->got_bytes ? "the origin did not answer in time"
                                        : "the origin's response came to a halt");
}

static void update_timer(struct origin *o)
{
    const struct egress *e = o->egress;
    struct timer *t = &o->conn->timer;
    bool its_turn = o->req_done || exch_awaits_100(o->exch);
    uint64_t ms = o->conn->was_full    ? (o->res_done ? MIN(e->send_ms, EARLY_MS) : e->send_ms)
                  : !its_turn          ? 0
                  : o->exch->got_bytes ? e->body_ms
                                       : e->head_ms;
    if (ms > 0 && (o->conn->pause & PAUSE_NO_ROOM) == 0) {
        timer_set(&o->conn->worker->timers, t, ms, on_timeout);
    } else {
        timer_clear(t);
    }
}

/* The origin's bytes. */

static void on_body(void *ctx, const uint8_t *data, size_t len)
{
    struct origin *o = ctx;
    exch_res_body(o->exch, data, len);
}

static void restart(struct origin *o)
{
    struct exch *ex = o->exch;
    ex->res = (struct msg){.arena = &ex->arena};
    h1_restart(&o->parser, &ex->res, ex->req.method);
}

/* A response after which the connection is somebody's (RFC 4559, 6; [MS-NTHT] 1.3). A comma inside
 * a quoted string may mislead this, to the safe side. */
static bool offers_bound_login(const struct msg *res)
{
    for (unsigned i = 0; i < res->field_count; i++) {
        struct str rest = res->fields[i].value, challenge;
        while (res->fields[i].id == FIELD_WWW_AUTHENTICATE && str_cut(&rest, ',', &challenge)) {
            challenge = str_trim(challenge);
            if (str_istarts(challenge, STR("ntlm")) || str_istarts(challenge, STR("negotiate"))) {
                return true;
            }
        }
    }
    return false;
}

/* False when the exchange has let go of the connection. */
static bool on_head(struct origin *o)
{
    struct exch *ex = o->exch;
    const struct msg *res = &ex->res;
    if (res->status == 101 && ex->req.upgrade.len == 0) {
        o->reusable = false;
        exch_origin_failed(ex, ERR_PROTOCOL,
                           "the origin switched protocols without being asked (101)");
        return false;
    }
    if (res->status < 200 && ++o->interim > INTERIM_MAX) {
        o->reusable = false;
        exch_origin_failed(ex, ERR_PROTOCOL, "the origin sends interim responses without end");
        return false;
    }
    if (res->status >= 200) {
        o->reusable &= res->keep_alive;
        if (o->client == 0 && offers_bound_login(res)) {
            origin_claim(o, ex->number);
        }
    }
    exch_res_head(ex);
    return o->exch == ex;
}

static void fail(struct origin *o, int err, const char *detail)
{
    o->reusable = false;
    exch_origin_failed(o->exch, err, detail);
}

static void on_data(struct conn *c, const uint8_t *p, size_t len)
{
    struct origin *o = c->owner;
    struct exch *ex = o->exch;
    struct str in = str_of((const char *)p, len);
    exch_res_bytes(ex);
    if (o->res_done || !o->started) { /* more than one response, or one before the request */
        o->reusable = false;
        return;
    }
    while (o->exch == ex && (in.len > 0 || o->parser.state == H1_BODY)) {
        switch (h1_feed(&o->parser, &in)) {
        case H1_MORE:
            update_timer(o);
            return;
        case H1_FAULT:
            fail(o, ERR_PROTOCOL, o->parser.fault.text);
            return;
        case H1_GOT_HEAD:
            if (ex->res.status == 101 && ex->req.upgrade.len > 0) {
                o->reusable = false;
                exch_res_upgrade(ex, in);
                return;
            }
            if (!on_head(o)) {
                return;
            }
            break;
        case H1_GOT_END:
            if (ex->res.status < 200) {
                restart(o);
                break;
            }
            o->res_done = true;
            o->reusable &= in.len == 0;
            timer_clear(&c->timer);
            exch_res_end(ex, &o->parser.trailers);
            return;
        }
    }
}

static void on_eof(struct conn *c)
{
    struct origin *o = c->owner;
    o->reusable = false;
    if (o->res_done) {
        exch_origin_failed(o->exch, ERR_EOF, "");
        return;
    }
    bool ends = o->started && h1_eof(&o->parser) == H1_GOT_END;
    if (ends && o->exch->res.body == BODY_CLOSE && !conn_end_is_certain(c)) {
        /* RFC 9112, 9.8: cut, for all we know; as chunks it would look whole */
        exch_origin_failed(o->exch, ERR_EOF, "the origin closed the connection without a goodbye");
        return;
    }
    if (ends) {
        o->res_done = true;
        exch_res_end(o->exch, NULL);
        return;
    }
    exch_origin_failed(o->exch, ERR_EOF,
                       "the origin closed the connection before its response was complete");
}

static void on_room(struct conn *c)
{
    struct origin *o = c->owner;
    exch_origin_room(o->exch);
    update_timer(o);
}

static void on_failed(struct conn *c, int err)
{
    fail(c->owner, err, err_str(err));
}

static const struct conn_ops conn_ops = {
    .data = on_data, .eof = on_eof, .room = on_room, .failed = on_failed};

/* The exchange's orders. */

static void put(struct origin *o, struct buf *b)
{
    conn_write(o->conn, b->ptr, b->len);
    buf_free(b);
}

static void write_head(struct exch *ex)
{
    struct origin *o = of(ex);
    struct buf b = {0};
    o->chunked = ex->req.body == BODY_STREAM;
    struct h1_write_opts opts = {
        .chunked = o->chunked,
        .upgrade = ex->req.upgrade.len > 0,
        .te_trailers = msg_has_token(&ex->req, FIELD_TE, STR("trailers")),
    };
    h1_write_request(&b, &ex->req, &opts);
    put(o, &b);
    o->started = true;
    restart(o);
    update_timer(o);
}

static void write_body(struct exch *ex, const void *data, size_t len)
{
    struct origin *o = of(ex);
    if (o->chunked && len > 0) {
        char line[20];
        conn_write(o->conn, line, h1_chunk_head(line, len));
        conn_write(o->conn, data, len);
        conn_write(o->conn, "\r\n", 2);
    } else {
        conn_write(o->conn, data, len);
    }
}

static void write_end(struct exch *ex, const struct trailers *t)
{
    struct origin *o = of(ex);
    if (o->chunked) {
        struct buf b = {0};
        h1_write_last_chunk(&b, t);
        put(o, &b);
    }
    o->req_done = true;
    update_timer(o);
}

static void on_pause(struct exch *ex, bool stop)
{
    struct origin *o = of(ex);
    if (stop) {
        conn_stop(o->conn, PAUSE_NO_ROOM);
    } else {
        conn_go_on(o->conn, PAUSE_NO_ROOM);
    }
    update_timer(o);
}

static bool is_full(struct exch *ex)
{
    struct origin *o = of(ex);
    bool full = conn_is_full(o->conn);
    update_timer(o);
    return full;
}

static void detach(struct exch *ex)
{
    struct origin *o = of(ex);
    timer_clear(&o->conn->timer);
    origin_release(o, o->reusable && o->req_done && o->res_done);
}

static struct conn *take(struct exch *ex)
{
    return origin_take_conn(of(ex));
}

static const struct origin_ops ops = {
    .head = write_head,
    .body = write_body,
    .end = write_end,
    .pause = on_pause,
    .is_full = is_full,
    .detach = detach,
    .take = take,
};

void origin_h1_attach(struct origin *o, struct exch *ex)
{
    assert(o->state == ORIGIN_BUSY && o->exch == NULL);
    o->exch = ex;
    o->started = o->req_done = o->res_done = false;
    o->reusable = true;
    o->interim = 0;
    h1_free(&o->parser);
    h1_init(&o->parser, true, &o->egress->limits, on_body, o);
    conn_own(o->conn, &conn_ops, o);
    conn_go_on(o->conn, PAUSE_NO_ROOM);
    if (o->conn->top != NULL && tls_asked_certificate(o->conn->top)) {
        origin_claim(o, ex->number);
    }
    exch_attached(ex, &ops, o, o->served, o->old);
}
