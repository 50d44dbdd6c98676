/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/h2.h"

#include "common/mem.h"
#include "proxy/http/budget.h"
#include "proxy/http/h2_fields.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/uio.h>

enum {
    RESETS = 200, /* at once: a page that is left cancels what it had asked for */
    RESETS_PER_S = 50,
    ODDITIES = 1000, /* pings, settings, empty frames: few a second are needed */
    ODDITIES_PER_S = 100,
    CRUMB_OF_CREDIT = 512,   /* a WINDOW_UPDATE below this is an oddity */
    WINDOW = 128 << 10,      /* of a stream; a body that flows gets the wide one */
    WIDE_WINDOW = 1 << 20,   /* 50 MB/s at 20 ms */
    WIDE_MAX = 8,            /* streams of a connection that have it */
    CONN_WINDOW = 8 << 20,   /* given back as bytes arrive, so it bounds what is on its way only */
    ACKS_MAX = 500,          /* of pings and settings, that the peer does not fetch */
    FRAME_HEAD = 9,          /* RFC 9113, 4.1 */
    STREAMS_MOST = 100,      /* that we have at once, whatever the server takes */
    HEAD_SENT_MAX = 4 << 20, /* above what any limit lets in: nghttp2's own, 64 KiB, would leave a
                                stream without its answer */
};

struct h2 {
    nghttp2_session *session;
    enum h2_role role;
    const struct h2_limits *limits;
    const struct h2_ops *ops;
    void *ctx;
    struct list streams;
    struct list closed; /* streams that are over, to be told */
    struct h2_room room;
    uint64_t now_ms;
    struct budget resets, oddities;
    size_t held;      /* sum of the streams' `owed` */
    size_t conn_owed; /* credit of the connection that is withheld */
    size_t sent;      /* by the h2_pump() under way */
    unsigned wide;
    unsigned glitches;
    unsigned aborted_heads;
    unsigned count;
    const char *fault; /* it ended because of this */
    bool abandoned;
    bool dead;
    bool draining;
};

static void wants(struct h2 *h)
{
    if (!h->abandoned) {
        h->ops->wants(h->ctx);
    }
}

static void die(struct h2 *h, const char *why)
{
    if (h->fault == NULL) {
        h->fault = why;
    }
    h->glitches++;
    h->dead = true;
}

/* ---- budgets ---- */

static int calm(struct h2 *h, const char *why)
{
    h->glitches++;
    h->fault = why;
    (void)nghttp2_session_terminate_session(h->session, NGHTTP2_ENHANCE_YOUR_CALM);
    return 0;
}

static int charge(struct h2 *h, struct budget *b, const char *why)
{
    return budget_take(b, h->now_ms) ? 0 : calm(h, why);
}

static int charge_reset(struct h2 *h)
{
    return charge(h, &h->resets, "too many streams were reset");
}

static int charge_oddity(struct h2 *h)
{
    return charge(h, &h->oddities, "too many frames that carry nothing");
}

/* ---- streams ---- */

static struct h2_stream *stream_of(const struct h2 *h, int32_t id)
{
    return nghttp2_session_get_stream_user_data(h->session, id);
}

/* The connection's credit for `len` bytes, now or when less is held. */
static void credit_conn(struct h2 *h, size_t len)
{
    h->conn_owed += len;
    if (h->conn_owed > 0 && (h->limits->held == 0 || h->held < h->limits->held)) {
        (void)nghttp2_session_consume_connection(h->session, h->conn_owed);
        h->conn_owed = 0;
        wants(h);
    }
}

static void credit_stream(struct h2 *h, struct h2_stream *s)
{
    if (s->owed > 0) {
        (void)nghttp2_session_consume_stream(h->session, s->id, s->owed);
        s->taken += s->owed;
        h->held -= s->owed;
        s->owed = 0;
        wants(h);
        credit_conn(h, 0);
    }
    if (!s->wide && s->taken >= WINDOW && h->wide < WIDE_MAX) { /* it flows: let it flow faster */
        s->wide = true;
        h->wide++;
        (void)nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, s->id,
                                                    WIDE_WINDOW);
    }
}

static void add_stream(struct h2 *h, struct h2_stream *s, int32_t id)
{
    s->id = id;
    list_append(&h->streams, &s->link);
    h->count++;
}

/* Nothing of `s` is left here. */
static void drop_stream(struct h2 *h, struct h2_stream *s)
{
    list_drop(&s->link);
    h->count -= !s->closed;
    h->held -= s->owed;
    s->owed = 0;
    h->wide -= s->wide;
    s->wide = false;
    bytes_free(&s->out);
    if (s->crumbs != NULL) {
        buf_free(s->crumbs);
        free(s->crumbs);
        s->crumbs = NULL;
    }
}

/* ---- what the peer sends ---- */

static void begin_head(struct h2_stream *s)
{
    if (!s->head_done) {
        *s->msg = (struct msg){.arena = s->msg->arena};
    }
    s->head_bytes = 0;
    s->head_fields = 0;
}

/* nghttp2 tells nothing more of PRIORITY frames; those it does not know it does not even tell of,
 * and they draw nothing from us. */
static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *user)
{
    (void)session;
    return hd->type == NGHTTP2_PRIORITY ? charge_oddity(user) : 0;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2 *h = user;
    if (h->abandoned) {
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    if (frame->hd.type != NGHTTP2_HEADERS) {
        return 0;
    }
    int32_t id = frame->hd.stream_id;
    struct h2_stream *s = stream_of(h, id);
    if (h->role == H2_SERVER && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        s = h->ops->begin(h->ctx);
        if (s == NULL) {
            return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id,
                                             NGHTTP2_REFUSED_STREAM);
        }
        (void)nghttp2_session_set_stream_user_data(session, id, s);
        add_stream(h, s, id);
    }
    if (s != NULL) {
        begin_head(s);
    }
    h->aborted_heads++; /* until its end is there */
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
    (void)session;
    (void)flags;
    struct h2 *h = user;
    if (h->abandoned) {
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    struct h2_stream *s = stream_of(h, frame->hd.stream_id);
    if (frame->hd.type != NGHTTP2_HEADERS || s == NULL || s->closed || s->bad) {
        return 0;
    }
    if (!h2_take_field(s, &h->limits->head, str_of((const char *)name, name_len),
                       str_of((const char *)value, value_len))) {
        calm(h, "a head far beyond the limits");
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    return 0;
}

/*
 * A field that RFC 9113, 8.2 does not let pass. By default nghttp2 drops it and believes the rest:
 * good enough for an origin's response, not for a request, which is judged.
 */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
                             const uint8_t *name, size_t name_len, const uint8_t *value,
                             size_t value_len, uint8_t flags, void *user)
{
    (void)session;
    (void)frame;
    (void)name;
    (void)name_len;
    (void)value;
    (void)value_len;
    (void)flags;
    struct h2 *h = user;
    h->glitches++;
    return h->role == H2_SERVER ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE : 0;
}

static void end_message(struct h2 *h, struct h2_stream *s)
{
    if (!s->done && s->head_done && !s->bad && !s->closed && !h->abandoned) {
        s->done = true;
        h->ops->end(h->ctx, s);
    }
}

static void on_headers(struct h2 *h, struct h2_stream *s, bool ends)
{
    if (s->bad) {
        return;
    }
    if (s->head_done) {
        if (s->fault.text != NULL) { /* too large: no trailers then */
            s->trailers.count = 0;
            s->fault.text = NULL;
        }
        end_message(h, s);
        return;
    }
    if (h->role == H2_SERVER) {
        h2_finish_request(s, ends);
        s->head_done = true;
    } else {
        h2_finish_response(s, ends);
        s->head_done = s->msg->status >= 200;
    }
    if (s->fault.text != NULL) {
        h->glitches++;
        h->aborted_heads++;
        s->head_done = s->bad = true;
        h->ops->bad_head(h->ctx, s);
        return;
    }
    h->ops->head(h->ctx, s, ends);
    if (ends) {
        end_message(h, s);
    }
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    (void)session;
    struct h2 *h = user;
    if (h->abandoned) {
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    struct h2_stream *s = frame->hd.stream_id > 0 ? stream_of(h, frame->hd.stream_id) : NULL;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        h->aborted_heads--;
        if (s != NULL && !s->closed) {
            on_headers(h, s, ends);
        }
        break;
    case NGHTTP2_DATA:
        if (frame->hd.length <= frame->data.padlen && !ends) {
            h->glitches++;
            return charge_oddity(h);
        }
        if (ends && s != NULL && !s->closed) {
            end_message(h, s);
        }
        break;
    case NGHTTP2_RST_STREAM:
        return charge_reset(h);
    case NGHTTP2_WINDOW_UPDATE:
        return frame->window_update.window_size_increment < CRUMB_OF_CREDIT ? charge_oddity(h) : 0;
    case NGHTTP2_SETTINGS:
        return (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0 ? charge_oddity(h) : 0;
    case NGHTTP2_GOAWAY:
        if (h->role == H2_CLIENT) {
            h->draining = true;
            h->ops->goaway(h->ctx);
        }
        break;
    case NGHTTP2_PING:
        return charge_oddity(h);
    default:
        break;
    }
    return h->abandoned ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error,
                            void *user)
{
    (void)session;
    (void)frame;
    (void)error;
    struct h2 *h = user;
    h->glitches++;
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                         size_t len, void *user)
{
    (void)flags;
    struct h2 *h = user;
    if (h->abandoned) {
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    struct h2_stream *s = stream_of(h, id);
    if (s == NULL || s->closed || s->bad) {
        (void)nghttp2_session_consume_stream(session, id, len);
        credit_conn(h, len);
        return 0;
    }
    s->owed += len;
    h->held += len;
    h->ops->data(h->ctx, s, data, len);
    if (h->abandoned) {
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    s = stream_of(h, id); /* it may be forgotten by now */
    if (s == NULL) {
        (void)nghttp2_session_consume_stream(session, id, len);
    } else if (!s->paused) {
        credit_stream(h, s);
    }
    credit_conn(h, len);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    struct h2 *h = user;
    struct h2_stream *s = stream_of(h, id);
    (void)session;
    if (s != NULL && !s->closed) {
        s->closed = true;
        s->code = code;
        h->count--;
        list_drop(&s->link);
        list_append(&h->closed, &s->link);
    }
    return 0;
}

/* Tells those that are over. */
static void tell_closed(struct h2 *h)
{
    while (!h->abandoned && !list_is_empty(&h->closed)) {
        struct h2_stream *s = LIST_OF(h->closed.next, struct h2_stream, link);
        drop_stream(h, s);
        credit_conn(h, 0);
        h->ops->closed(h->ctx, s);
    }
}

/* ---- what we send ---- */

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2 *h = user;
    int32_t id = frame->hd.stream_id;
    if (frame->hd.type == NGHTTP2_RST_STREAM) {
        switch (frame->rst_stream.error_code) {
        case NGHTTP2_PROTOCOL_ERROR:
        case NGHTTP2_FLOW_CONTROL_ERROR:
        case NGHTTP2_STREAM_CLOSED:
        case NGHTTP2_FRAME_SIZE_ERROR:
        case NGHTTP2_REFUSED_STREAM:
        case NGHTTP2_INTERNAL_ERROR:
            h->glitches++; /* the peer drew it */
            return charge_reset(h);
        default:
            return 0;
        }
    }
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR) {
        h->glitches++;
        if (h->fault == NULL) { /* nghttp2 found one itself */
            h->fault = nghttp2_http2_strerror(frame->goaway.error_code);
        }
    }
    bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    struct h2_stream *s = ends ? stream_of(h, id) : NULL;
    if (s != NULL && s->reset_after) {
        (void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
    }
    return 0;
}

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *buf, size_t max,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
    (void)buf;
    (void)source;
    struct h2 *h = user;
    struct h2_stream *s = stream_of(h, id);
    if (s == NULL) {
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    size_t n = MIN(max, s->out.len);
    if (n == 0 && !s->out_end) {
        s->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (n == s->out.len && s->out_end) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (s->out_trailers != NULL && s->out_trailers->count > 0) {
            struct h2_list l = h2_list_trailers(&h->room, s->out_trailers);
            if (l.count > 0 && nghttp2_submit_trailer(session, id, l.nv, l.count) == 0) {
                *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            }
        }
    }
    return (ssize_t)n;
}

static int send_body(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
                     size_t len, nghttp2_data_source *source, void *user)
{
    (void)session;
    (void)source;
    struct h2 *h = user;
    struct h2_stream *s = stream_of(h, frame->hd.stream_id);
    if (s == NULL || s->out.len < len) {
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    h->ops->send(h->ctx, head, FRAME_HEAD);
    h->sent += FRAME_HEAD + len;
    s->sent += len;
    while (len > 0) {
        struct iovec iov;
        bytes_peek(&s->out, &iov, 1);
        size_t n = MIN(len, iov.iov_len);
        h->ops->send(h->ctx, iov.iov_base, n);
        bytes_drop(&s->out, n);
        len -= n;
    }
    s->roomy |= s->was_full && s->out.len < H2_STREAM_LOW;
    return 0;
}

static void tell_roomy(struct h2 *h)
{
    LIST_EACH_SAFE (it, &h->streams) {
        struct h2_stream *s = LIST_OF(it, struct h2_stream, link);
        if (s->roomy) {
            s->roomy = s->was_full = false;
            h->ops->room(h->ctx, s);
            if (h->abandoned) {
                return;
            }
        }
    }
}

/* ---- the connection ---- */

static nghttp2_session *make_session(struct h2 *h)
{
    nghttp2_session_callbacks *cb;
    nghttp2_option *opt;
    nghttp2_session *session;
    if (nghttp2_session_callbacks_new(&cb) != 0 || nghttp2_option_new(&opt) != 0) {
        abort(); /* out of memory, as everywhere */
    }
    nghttp2_session_callbacks_set_on_begin_frame_callback(cb, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(cb, on_invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cb, on_invalid_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
    nghttp2_session_callbacks_set_send_data_callback(cb, send_body);
    nghttp2_option_set_no_auto_window_update(opt, 1);
    nghttp2_option_set_max_outbound_ack(opt, ACKS_MAX);
    nghttp2_option_set_no_closed_streams(opt, 1);
    nghttp2_option_set_max_send_header_block_length(opt, HEAD_SENT_MAX);
    nghttp2_option_set_peer_max_concurrent_streams(opt, h->limits->streams);
    nghttp2_option_set_stream_reset_rate_limit(opt, RESETS * 2, RESETS_PER_S * 2); /* ours first */
    int err = h->role == H2_SERVER ? nghttp2_session_server_new2(&session, cb, h, opt)
                                   : nghttp2_session_client_new2(&session, cb, h, opt);
    nghttp2_option_del(opt);
    nghttp2_session_callbacks_del(cb);
    if (err != 0) {
        abort();
    }
    return session;
}

static void greet(struct h2 *h)
{
    uint32_t heads = (uint32_t)MIN(h->limits->head.head, UINT32_MAX);
    nghttp2_settings_entry server[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, h->limits->streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, heads},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    nghttp2_settings_entry client[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, heads},
    };
    bool serves = h->role == H2_SERVER;
    int err = nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, serves ? server : client,
                                      serves ? ARRAY_LEN(server) : ARRAY_LEN(client));
    err |= nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0, CONN_WINDOW);
    if (err != 0) {
        abort();
    }
}

struct h2 *h2_new(enum h2_role role, const struct h2_limits *limits, const struct h2_ops *ops,
                  void *ctx, uint64_t now_ms)
{
    struct h2 *h = xnew(struct h2);
    h->role = role;
    h->limits = limits;
    h->ops = ops;
    h->ctx = ctx;
    h->now_ms = now_ms;
    list_init(&h->streams);
    list_init(&h->closed);
    budget_init(&h->resets, RESETS, RESETS_PER_S, now_ms);
    budget_init(&h->oddities, ODDITIES, ODDITIES_PER_S, now_ms);
    h->session = make_session(h);
    greet(h);
    return h;
}

static void drop_all(struct h2 *h, struct list *streams)
{
    while (!list_is_empty(streams)) {
        drop_stream(h, LIST_OF(streams->next, struct h2_stream, link));
    }
}

void h2_free(struct h2 *h)
{
    if (h == NULL) {
        return;
    }
    h->abandoned = true;
    drop_all(h, &h->streams);
    drop_all(h, &h->closed);
    nghttp2_session_del(h->session);
    h2_room_free(&h->room);
    free(h);
}

void h2_abandon(struct h2 *h)
{
    h->abandoned = h->dead = true;
}

void h2_feed(struct h2 *h, const uint8_t *p, size_t len, uint64_t now_ms)
{
    h->now_ms = now_ms;
    if (h->dead) {
        return;
    }
    ssize_t n = nghttp2_session_mem_recv(h->session, p, len);
    if (h->abandoned) {
        return;
    }
    if (n < 0) {
        die(h, n == NGHTTP2_ERR_BAD_CLIENT_MAGIC ? "no HTTP/2 preface"
               : n == NGHTTP2_ERR_FLOODED        ? "a flood of frames to acknowledge"
                                                 : nghttp2_strerror((int)n));
    }
    tell_closed(h);
    if (!h->abandoned && nghttp2_session_want_write(h->session)) {
        wants(h);
    }
}

void h2_pump(struct h2 *h, size_t most)
{
    h->sent = 0;
    while (!h->dead && h->sent < most) {
        const uint8_t *p;
        ssize_t n = nghttp2_session_mem_send(h->session, &p);
        if (n < 0) {
            die(h, nghttp2_strerror((int)n));
        }
        if (n <= 0) {
            break;
        }
        h->ops->send(h->ctx, p, (size_t)n);
        h->sent += (size_t)n;
    }
    if (!h->abandoned) {
        tell_roomy(h);
    }
    tell_closed(h);
}

bool h2_is_over(const struct h2 *h, const char **why)
{
    if (why != NULL) {
        *why = h->fault;
    }
    return h->dead ||
           (!nghttp2_session_want_read(h->session) && !nghttp2_session_want_write(h->session));
}

/* ---- what the owner wants ---- */

static const nghttp2_data_provider body = {.read_callback = read_body};

void h2_respond(struct h2 *h, struct h2_stream *s, const struct msg *m, bool ends)
{
    if (s->closed || h->dead) {
        return;
    }
    struct h2_list l = h2_list_response(&h->room, m);
    if (m->status < 200) {
        (void)nghttp2_submit_headers(h->session, NGHTTP2_FLAG_NONE, s->id, NULL, l.nv, l.count,
                                     NULL);
    } else {
        (void)nghttp2_submit_response(h->session, s->id, l.nv, l.count, ends ? NULL : &body);
    }
    wants(h);
}

bool h2_request(struct h2 *h, struct h2_stream *s, const struct msg *m, bool ends)
{
    if (h->dead || h->draining || !nghttp2_session_check_request_allowed(h->session)) {
        return false;
    }
    struct h2_list l = h2_list_request(&h->room, m);
    int32_t id = nghttp2_submit_request(h->session, NULL, l.nv, l.count, ends ? NULL : &body, s);
    if (id < 0) {
        return false;
    }
    add_stream(h, s, id);
    wants(h);
    return true;
}

static void resume(struct h2 *h, struct h2_stream *s)
{
    if (s->deferred) {
        s->deferred = false;
        (void)nghttp2_session_resume_data(h->session, s->id);
        wants(h);
    }
}

void h2_write(struct h2 *h, struct h2_stream *s, const void *data, size_t len)
{
    if (s->closed || len == 0) {
        return;
    }
    bytes_append(&s->out, data, len);
    resume(h, s);
}

void h2_end(struct h2 *h, struct h2_stream *s, const struct trailers *t)
{
    s->out_end = true;
    s->out_trailers = t;
    if (!s->closed) {
        resume(h, s);
    }
}

bool h2_is_full(struct h2_stream *s)
{
    s->was_full |= s->out.len >= H2_STREAM_HIGH;
    return s->was_full;
}

void h2_pause(struct h2 *h, struct h2_stream *s, bool stop)
{
    s->paused = stop;
    if (!stop && !s->closed && !h->dead) {
        credit_stream(h, s);
    }
}

void h2_reset(struct h2 *h, struct h2_stream *s, uint32_t code)
{
    if (!s->closed && !h->dead) {
        (void)nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, s->id, code);
        wants(h);
    }
}

bool h2_is_sent(const struct h2 *h, const struct h2_stream *s)
{
    return s->closed || nghttp2_session_get_stream_local_close(h->session, s->id) == 1;
}

void h2_stop_request(struct h2 *h, struct h2_stream *s)
{
    if (s->closed || s->reset_after) {
        return;
    }
    s->reset_after = true;
    if (h2_is_sent(h, s)) {
        h2_reset(h, s, NGHTTP2_NO_ERROR);
    }
}

void h2_forget(struct h2 *h, struct h2_stream *s, uint32_t code)
{
    if (!s->closed) {
        bool through = s->done && h2_is_sent(h, s);
        (void)nghttp2_session_set_stream_user_data(h->session, s->id, NULL);
        if (!through) {
            h2_reset(h, s, code);
        }
    }
    size_t owed = s->owed;
    int32_t id = s->id;
    drop_stream(h, s);
    if (!s->closed && owed > 0) {
        (void)nghttp2_session_consume_stream(h->session, id, owed);
    }
    s->closed = true;
    credit_conn(h, 0);
}

void h2_drain(struct h2 *h)
{
    if (!h->draining && !h->dead) {
        h->draining = true;
        (void)nghttp2_submit_shutdown_notice(h->session);
        wants(h);
    }
}

void h2_leave(struct h2 *h, uint32_t code)
{
    if (!h->dead) {
        (void)nghttp2_session_terminate_session(h->session, code);
        wants(h);
    }
}

unsigned h2_count(const struct h2 *h)
{
    return h->count;
}

unsigned h2_most(const struct h2 *h)
{
    uint32_t theirs =
        nghttp2_session_get_remote_settings(h->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    return MIN(theirs, STREAMS_MOST);
}

unsigned h2_glitches(const struct h2 *h)
{
    return h->glitches;
}

unsigned h2_aborted_heads(const struct h2 *h)
{
    return h->aborted_heads;
}
