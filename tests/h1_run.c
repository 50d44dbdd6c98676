/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/h1_run.h"

#include "proxy/http/hop.h"

#include <stdlib.h>

static void on_body(void *ctx, const uint8_t *data, size_t len)
{
    struct h1_run *run = ctx;
    run->body_bad |= !run->in_feed || len == 0;
    buf_put(&run->message[run->count - 1].body, data, len);
}

static void next_message(struct h1_run *run)
{
    struct h1_run_message *m = &run->message[run->count++];
    m->msg = (struct msg){.arena = &m->arena};
    h1_restart(&run->h1, &m->msg, run->method);
}

void h1_run_init(struct h1_run *run, bool is_response, const struct h1_limits *limits,
                 struct str method)
{
    *run = (struct h1_run){.method = method, .result = H1_MORE};
    h1_init(&run->h1, is_response, limits, on_body, run);
    next_message(run);
}

static void feed_copy(struct h1_run *run, struct str *in)
{
    do {
        struct h1_run_message *m = &run->message[run->count - 1];
        size_t before = in->len;
        run->in_feed = true;
        run->result = h1_feed(&run->h1, in);
        run->in_feed = false;
        run->taken += before - in->len;
        if (run->result == H1_GOT_HEAD) {
            m->has_head = true;
        } else if (run->result == H1_GOT_END) {
            m->has_end = true;
            m->trailers = run->h1.trailers;
            if (run->count == H1_RUN_MESSAGES) {
                return;
            }
            next_message(run);
        }
    } while (run->result == H1_GOT_HEAD || (run->result == H1_GOT_END && in->len > 0));
}

static bool is_over(const struct h1_run *run)
{
    return run->result == H1_FAULT || run->h1.state == H1_DONE;
}

void h1_run_feed(struct h1_run *run, struct str piece)
{
    if (is_over(run) || piece.len == 0) {
        return;
    }
    char *copy = xmemdup(piece.ptr, piece.len);
    struct str in = str_of(copy, piece.len);
    feed_copy(run, &in);
    memset(copy, 0xdd, piece.len);
    free(copy);
}

void h1_run_eof(struct h1_run *run)
{
    if (is_over(run)) {
        return;
    }
    run->result = h1_eof(&run->h1);
    if (run->result == H1_GOT_END) {
        run->message[run->count - 1].has_end = true;
    }
}

/* xorshift64: the same cuts on every machine. */
static uint64_t draw(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

void h1_run_all(struct h1_run *run, struct str in, size_t most, uint64_t seed)
{
    while (in.len > 0) {
        size_t n = seed != 0 ? draw(&seed) % most + 1 : most;
        n = MIN(n, in.len);
        h1_run_feed(run, str_of(in.ptr, n));
        in = str_skip(in, n);
    }
    h1_run_eof(run);
}

static void put_text(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c >= 0x20 && c < 0x7f) {
            buf_char(out, (char)c);
        } else {
            buf_printf(out, "\\x%02x", c);
        }
    }
}

static void put_fields(struct buf *out, const struct field *fields, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        buf_z(out, i > 0 ? "; " : "");
        buf_z(out, fields[i].hop ? "~" : "");
        put_text(out, fields[i].name);
        buf_z(out, ": ");
        put_text(out, fields[i].value);
    }
}

static void put_framing(struct buf *out, const struct msg *m)
{
    buf_z(out, m->keep_alive ? " keep " : " close ");
    switch (m->body) {
    case BODY_NONE:
        buf_char(out, '-');
        break;
    case BODY_LENGTH:
        buf_u64(out, m->length);
        break;
    case BODY_STREAM:
        buf_z(out, "chunked");
        break;
    case BODY_CLOSE:
        buf_z(out, "close");
        break;
    }
    buf_z(out, m->expect_continue ? " expect" : "");
    if (m->upgrade.len > 0) {
        buf_z(out, " upgrade=");
        put_text(out, m->upgrade);
    }
}

static void put_message(struct buf *out, const struct h1_run *run, const struct h1_run_message *m,
                        bool full)
{
    if (run->h1.is_response) {
        buf_printf(out, "%u", m->msg.status);
    } else {
        put_text(out, m->msg.method);
        buf_char(out, ' ');
        put_text(out, m->msg.target);
    }
    put_framing(out, &m->msg);
    if (full) {
        buf_printf(out, " 1.%u (", m->msg.minor);
        put_text(out, run->h1.is_response ? m->msg.reason : m->msg.authority);
        buf_printf(out, ") length=%d {", m->msg.has_length);
        put_fields(out, m->msg.fields, m->msg.field_count);
        buf_char(out, '}');
    }
    if (m->body.len > 0) {
        buf_z(out, " \"");
        put_text(out, buf_view(&m->body));
        buf_char(out, '"');
    }
    if (m->trailers.count > 0) {
        buf_z(out, " [");
        put_fields(out, m->trailers.fields, m->trailers.count);
        buf_char(out, ']');
    }
    buf_z(out, m->has_end ? " ." : "");
}

static void put_run(const struct h1_run *run, struct buf *out, bool full)
{
    const char *between = "";
    for (unsigned i = 0; i < run->count; i++) {
        if (run->message[i].has_head) {
            buf_z(out, between);
            put_message(out, run, &run->message[i], full);
            between = " | ";
        }
    }
    if (run->result == H1_FAULT) {
        buf_printf(out, "%s!%u", out->len > 0 ? " " : "", run->h1.fault.status);
        if (full) {
            buf_printf(out, " %s", run->h1.fault.text);
        }
    }
    if (run->body_bad) {
        buf_z(out, " body callback out of order");
    }
}

void h1_run_brief(const struct h1_run *run, struct buf *out)
{
    put_run(run, out, false);
}

void h1_run_full(const struct h1_run *run, struct buf *out)
{
    put_run(run, out, true);
}

void h1_run_rewrite(const struct h1_run *run, unsigned i, struct buf *out)
{
    const struct h1_run_message *from = &run->message[i];
    struct msg m = from->msg;
    struct h1_write_opts opts = {
        .close = !m.keep_alive,
        .upgrade = m.upgrade.len > 0,
        .chunked = m.body == BODY_STREAM || m.body == BODY_CLOSE,
    };
    m.path = m.target;
    if (run->h1.is_response) {
        h1_write_response(out, &m, &opts);
    } else {
        h1_write_request(out, &m, &opts);
    }
    if (!opts.chunked) {
        buf_str(out, buf_view(&from->body));
        return;
    }
    if (from->body.len > 0) {
        char head[20];
        buf_put(out, head, h1_chunk_head(head, from->body.len));
        buf_str(out, buf_view(&from->body));
        buf_z(out, "\r\n");
    }
    h1_write_last_chunk(out, &from->trailers);
}

static bool is_passed_on(const struct field *f, bool is_trailer)
{
    return is_trailer ? hop_trailer_allowed(f) : !f->hop && f->id != FIELD_HOST;
}

/* The fields that are passed on, in their order, are those that came. */
static bool same_fields(const struct field *a, unsigned na, const struct field *b, unsigned nb,
                        bool is_trailer)
{
    unsigned k = 0;
    for (unsigned i = 0; i < na; i++) {
        if (!is_passed_on(&a[i], is_trailer)) {
            continue;
        }
        while (k < nb && !is_passed_on(&b[k], is_trailer)) {
            k++;
        }
        if (k == nb || !str_eq(a[i].name, b[k].name) || !str_eq(a[i].value, b[k].value)) {
            return false;
        }
        k++;
    }
    while (k < nb && !is_passed_on(&b[k], is_trailer)) {
        k++;
    }
    return k == nb;
}

const char *h1_run_differs(const struct h1_run *run, unsigned i, const struct h1_run *other,
                           unsigned k)
{
    const struct h1_run_message *from = &run->message[i], *to = &other->message[k];
    const struct msg *a = &from->msg, *b = &to->msg;
    enum body_kind body = a->body == BODY_CLOSE ? BODY_STREAM : a->body;
    if (!to->has_end) {
        return "the message does not end";
    }
    if (!str_eq(a->method, b->method) || !str_eq(a->target, b->target) ||
        !str_eq(a->authority, b->authority) || a->status != b->status ||
        !str_eq(a->reason, b->reason)) {
        return "first line or Host";
    }
    if (!same_fields(a->fields, a->field_count, b->fields, b->field_count, false)) {
        return "fields";
    }
    if (body != b->body || a->has_length != b->has_length || a->length != b->length) {
        return "framing";
    }
    if (a->keep_alive != b->keep_alive || !str_eq(a->upgrade, b->upgrade)) {
        return "Connection";
    }
    if (!str_eq(buf_view(&from->body), buf_view(&to->body))) {
        return "body";
    }
    return same_fields(from->trailers.fields, from->trailers.count, to->trailers.fields,
                       to->trailers.count, true)
               ? NULL
               : "trailers";
}

void h1_run_free(struct h1_run *run)
{
    for (unsigned i = 0; i < run->count; i++) {
        arena_free(&run->message[i].arena);
        buf_free(&run->message[i].body);
    }
    h1_free(&run->h1);
}
