/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/exch/exch.h"

#include "common/b64.h"
#include "common/clock.h"
#include "common/err.h"
#include "proxy/net/conn.h"
#include "proxy/net/digest.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/uio.h>

#define KEPT_MAX ((size_t)64 << 10) /* of a request's body, for a second try */
#define HELD_HIGH                                                                                \
    ((size_t)64 << 10) /* bytes of a request's body that wait for an origin before reading stops \
                        */

struct exch *exch_new(struct worker *w, const struct client_ops *client, void *client_end,
                      uint64_t number, const struct exch_app *app, void *app_conn)
{
    struct exch *ex = xnew(struct exch);
    ex->worker = w;
    ex->client = client;
    ex->client_end = client_end;
    ex->number = number;
    ex->app = app;
    ex->app_conn = app_conn;
    ex->held.pool = ex->kept.pool = &w->chunks;
    ex->req.arena = ex->res.arena = &ex->arena;
    return ex;
}

static void bury(struct grave *g)
{
    struct exch *ex = CONTAINER_OF(g, struct exch, grave);
    arena_free(&ex->arena);
    free(ex);
}

/* Lets go of the origin's side, whatever stage it is in. */
static void drop_origin(struct exch *ex)
{
    if (!ex->forwarding) {
        return;
    }
    ex->forwarding = false;
    timer_clear(&ex->timer);
    pool_cancel(&ex->wait);
    if (ex->origin != NULL) {
        const struct origin_ops *origin = ex->origin;
        ex->origin = NULL;
        origin->detach(ex);
        ex->origin_end = NULL;
    }
    if (!ex->req_ended) {
        ex->client->pause(ex, false); /* what is still to come is dropped */
    }
}

static void on_finished(struct ready *r)
{
    struct exch *ex = CONTAINER_OF(r, struct exch, ready);
    ex->client->finished(ex);
}

/* Both directions are through: tells the client's end, once. */
static void maybe_finish(struct exch *ex)
{
    if (!ex->finished && ex->res_ended && (ex->req_ended || ex->close_client)) {
        ex->finished = true;
        drop_origin(ex);
        worker_ready(ex->worker, &ex->ready, on_finished);
    }
}

void exch_free(struct exch *ex)
{
    worker_not_ready(&ex->ready);
    drop_origin(ex);
    if (ex->outcome == EXCH_OPEN) {
        ex->outcome = ex->res_ended ? EXCH_COMPLETE : EXCH_CLIENT_GONE;
    }
    ex->app->done(ex);
    bytes_free(&ex->held);
    bytes_free(&ex->kept);
    worker_bury(ex->worker, &ex->grave, bury);
}

/* The request. */

void exch_req_head(struct exch *ex)
{
    ex->started_ns = clock_ns();
    ex->app->request(ex);
}

/* The rest of the request is of no use to anybody: it is read and dropped. */
static bool is_discarding(const struct exch *ex)
{
    return ex->decided && !ex->forwarding;
}

/* Answered early, with a refusal or the last word on this connection: it does not read on. Behind
 * any other answer it may (a 202 in the middle of an upload); then its own clock runs. */
static bool wants_no_more(const struct exch *ex)
{
    return ex->res_ended && (ex->res.status >= 400 || !ex->res.keep_alive);
}

/* What an origin may refuse unread (HTTP/2) is kept as long as it is little and not answered. */
static void give_body(struct exch *ex, const void *data, size_t len)
{
    ex->body_given = true;
    if (ex->body_gone || !ex->origin->may_refuse || ex->got_bytes ||
        ex->kept.len + len > KEPT_MAX) {
        ex->body_gone = true;
        bytes_free(&ex->kept);
    } else {
        bytes_append(&ex->kept, data, len);
    }
    ex->origin->body(ex, data, len);
}

void exch_req_body(struct exch *ex, const void *data, size_t len)
{
    ex->req_bytes += len;
    if (is_discarding(ex)) {
        return;
    }
    if (ex->origin != NULL) {
        give_body(ex, data, len);
        if (ex->origin->is_full(ex)) {
            if (wants_no_more(ex)) {
                drop_origin(ex);
            } else {
                ex->client->pause(ex, true);
            }
        }
        return;
    }
    bytes_append(&ex->held, data, len);
    if (ex->holding) {
        ex->app->held(ex);
    } else if (ex->held.len >= HELD_HIGH) {
        ex->client->pause(ex, true);
    }
}

void exch_req_end(struct exch *ex, const struct trailers *t)
{
    ex->req_ended = true;
    if (t != NULL) {
        ex->req_trailers = *t;
    }
    if (ex->origin != NULL) {
        ex->req_sent = true;
        ex->origin->end(ex, &ex->req_trailers);
    } else if (ex->holding) {
        ex->app->held(ex);
    }
    maybe_finish(ex);
}

void exch_req_fault(struct exch *ex, unsigned status, const char *why)
{
    ex->close_client = true;
    if (ex->res_started) {
        if (!ex->res_ended) {
            ex->outcome = EXCH_CLIENT_GONE;
            ex->res_ended = true;
            ex->client->abort(ex);
        }
    } else {
        drop_origin(ex);
        ex->app->bad_request(ex, status, why);
    }
    maybe_finish(ex);
}

void exch_client_room(struct exch *ex)
{
    if (ex->origin != NULL) {
        ex->origin->pause(ex, false);
    }
}

void exch_client_gone(struct exch *ex)
{
    if (ex->outcome == EXCH_OPEN) {
        ex->outcome = ex->res_ended ? EXCH_COMPLETE : EXCH_CLIENT_GONE;
    }
    drop_origin(ex);
}

bool exch_awaits_100(const struct exch *ex)
{
    return ex->req.expect_continue && ex->forwarding && ex->req_bytes == 0 && !ex->req_ended &&
           !ex->interim && !ex->res_started;
}

/* The origin. */

static void on_wait_too_long(struct timer *t)
{
    exch_time_out(CONTAINER_OF(t, struct exch, timer), ERR_TIMEOUT,
                  "no connection to the origin became free in time");
}

static void seek_origin(struct exch *ex)
{
    const struct egress *e = ex->key.egress;
    ex->wait.exch = ex;
    /* Dialling and TLS have their own limits; this one is for waiting in line behind others. */
    timer_set(&ex->worker->timers, &ex->timer,
              e->dial.timeout_ms + e->secure_ms + e->dial.timeout_ms, on_wait_too_long);
    pool_get(ex->pool, &ex->wait, &ex->key);
}

/* RFC 4559, 6: these schemes log the connection in, not the request. */
static bool has_bound_login(const struct msg *m)
{
    for (unsigned i = 0; i < m->field_count; i++) {
        const struct field *f = &m->fields[i];
        if (f->id == FIELD_AUTHORIZATION &&
            (str_istarts(f->value, STR("ntlm")) || str_istarts(f->value, STR("negotiate")))) {
            return true;
        }
    }
    return false;
}

void exch_hold(struct exch *ex)
{
    assert(!ex->decided);
    ex->holding = true;
    if (ex->req.expect_continue && ex->req_bytes == 0) { /* RFC 9110, 10.1.1 */
        ex->req.expect_continue = false;
        msg_find(&ex->req, FIELD_EXPECT)->hop = true;
        ex->res =
            (struct msg){.arena = &ex->arena, .minor = 1, .status = 100, .reason = STR("Continue")};
        ex->client->head(ex);
    }
}

void exch_pause(struct exch *ex, bool stop)
{
    ex->client->pause(ex, stop);
}

void exch_forward(struct exch *ex, struct pool *pool, const struct origin_key *key)
{
    assert(!ex->decided);
    ex->holding = false;
    if (ex->held.len >= HELD_HIGH) {
        ex->client->pause(ex, true); /* until an origin takes it */
    }
    ex->decided = ex->forwarding = true;
    ex->pool = pool;
    ex->key = *key;
    ex->key.host = arena_str(&ex->arena, key->host);
    ex->key.client = ex->number;
    ex->key.bound_login = has_bound_login(&ex->req);
    ex->key.h1_only = ex->key.bound_login || ex->req.upgrade.len > 0;
    seek_origin(ex);
}

void exch_attached(struct exch *ex, const struct origin_ops *ops, void *end, unsigned served,
                   bool reused)
{
    timer_clear(&ex->timer);
    ex->origin = ops;
    ex->origin_end = end;
    ex->origin_number = served;
    ex->reused = reused;
    ex->got_bytes = false;
    ops->head(ex);
    while (ex->held.len > 0) {
        struct iovec iov[8];
        size_t count = bytes_peek(&ex->held, iov, ARRAY_LEN(iov)), sum = 0;
        for (size_t i = 0; i < count; i++) {
            give_body(ex, iov[i].iov_base, iov[i].iov_len);
            sum += iov[i].iov_len;
        }
        bytes_drop(&ex->held, sum);
    }
    if (ex->req_ended) {
        ex->req_sent = true;
        ops->end(ex, &ex->req_trailers);
    }
    if (!ops->is_full(ex)) {
        ex->client->pause(ex, false);
    }
}

void exch_origin_room(struct exch *ex)
{
    ex->client->pause(ex, false);
}

/* RFC 9110, 9.2.2: what may be sent twice without asking. */
static bool is_idempotent(const struct msg *m)
{
    static const char *const methods[] = {"GET", "HEAD",   "OPTIONS", "TRACE",
                                          "PUT", "DELETE", "PROPFIND"};
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (method_is(m, methods[i])) {
            return true;
        }
    }
    return false;
}

/* A connection from the pool may turn out to be closed only when it is used (RFC 9112, 9.3.1). */
static bool was_dead(const struct exch *ex)
{
    return ex->origin != NULL && ex->reused && !ex->got_bytes && !ex->interim;
}

/* A request that may be repeated, and whose body is not gone, then gets a fresh connection. */
static bool may_retry(const struct exch *ex)
{
    return !ex->retried && !ex->body_given && is_idempotent(&ex->req) && ex->req.upgrade.len == 0;
}

void exch_res_bytes(struct exch *ex)
{
    ex->got_bytes = true;
}

void exch_origin_failed(struct exch *ex, int err, const char *detail)
{
    bool dead = was_dead(ex);
    drop_origin(ex);
    if (ex->res_ended) {
        maybe_finish(ex);
    } else if (dead && may_retry(ex)) {
        ex->retried = ex->forwarding = true;
        ex->key.fresh = true;
        seek_origin(ex);
    } else if (ex->res_started || dead || (ex->unprocessed && ex->client->version >= 20)) {
        /* A repeat would not be safe: the client, who knows, has to decide. It sees its connection
         * close, as if it had been talking to the origin itself; an invented 502 it would take for
         * the origin's answer. */
        ex->outcome = EXCH_ORIGIN_BROKE;
        ex->close_client = ex->res_ended = true;
        ex->client->abort(ex);
        maybe_finish(ex);
    } else {
        ex->app->bad_gateway(ex, err, detail);
    }
}

void exch_origin_refused(struct exch *ex, bool h1)
{
    bool again = !ex->retried && !ex->body_gone && !ex->res_started && !ex->interim;
    drop_origin(ex);
    if (again) {
        bytes_move(&ex->kept, &ex->held); /* what went comes first */
        bytes_move(&ex->held, &ex->kept);
        ex->body_given = false;
        ex->retried = ex->forwarding = true;
        ex->key.fresh = true;
        ex->key.h1_only |= h1;
        seek_origin(ex);
    } else {
        ex->unprocessed = !ex->interim && !ex->res_started;
        exch_origin_failed(ex, ERR_EOF, "the origin refused to take the request");
    }
}

void exch_time_out(struct exch *ex, int err, const char *detail)
{
    drop_origin(ex);
    if (ex->res_ended) { /* it was only the rest of the request that nobody took */
        maybe_finish(ex);
    } else if (ex->res_started) {
        ex->outcome = EXCH_TIMED_OUT;
        ex->close_client = ex->res_ended = true;
        ex->client->abort(ex);
        maybe_finish(ex);
    } else {
        ex->app->bad_gateway(ex, err, detail);
    }
}

struct conn *exch_take_origin(struct exch *ex)
{
    const struct origin_ops *origin = ex->origin;
    ex->origin = NULL;
    ex->forwarding = false;
    struct conn *c = origin->take(ex);
    ex->origin_end = NULL;
    return c;
}

/* The response. */

/* RFC 6455, 4.1: the answer to the key, which shows that the origin means this very request. */
static bool accepts_websocket(const struct exch *ex)
{
    const struct field *key = msg_find(&ex->req, FIELD_SEC_WEBSOCKET_KEY);
    const struct field *accept = msg_find(&ex->res, FIELD_SEC_WEBSOCKET_ACCEPT);
    struct buf text = {0}, expected = {0};
    uint8_t sum[20];
    if (key == NULL || accept == NULL) {
        return false;
    }
    buf_str(&text, key->value);
    buf_z(&text, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    digest_sha1(buf_view(&text), sum);
    b64_encode(&expected, sum, sizeof(sum), B64_STANDARD);
    bool same = str_eq(buf_view(&expected), accept->value);
    buf_free(&text);
    buf_free(&expected);
    return same;
}

void exch_res_upgrade(struct exch *ex, struct str rest)
{
    struct str asked = ex->req.upgrade, got = ex->res.upgrade;
    bool websocket = str_ieq(got, STR("websocket"));
    if (got.len == 0 || !str_list_has(asked, got) || !ex->req_ended) {
        exch_origin_failed(ex, ERR_PROTOCOL,
                           "the origin switched to a protocol that was not asked for");
    } else if (websocket && !accepts_websocket(ex)) {
        exch_origin_failed(ex, ERR_PROTOCOL,
                           "the origin's WebSocket handshake is not an answer to this one");
    } else {
        ex->answered_ns = clock_ns();
        ex->res_started = true;
        ex->outcome = EXCH_COMPLETE;
        ex->client->head(ex);
        ex->app->upgraded(ex, rest);
    }
}

void exch_res_head(struct exch *ex)
{
    if (ex->res.status < 200) {
        ex->interim = true;
        ex->client->head(ex);
        return;
    }
    ex->answered_ns = clock_ns();
    ex->app->response(ex);
    ex->res_started = true;
    ex->client->head(ex);
}

void exch_res_body(struct exch *ex, const void *data, size_t len)
{
    ex->res_bytes += len;
    ex->client->body(ex, data, len);
    if (ex->client->is_full(ex)) {
        ex->origin->pause(ex, true);
    }
}

void exch_res_end(struct exch *ex, const struct trailers *t)
{
    ex->res_ended = true;
    ex->outcome = EXCH_COMPLETE;
    ex->client->end(ex, t);
    if (!ex->req_ended && ex->origin != NULL && wants_no_more(ex) && ex->origin->is_full(ex)) {
        drop_origin(ex);
    }
    if (!ex->req_ended && (ex->origin == NULL || !ex->origin->is_full(ex))) {
        ex->client->pause(ex, false);
    }
    maybe_finish(ex);
}

void exch_answer(struct exch *ex, struct str body)
{
    drop_origin(ex);
    ex->decided = true;
    ex->holding = false;
    bytes_free(&ex->held);
    if (ex->res_ended) {
        return;
    }
    /* Whoever waits for 100 and gets this may or may not send the body now (RFC 9110, 10.1.1): do
     * not guess. */
    if (ex->req.expect_continue && !ex->req_ended && ex->req_bytes == 0) {
        ex->close_client = true;
    }
    ex->answered_ns = clock_ns();
    ex->res.body = body.len > 0 ? BODY_LENGTH : BODY_NONE;
    ex->res.length = body.len;
    ex->res.has_length = true;
    ex->res.keep_alive = true;
    ex->res.minor = 1;
    ex->res_started = true;
    ex->client->head(ex);
    if (body.len > 0 && !method_is(&ex->req, "HEAD")) {
        ex->res_bytes += body.len;
        ex->client->body(ex, body.ptr, body.len);
    }
    ex->res_ended = true;
    ex->outcome = EXCH_COMPLETE;
    ex->client->end(ex, NULL);
    ex->client->pause(ex, false);
    maybe_finish(ex);
}
