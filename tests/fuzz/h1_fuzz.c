/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP/1 parser and writer. The first byte chooses direction, method and limits, the second how
 * the input is cut. Whatever is fed:
 * - what comes out does not depend on how the input is cut;
 * - what was read, written and read again is the same message, and nothing is left over;
 * - no name, value, target or reason has a byte that could end a line;
 * - memory stays within a small multiple of the limits.
 */
#include "tests/h1_run.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct h1_limits small = {.line = 64, .head = 300, .fields = 6};
static const struct h1_limits usual = {.line = 1024, .head = 4096, .fields = 50};
static const struct h1_limits wide = {.line = 1 << 16, .head = 1 << 18, .fields = 1000};

static bool is_text(struct str s, bool with_space)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c == 0x7f || (with_space ? c < 0x20 && c != '\t' : c <= 0x20)) {
            return false;
        }
    }
    return true;
}

static void check_fields(const struct field *fields, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct str value = fields[i].value;
        assert(fields[i].name.len > 0 && is_text(fields[i].name, false));
        assert(str_index(fields[i].name, ':') < 0);
        assert(is_text(value, true) && str_eq(value, str_trim(value)));
        assert(fields[i].id == field_id_of(fields[i].name));
    }
}

static void check_message(const struct h1_run_message *m, const struct h1_limits *limits)
{
    assert(m->arena.total <=
           4 * limits->head + 8 * limits->fields * sizeof(struct field) + (size_t)3 * 4096);
    if (!m->has_head) {
        return;
    }
    assert(is_text(m->msg.method, false) && is_text(m->msg.target, false));
    assert(is_text(m->msg.reason, true));
    assert(m->msg.field_count <= limits->fields && m->trailers.count <= limits->fields);
    check_fields(m->msg.fields, m->msg.field_count);
    check_fields(m->trailers.fields, m->trailers.count);
    if (m->msg.body == BODY_LENGTH) {
        assert(m->has_end ? m->body.len == m->msg.length : m->body.len < m->msg.length);
    }
}

/* Pipelined, as far as messages are complete. */
static void check_rewritten(const struct h1_run *run)
{
    struct buf wire = {0};
    unsigned complete = 0;
    for (unsigned i = 0; i < run->count && run->message[i].has_end; i++) {
        h1_run_rewrite(run, i, &wire);
        complete++;
    }
    struct h1_run again;
    h1_run_init(&again, run->h1.is_response, &wide, run->method);
    h1_run_all(&again, buf_view(&wire), MAX(wire.len, (size_t)1), 0);
    assert(again.result != H1_FAULT && again.taken == wire.len);
    for (unsigned i = 0; i < complete; i++) {
        const char *differs = h1_run_differs(run, i, &again, i);
        assert(differs == NULL);
        (void)differs;
    }
    h1_run_free(&again);
    buf_free(&wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const struct str methods[] = {STR_INIT("GET"), STR_INIT("HEAD"), STR_INIT("CONNECT"),
                                         STR_INIT("POST")};
    if (len < 2) {
        return 0;
    }
    const struct h1_limits *limits = (data[0] & 2) != 0 ? &small : &usual;
    struct str in = str_of((const char *)data + 2, len - 2);
    struct buf expected = {0}, other = {0};
    const struct {
        size_t most;
        uint64_t seed;
    } cuts[] = {{MAX(in.len, (size_t)1), 0}, {1, 0}, {(data[1] & 63u) + 1, data[1] + 1u}};
    for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
        struct h1_run run;
        h1_run_init(&run, (data[0] & 1) != 0, limits, methods[data[0] >> 2 & 3]);
        h1_run_all(&run, in, cuts[i].most, cuts[i].seed);
        h1_run_full(&run, i == 0 ? &expected : &other);
        assert(!run.body_bad);
        assert(run.h1.partial.cap <= 4 * MAX(limits->head, (size_t)4096));
        for (unsigned k = 0; k < run.count; k++) {
            check_message(&run.message[k], limits);
        }
        if (i == 0) {
            check_rewritten(&run);
        } else {
            assert(str_eq(buf_view(&expected), buf_view(&other)));
            buf_clear(&other);
        }
        h1_run_free(&run);
    }
    buf_free(&expected);
    buf_free(&other);
    return 0;
}
