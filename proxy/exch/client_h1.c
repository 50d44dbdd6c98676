/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/exch/client_h1.h"

#include "common/err.h"
#include "common/mem.h"
#include "proxy/net/conn.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/uio.h>

#define AHEAD_MAX \
    ((size_t)64 << 10) /* bytes of later requests that wait here before reading stops */
#define LINGER_MS 2000
#define DRAIN_FIRST_MS \
    ((uint64_t)1000) /* a connection that came as the drain began may still send one request */

enum client_state {
    CLIENT_IDLE,
    CLIENT_READING,
    CLIENT_BUSY,
    CLIENT_CLOSING
};

/* What the client owes us: one at a time has a limit. */
enum patience {
    FOR_NOTHING, /* the origin's end watches the clock */
    FOR_REQUEST,
    FOR_HEAD,
    FOR_BODY,
    FOR_READER, /* to take what we have for it */
};

struct client_h1 {
    struct client_end end;
    enum client_state state;
    struct worker *worker;
    struct conn *conn;
    const struct client_conf *conf;
    const struct client_app *app;
    void *app_conn;
    uint64_t number;
    struct exch *exch; /* READING, BUSY */
    struct h1 parser;
    struct bytes ahead; /* bytes behind the request under way */
    struct ready ready; /* to go on with them */
    struct grave grave;
    enum patience awaited; /* what the timer runs for */
    bool served;           /* a request has been read */
    bool draining;         /* no further request, but a first one */
    bool eof;              /* the client sends no more */
    bool chunked;          /* the response's body is written in chunks */
    bool close_after;      /* the response says Connection: close */
    bool reset;            /* the connection ends in a reset */
    bool feeding;          /* bytes are being fed: take no others */
};

static const struct client_ops ops;
static void go_on(struct ready *r);

static void bury(struct grave *g)
{
    struct client_h1 *h = CONTAINER_OF(g, struct client_h1, grave);
    h1_free(&h->parser);
    bytes_free(&h->ahead);
    free(h);
}

/* The response under way has no end but the connection's: if it breaks off, only a reset tells. */
static bool ends_with_connection(const struct client_h1 *h)
{
    const struct exch *ex = h->exch;
    return ex->res_started && !h->chunked && ex->res.body != BODY_NONE &&
           ex->res.body != BODY_LENGTH;
}

/* Ends the client: the exchange is told, the app last. The connection is closed or lingers. */
static void end(struct client_h1 *h, bool linger)
{
    if (h->state == CLIENT_CLOSING) {
        return;
    }
    h->state = CLIENT_CLOSING;
    worker_not_ready(&h->ready);
    if (h->exch != NULL) {
        if (ends_with_connection(h) && !h->exch->res_ended) {
            conn_reset(h->conn);
        }
        exch_client_gone(h->exch);
        exch_free(h->exch);
        h->exch = NULL;
    }
    if (linger) {
        conn_linger(h->conn, h->conf->write_ms, LINGER_MS);
    } else {
        conn_close(h->conn);
    }
    h->app->gone(h->app_conn);
    worker_bury(h->worker, &h->grave, bury);
}

static struct client_h1 *of(const struct exch *ex)
{
    return ex->client_end;
}

/* Time. One timer, set anew whenever what we wait for changes. */

static enum patience patience(const struct client_h1 *h)
{
    const struct exch *ex = h->exch;
    switch (h->state) {
    case CLIENT_IDLE:
        return h->conn->was_full ? FOR_READER : FOR_REQUEST;
    case CLIENT_READING:
        return h1_is_idle(&h->parser) ? FOR_REQUEST : FOR_HEAD; /* an empty line is no request */
    case CLIENT_BUSY:
        if (h->conn->was_full) {
            return FOR_READER;
        }
        return !ex->req_ended && !exch_awaits_100(ex) && (h->conn->pause & PAUSE_NO_ROOM) == 0
                   ? FOR_BODY
                   : FOR_NOTHING;
    case CLIENT_CLOSING:
        break;
    }
    return FOR_NOTHING;
}

static void update_timer(struct client_h1 *h);

static void on_timeout(struct timer *t)
{
    struct client_h1 *h = CONTAINER_OF(t, struct conn, timer)->owner;
    struct exch *ex = h->exch;
    enum patience now = patience(h);
    if (now != h->awaited) {
        update_timer(h); /* it got on with it */
    } else if (conn_backlog(h->conn) > 0 && (now == FOR_READER || now == FOR_REQUEST) &&
               conn_has_taken(h->conn)) {
        timer_set(&h->worker->timers, t, h->conf->write_ms, on_timeout);
    } else if (now == FOR_HEAD) { /* RFC 9110, 15.5.9 */
        h->state = CLIENT_BUSY;
        exch_req_fault(ex, 408, "the request did not arrive in time");
    } else if (now == FOR_BODY && !ex->res_started) {
        exch_req_fault(ex, 408, "the request's body did not arrive in time");
    } else {
        end(h, now == FOR_REQUEST);
    }
}

static void update_timer(struct client_h1 *h)
{
    const uint64_t limit[] = {
        [FOR_REQUEST] = h->draining ? MIN(h->conf->idle_ms, DRAIN_FIRST_MS) : h->conf->idle_ms,
        [FOR_HEAD] = h->conf->head_ms,
        [FOR_BODY] = h->conf->body_ms,
        [FOR_READER] = h->conf->write_ms,
    };
    if (h->state == CLIENT_CLOSING) {
        return;
    }
    enum patience before = h->awaited;
    h->awaited = patience(h);
    if (h->awaited == FOR_READER) {
        if (before == FOR_READER) {
            return; /* the timer looks itself whether it has taken something */
        }
        (void)conn_has_taken(h->conn);
    }
    if (h->awaited != FOR_NOTHING) {
        timer_set(&h->worker->timers, &h->conn->timer, limit[h->awaited], on_timeout);
    } else {
        timer_clear(&h->conn->timer);
    }
}

/* The client's bytes. */

static void on_body(void *ctx, const uint8_t *data, size_t len)
{
    struct client_h1 *h = ctx;
    exch_req_body(h->exch, data, len);
}

static void start_exch(struct client_h1 *h)
{
    h->exch = exch_new(h->worker, &ops, h, h->number, &h->app->exch, h->app_conn);
    h->state = CLIENT_READING;
    h->served = true;
    h->chunked = h->close_after = false;
    h1_restart(&h->parser, &h->exch->req, STR_NONE);
    update_timer(h);
}

/* Does what the client sends now belong to the request under way, or may it begin one? Who does not
 * read our answers cannot ask for more of them. */
static bool is_wanted(struct client_h1 *h)
{
    if (h->exch != NULL) {
        return h->parser.state < H1_DONE;
    }
    return h->state == CLIENT_IDLE && !(h->draining && h->served) && !conn_is_full(h->conn);
}

static void keep_ahead(struct client_h1 *h, struct str in)
{
    bytes_append(&h->ahead, in.ptr, in.len);
    if (h->ahead.len >= AHEAD_MAX) {
        conn_stop(h->conn, PAUSE_PIPELINE);
    }
}

/* Feeds until a request is complete or the input is used up. */
static void feed(struct client_h1 *h, struct str *in)
{
    h->feeding = true;
    while (in->len > 0 || h->parser.state == H1_BODY) {
        if (h->exch == NULL) {
            start_exch(h);
        }
        enum h1_result r = h1_feed(&h->parser, in);
        if (h->state == CLIENT_CLOSING || r == H1_MORE) {
            break;
        }
        if (r == H1_FAULT) {
            h->state = CLIENT_BUSY;
            in->len = 0;
            conn_stop(h->conn, PAUSE_PIPELINE);
            exch_req_fault(h->exch, h->parser.fault.status, h->parser.fault.text);
            break;
        }
        if (r == H1_GOT_HEAD) {
            h->state = CLIENT_BUSY;
            exch_req_head(h->exch);
            continue;
        }
        if (h->exch->req.upgrade.len > 0) {
            conn_stop(h->conn, PAUSE_UPGRADE); /* what follows may be another protocol's: leave it
                                                  in the socket */
        }
        exch_req_end(h->exch, &h->parser.trailers);
        break;
    }
    h->feeding = false;
    if (h->state == CLIENT_BUSY || patience(h) != h->awaited) {
        update_timer(h);
    }
}

static void on_data(struct conn *c, const uint8_t *p, size_t len)
{
    struct client_h1 *h = c->owner;
    struct str in = str_of((const char *)p, len);
    if (h->ahead.len == 0 && is_wanted(h)) {
        feed(h, &in);
    }
    if (in.len > 0 && h->state != CLIENT_CLOSING) {
        keep_ahead(h, in);
    }
}

/* The client sends no more, and what it sent is used up. */
static void on_last_byte(struct client_h1 *h)
{
    if (h->exch == NULL) {
        end(h, true);
    } else if (!h->exch->req_ended) {
        if (h->state == CLIENT_READING || !h->exch->res_started) {
            end(h, false); /* it gave up in the middle of a request */
        } else {
            exch_req_fault(h->exch, 400, "the connection ended inside a request");
        }
    }
    /* else: a client may close its sending side and wait for the answer (RFC 9112, 9.6) */
}

static void on_eof(struct conn *c)
{
    struct client_h1 *h = c->owner;
    h->eof = true;
    if (h->ahead.len == 0) {
        on_last_byte(h);
    }
}

static void on_room(struct conn *c)
{
    struct client_h1 *h = c->owner;
    if (h->exch != NULL) {
        exch_client_room(h->exch);
        update_timer(h);
    } else {
        worker_ready(h->worker, &h->ready, go_on);
    }
}

static void on_failed(struct conn *c, int err)
{
    (void)err;
    end(c->owner, false);
}

static const struct conn_ops conn_ops = {
    .data = on_data, .eof = on_eof, .room = on_room, .failed = on_failed};

/* The exchange's answers. */

static void put(struct client_h1 *h, struct buf *b)
{
    conn_write(h->conn, b->ptr, b->len);
    buf_free(b);
}

static void write_head(struct exch *ex)
{
    struct client_h1 *h = of(ex);
    struct h1_write_opts opts = {0};
    struct buf b = {0};
    bool final = ex->res.status >= 200;
    bool has_body = ex->res.body != BODY_NONE;
    opts.upgrade = ex->res.status == 101;
    if (!final && ex->req.minor == 0) {
        return; /* RFC 9110, 15.2: a 1.0 client knows no 1xx */
    }
    if (final) {
        bool open_end = has_body && ex->res.body != BODY_LENGTH;
        h->chunked = open_end && ex->req.minor > 0;
        h->close_after = ex->close_client || h->draining || !ex->req.keep_alive ||
                         (h->eof && h->ahead.len == 0) || (open_end && !h->chunked);
        opts.chunked = h->chunked;
        opts.close = h->close_after;
        opts.keep_alive_1_0 = !h->close_after && ex->req.minor == 0;
        ex->close_client |= h->close_after;
    }
    h1_write_response(&b, &ex->res, &opts);
    put(h, &b);
    update_timer(h);
}

static void write_body(struct exch *ex, const void *data, size_t len)
{
    struct client_h1 *h = of(ex);
    if (h->chunked && len > 0) {
        char line[20];
        conn_write(h->conn, line, h1_chunk_head(line, len));
        conn_write(h->conn, data, len);
        conn_write(h->conn, "\r\n", 2);
    } else {
        conn_write(h->conn, data, len);
    }
}

static void write_end(struct exch *ex, const struct trailers *t)
{
    struct client_h1 *h = of(ex);
    if (h->chunked) {
        struct buf b = {0};
        h1_write_last_chunk(&b, t);
        put(h, &b);
    }
    update_timer(h);
}

static void on_abort(struct exch *ex)
{
    struct client_h1 *h = of(ex);
    /* Without the last chunk or the rest of its length the client sees that it broke off. */
    h->reset = ends_with_connection(h);
    h->close_after = true;
}

static void on_pause(struct exch *ex, bool stop)
{
    struct client_h1 *h = of(ex);
    if (stop) {
        conn_stop(h->conn, PAUSE_NO_ROOM);
    } else {
        conn_go_on(h->conn, PAUSE_NO_ROOM);
    }
    update_timer(h);
}

static bool is_full(struct exch *ex)
{
    struct client_h1 *h = of(ex);
    bool full = conn_is_full(h->conn);
    update_timer(h);
    return full;
}

/* Feeds what has waited, and settles what comes next. */
static void go_on(struct ready *r)
{
    struct client_h1 *h = CONTAINER_OF(r, struct client_h1, ready);
    while (h->ahead.len > 0 && h->state != CLIENT_CLOSING && is_wanted(h)) {
        struct iovec iov;
        bytes_peek(&h->ahead, &iov, 1);
        struct str in = str_of(iov.iov_base, iov.iov_len);
        feed(h, &in);
        bytes_drop(&h->ahead, iov.iov_len - in.len);
    }
    if (h->state == CLIENT_CLOSING) {
        return;
    }
    if (h->state == CLIENT_IDLE && h->draining && h->served) {
        end(h, true);
        return;
    }
    if (h->eof && h->ahead.len == 0) {
        on_last_byte(h);
        return;
    }
    if (h->ahead.len < AHEAD_MAX) {
        conn_go_on(h->conn, PAUSE_PIPELINE);
    }
    update_timer(h);
}

static void on_finished(struct exch *ex)
{
    struct client_h1 *h = of(ex);
    bool last = ex->close_client || h->close_after;
    h->exch = NULL;
    exch_free(ex);
    if (h->reset) {
        conn_reset(h->conn);
        end(h, false);
        return;
    }
    if (last) {
        end(h, true);
        return;
    }
    h->state = CLIENT_IDLE;
    conn_go_on(h->conn, PAUSE_UPGRADE);
    worker_ready(h->worker, &h->ready, go_on);
}

static const struct client_ops ops = {
    .version = 11,
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
    struct client_h1 *h = CONTAINER_OF(e, struct client_h1, end);
    h->draining = true;
    if (h->state == CLIENT_IDLE) {
        worker_ready(h->worker, &h->ready, go_on);
    }
}

static void close_now(struct client_end *e)
{
    end(CONTAINER_OF(e, struct client_h1, end), false);
}

struct client_end *client_h1_new(struct conn *c, uint64_t number, const struct client_conf *conf,
                                 const struct client_app *app, void *app_conn, struct str first)
{
    struct client_h1 *h = xnew(struct client_h1);
    h->end = (struct client_end){.drain = drain, .close = close_now};
    h->worker = c->worker;
    h->conn = c;
    h->conf = conf;
    h->app = app;
    h->app_conn = app_conn;
    h->number = number;
    h->ahead.pool = &c->worker->chunks;
    h1_init(&h->parser, false, &conf->limits, on_body, h);
    h->eof = c->eof; /* it may have come already */
    conn_own(c, &conn_ops, h);
    update_timer(h);
    if (first.len > 0 || h->eof) {
        bytes_append(&h->ahead, first.ptr, first.len);
        worker_ready(h->worker, &h->ready, go_on);
    }
    conn_read(c);
    return &h->end;
}

struct conn *client_h1_conn(const struct exch *ex)
{
    return of(ex)->conn;
}

struct conn *client_h1_take(struct exch *ex, struct bytes *rest)
{
    struct client_h1 *h = of(ex);
    struct conn *c = h->conn;
    assert(!h->feeding);
    h->state = CLIENT_CLOSING;
    worker_not_ready(&h->ready);
    timer_clear(&c->timer);
    h->exch = NULL;
    exch_free(ex);
    bytes_move(rest, &h->ahead);
    c->pause = 0;
    worker_bury(h->worker, &h->grave, bury);
    return c;
}
