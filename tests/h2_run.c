/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/h2_run.h"

#include "common/mem.h"

#include <stdlib.h>

#define BODY_KEPT ((size_t)64 << 10)

/* Aborts with or without assertions: a fuzzer must see it. */
#define must(x)      \
    do {             \
        if (!(x)) {  \
            abort(); \
        }            \
    } while (0)

static struct h2_run_stream *of(struct h2_stream *s)
{
    struct h2_run_stream *r = CONTAINER_OF(s, struct h2_run_stream, s);
    must(!r->closed && !r->forgotten && !r->run->abandoned);
    return r;
}

static struct h2_run_stream *stream_new(struct h2_run *run)
{
    struct h2_run_stream *r = xnew(struct h2_run_stream);
    r->run = run;
    r->next = run->streams;
    run->streams = r;
    r->msg.arena = &r->arena;
    r->s.msg = &r->msg;
    r->s.out.pool = &run->pool;
    return r;
}

static struct h2_stream *on_begin(void *ctx)
{
    struct h2_run *run = ctx;
    must(!run->abandoned);
    return (run->habits & H2_RUN_REFUSE) != 0 ? NULL : &stream_new(run)->s;
}

static void answer(struct h2_run_stream *r, bool ends)
{
    struct msg m = {.arena = &r->arena, .status = 200, .body = ends ? BODY_NONE : BODY_STREAM};
    msg_add(&m, STR("X-Answer"), STR("yes"));
    h2_respond(r->run->h2, &r->s, &m, ends);
}

static void on_head(void *ctx, struct h2_stream *s, bool ends)
{
    struct h2_run *run = ctx;
    struct h2_run_stream *r = of(s);
    must(!r->ended && !r->bad && r->heads == 0);
    must(r->msg.field_count <= run->limits.head.fields);
    if (r->msg.status != 0 && r->msg.status < 200) {
        must(!ends || r->msg.status != 0);
        r->interim++;
        return;
    }
    r->heads++;
    if (r->msg.status != 0) {
        return;
    }
    if ((run->habits & H2_RUN_STOP) != 0) {
        answer(r, true);
        h2_stop_request(run->h2, s);
    } else if ((run->habits & H2_RUN_ANSWER) != 0) {
        answer(r, false);
        if (ends) {
            h2_end(run->h2, s, NULL);
        }
    }
}

static void on_bad_head(void *ctx, struct h2_stream *s)
{
    struct h2_run *run = ctx;
    struct h2_run_stream *r = of(s);
    must(!r->ended && !r->bad && r->heads == 0 && s->fault.text != NULL);
    r->bad = true;
    h2_reset(run->h2, s, NGHTTP2_PROTOCOL_ERROR);
}

static void on_data(void *ctx, struct h2_stream *s, const uint8_t *p, size_t len)
{
    struct h2_run *run = ctx;
    struct h2_run_stream *r = of(s);
    must(r->heads == 1 && !r->ended && !r->bad);
    r->body_size += len;
    size_t kept = MIN(len, BODY_KEPT - MIN(r->body.len, BODY_KEPT));
    buf_put(&r->body, (const char *)p, kept);
    if ((run->habits & H2_RUN_ABANDON) != 0) {
        run->abandoned = true;
        h2_abandon(run->h2);
    } else if ((run->habits & H2_RUN_FORGET) != 0) {
        r->forgotten = true;
        h2_forget(run->h2, s, NGHTTP2_CANCEL);
    } else if ((run->habits & H2_RUN_RESET) != 0) {
        h2_reset(run->h2, s, NGHTTP2_CANCEL);
    } else if ((run->habits & H2_RUN_PAUSE) != 0) {
        h2_pause(run->h2, s, true);
    } else if ((run->habits & H2_RUN_ANSWER) != 0 && r->msg.status == 0) {
        h2_write(run->h2, s, p, len);
        if (h2_is_full(s)) {
            h2_pause(run->h2, s, true);
        }
    }
}

static void on_end(void *ctx, struct h2_stream *s)
{
    struct h2_run *run = ctx;
    struct h2_run_stream *r = of(s);
    must(r->heads == 1 && !r->ended && !r->bad);
    must(s->trailers.count <= run->limits.head.fields);
    r->ended = true;
    if ((run->habits & H2_RUN_ANSWER) != 0 && r->msg.status == 0) {
        h2_end(run->h2, s, &s->trailers);
    }
}

static void on_room(void *ctx, struct h2_stream *s)
{
    struct h2_run *run = ctx;
    struct h2_run_stream *r = of(s);
    must(s->out.len < H2_STREAM_LOW);
    r->rooms++;
    h2_pause(run->h2, s, false);
}

static void on_closed(void *ctx, struct h2_stream *s)
{
    (void)ctx;
    struct h2_run_stream *r = of(s);
    must(s->out.len == 0 && s->owed == 0);
    r->closed = true;
}

static void on_goaway(void *ctx)
{
    struct h2_run *run = ctx;
    must(!run->abandoned);
    run->goaway = true;
}

static void on_wants(void *ctx)
{
    struct h2_run *run = ctx;
    run->wants = true;
}

static void on_send(void *ctx, const void *data, size_t len)
{
    struct h2_run *run = ctx;
    buf_put(&run->out, data, len);
}

static const struct h2_ops ops = {
    .begin = on_begin,
    .head = on_head,
    .bad_head = on_bad_head,
    .data = on_data,
    .end = on_end,
    .room = on_room,
    .closed = on_closed,
    .goaway = on_goaway,
    .wants = on_wants,
    .send = on_send,
};

void h2_run_init(struct h2_run *run, enum h2_role role, const struct h2_limits *limits,
                 unsigned habits)
{
    *run = (struct h2_run){.limits = *limits, .habits = habits, .now_ms = 1000};
    run->h2 = h2_new(role, &run->limits, &ops, run, run->now_ms);
}

void h2_run_free(struct h2_run *run)
{
    h2_free(run->h2);
    while (run->streams != NULL) {
        struct h2_run_stream *r = run->streams;
        run->streams = r->next;
        must(r->s.out.len == 0);
        arena_free(&r->arena);
        buf_free(&r->body);
        free(r);
    }
    buf_free(&run->out);
}

void h2_run_feed(struct h2_run *run, struct str in, size_t most, uint64_t seed)
{
    while (in.len > 0 && !h2_is_over(run->h2, NULL)) {
        size_t n = MIN(in.len, most);
        if (seed != 0) {
            seed = seed * 6364136223846793005U + 1442695040888963407U;
            n = 1 + (size_t)(seed >> 33) % n;
        }
        uint8_t *piece = xmalloc(n);
        memcpy(piece, in.ptr, n);
        h2_feed(run->h2, piece, n, run->now_ms);
        free(piece);
        in = str_skip(in, n);
    }
}

void h2_run_pump(struct h2_run *run)
{
    while (run->wants) {
        run->wants = false;
        h2_pump(run->h2, SIZE_MAX);
    }
}

static bool carry(struct h2_run *from, struct h2_run *to, size_t most)
{
    h2_run_pump(from);
    if (from->out.len == 0) {
        return false;
    }
    struct buf taken = from->out;
    from->out = (struct buf){0};
    h2_run_feed(to, buf_view(&taken), most, 0);
    buf_free(&taken);
    return true;
}

void h2_run_join(struct h2_run *a, struct h2_run *b, size_t most)
{
    a->wants = b->wants = true;
    bool moved = true;
    while (moved) {
        moved = carry(a, b, most);
        moved |= carry(b, a, most);
    }
}

struct h2_run_stream *h2_run_request(struct h2_run *run, const char *method,
                                     const char *const *fields, bool ends)
{
    struct h2_run_stream *r = stream_new(run);
    struct msg m = {.arena = &r->arena,
                    .method = str_z(method),
                    .scheme = STR("https"),
                    .authority = STR("a.example"),
                    .path = STR("/path"),
                    .body = ends ? BODY_NONE : BODY_STREAM};
    for (; fields != NULL && *fields != NULL; fields += 2) {
        msg_add(&m, str_z(fields[0]), str_z(fields[1]));
    }
    return h2_request(run->h2, &r->s, &m, ends) ? r : NULL;
}

struct h2_run_stream *h2_run_find(const struct h2_run *run, int32_t id)
{
    struct h2_run_stream *r = run->streams;
    while (r != NULL && r->s.id != id) {
        r = r->next;
    }
    return r;
}

static void brief_fields(const struct field *fields, unsigned count, struct buf *out)
{
    for (unsigned i = 0; i < count; i++) {
        buf_char(out, ' ');
        buf_str(out, fields[i].name);
        buf_char(out, '=');
        buf_str(out, fields[i].value);
    }
}

void h2_run_brief(const struct h2_run_stream *r, struct buf *out)
{
    if (r->heads > 0) {
        if (r->msg.status != 0) {
            buf_u64(out, r->msg.status);
        } else {
            buf_str(out, r->msg.method);
            buf_char(out, ' ');
            buf_str(out, r->msg.path);
        }
        brief_fields(r->msg.fields, r->msg.field_count, out);
        buf_z(out, " #");
        buf_u64(out, r->body_size);
    }
    if (r->bad) {
        buf_printf(out, "!%u", r->s.fault.status);
    }
    if (r->ended) {
        brief_fields(r->s.trailers.fields, r->s.trailers.count, out);
        buf_z(out, " .");
    }
    if (r->closed) {
        buf_printf(out, " closed %u", (unsigned)r->s.code);
    }
}
