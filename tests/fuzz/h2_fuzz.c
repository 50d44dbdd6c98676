/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP/2 codec, which is fed frames from a peer that obeys nothing. The first byte chooses the
 * role, limits, and whether the preface is given; the second what the owner does by itself; the
 * third how the input is cut. Whatever is fed (tests/h2_run.c aborts where the order of what is
 * told is broken):
 * - what is told of the streams does not depend on how the input is cut, unless the owner goes away
 *   with the first piece of a body;
 * - no name or value of a head has a byte that could end a line, pseudo-fields go nowhere else, and
 *   heads stay within the limits;
 * - a body that has a length has no more than that, and just that when it has its end;
 * - streams that are counted are those that are open; what we send is in proportion;
 * - nothing stays behind.
 */
#include "tests/h2_run.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct h2_limits small = {
    .head = {.line = 64, .head = 512, .fields = 8}, .streams = 4, .held = 1000};
static const struct h2_limits usual = {
    .head = {.line = 8192, .head = 65536, .fields = 100}, .streams = 100, .held = 4 << 20};

#define REQUESTS 3 /* that a client has under way */

static bool is_line(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '\r' || s.ptr[i] == '\n' || s.ptr[i] == '\0') {
            return false;
        }
    }
    return true;
}

static void check_fields(const struct field *fields, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        assert(fields[i].name.len > 0 && fields[i].name.ptr[0] != ':');
        assert(str_index(fields[i].name, ' ') < 0 && str_index(fields[i].name, ':') < 0);
        assert(is_line(fields[i].name) && is_line(fields[i].value));
        assert(fields[i].id == field_id_of(fields[i].name));
    }
}

static void check_stream(const struct h2_run_stream *r, bool is_server)
{
    const struct msg *m = &r->msg;
    assert(m->field_count <= r->run->limits.head.fields);
    assert(r->s.head_bytes <= 8 * r->run->limits.head.head);
    if (r->heads == 0) {
        return;
    }
    check_fields(m->fields, m->field_count);
    check_fields(r->s.trailers.fields, r->s.trailers.count);
    if (is_server) {
        assert(m->method.len > 0 && m->path.len > 0 && m->path.len <= r->run->limits.head.line);
        assert(is_line(m->method) && is_line(m->path) && is_line(m->authority));
        assert(!method_is(m, "CONNECT"));
        assert(!m->has_length || r->body_size <= m->length);
        assert(!m->has_length || !r->ended || r->body_size == m->length);
    } else {
        assert(m->status >= 200 && m->status <= 599);
    }
}

static void check_run(const struct h2_run *run, bool is_server, size_t fed)
{
    unsigned open = 0;
    for (const struct h2_run_stream *r = run->streams; r != NULL; r = r->next) {
        check_stream(r, is_server);
        open += !r->closed && !r->forgotten && r->s.id > 0;
    }
    assert(run->abandoned || h2_count(run->h2) == open);
    assert(run->out.len <= 4096 + 64 * fed);
    (void)open;
    (void)fed;
}

/* Nothing when the connection is over: it may have been so in front of some piece. */
static void brief(const struct h2_run *run, struct buf *out)
{
    if (h2_is_over(run->h2, NULL)) {
        return;
    }
    for (const struct h2_run_stream *r = run->streams; r != NULL; r = r->next) {
        buf_printf(out, "%d ", r->s.id);
        if (r->ended || !r->closed) { /* else it broke off, before or in some piece */
            h2_run_brief(r, out);
        }
        buf_char(out, '\n');
    }
    buf_printf(out, "%d", run->goaway);
}

static void run_once(const uint8_t *data, struct str in, size_t most, uint64_t seed,
                     struct buf *out)
{
    static const char greeting[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
    bool is_server = (data[0] & 1) == 0;
    struct h2_run run;
    h2_run_init(&run, is_server ? H2_SERVER : H2_CLIENT, (data[0] & 2) != 0 ? &small : &usual,
                data[1]);
    size_t skip = is_server ? 0 : NGHTTP2_CLIENT_MAGIC_LEN;
    if ((data[0] & 4) == 0) {
        h2_run_feed(&run, str_of(greeting + skip, sizeof(greeting) - 1 - skip), SIZE_MAX, 0);
    }
    for (int i = 0; !is_server && i < REQUESTS; i++) {
        struct h2_run_stream *r = h2_run_request(&run, i == 0 ? "HEAD" : "POST", NULL, i == 0);
        if (r != NULL && i > 0) {
            h2_write(run.h2, &r->s, "body", 4);
        }
    }
    h2_run_pump(&run);
    h2_run_feed(&run, in, most, seed);
    if (!run.abandoned) {
        h2_run_pump(&run);
    }
    check_run(&run, is_server, in.len);
    brief(&run, out);
    h2_run_free(&run);
}

/* nghttp2 (1.52, and 1.61 where this came from) counts a CONTINUATION once for every piece that its
 * nine bytes of frame head come in: a few more of them end a connection than should. */
static bool has_continuation(struct str in)
{
    for (size_t i = 3; i < in.len; i++) {
        if (in.ptr[i] == NGHTTP2_CONTINUATION) {
            return true;
        }
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 3) {
        return 0;
    }
    struct str in = str_of((const char *)data + 3, len - 3);
    struct buf expected = {0}, other = {0};
    bool leaves = (data[1] & (H2_RUN_FORGET | H2_RUN_RESET | H2_RUN_ABANDON)) != 0;
    bool compare = !leaves && !has_continuation(in);
    const struct {
        size_t most;
        uint64_t seed;
    } cuts[] = {{SIZE_MAX, 0}, {1, 0}, {(data[2] & 63u) + 1, data[2] + 1u}};
    for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
        run_once(data, in, MIN(cuts[i].most, in.len + 1), cuts[i].seed,
                 i == 0 ? &expected : &other);
        if (i > 0) {
            bool both = compare && expected.len > 0 && other.len > 0;
            assert(!both || str_eq(buf_view(&expected), buf_view(&other)));
            (void)both;
            buf_clear(&other);
        }
    }
    buf_free(&expected);
    buf_free(&other);
    return 0;
}
