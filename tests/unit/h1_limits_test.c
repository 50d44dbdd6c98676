/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP/1 parser: sizes, floods, and ends in every state. */
#include "tests/unit/h1_check.h"

static const struct h1_limits usual = {.line = 8192, .head = 65536, .fields = 100};

#define CHUNKS_HEAD "POST / keep chunked"

static void fill(struct buf *b, char c, size_t n)
{
    memset(buf_room(b, n), c, n);
    b->len += n;
}

/* The limits to the byte: what fits passes, one more does not. */
static void test_limits(void **state)
{
    (void)state;
    static const struct h1_limits small = {.line = 64, .head = 256, .fields = 4};
    struct buf in = {0};
    for (int over = 0; over <= 1; over++) {
        buf_z(&in, "GET /");
        fill(&in, 'x', 64 - strlen("GET / HTTP/1.1") + (size_t)over);
        size_t target_end = in.len;
        buf_z(&in, " HTTP/1.1\r\nHost: a\r\n\r\n");
        struct buf expected = {0};
        if (over) {
            buf_z(&expected, "!414");
        } else {
            buf_put(&expected, in.ptr, target_end);
            buf_z(&expected, " keep - .");
        }
        check_bytes(false, NULL, &small, buf_view(&in), buf_cstr(&expected));
        buf_clear(&in);
        buf_free(&expected);

        buf_z(&in, "GET / HTTP/1.1\r\nHost: a\r\nA: ");
        fill(&in, 'x', 256 - in.len - 4 + (size_t)over);
        buf_z(&in, "\r\n\r\n");
        check_bytes(false, NULL, &small, buf_view(&in), over ? "!431" : "GET / keep - .");
        buf_clear(&in);

        buf_z(&in, "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nA: b\r\nA: b\r\n");
        buf_z(&in, over ? "A: b\r\n\r\n" : "\r\n");
        check_bytes(false, NULL, &small, buf_view(&in), over ? "!431" : "GET / keep - .");
        buf_clear(&in);

        buf_z(&in, "HTTP/1.1 200 ");
        fill(&in, 'x', 64 - in.len + (size_t)over);
        buf_z(&in, "\r\nContent-Length: 0\r\n\r\n");
        check_bytes(true, "GET", &small, buf_view(&in), over ? "!502" : "200 keep - .");
        buf_clear(&in);

        buf_z(&in, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: ");
        fill(&in, 'x', 256 - in.len - 4 + (size_t)over);
        buf_z(&in, "\r\n\r\n");
        check_bytes(true, "GET", &small, buf_view(&in), over ? "!502" : "200 keep - .");
        buf_clear(&in);

        /* the trailer section, with the empty line that ends it */
        buf_z(&in, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: ");
        fill(&in, 'x', 256 - strlen("A: \r\n\r\n") + (size_t)over);
        buf_z(&in, "\r\n\r\n");
        buf_z(&expected, "POST / keep chunked ");
        if (over) {
            buf_z(&expected, "!431");
        } else {
            buf_z(&expected, "[A: ");
            fill(&expected, 'x', 256 - strlen("A: \r\n\r\n"));
            buf_z(&expected, "] .");
        }
        check_bytes(false, NULL, &small, buf_view(&in), buf_cstr(&expected));
        buf_clear(&in);
        buf_free(&expected);

        buf_z(&in, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
                   "A:\r\nA:\r\nA:\r\nA:\r\n");
        buf_z(&in, over ? "A:\r\n\r\n" : "\r\n");
        check_bytes(false, NULL, &small, buf_view(&in),
                    over ? "POST / keep chunked !431"
                         : "POST / keep chunked [A: ; A: ; A: ; A: ] .");
        buf_clear(&in);
    }
    buf_free(&in);
}

/* A limit for the line that the head does not reach: the head's comes first, in every cut. */
static void test_head_shorter_than_line(void **state)
{
    (void)state;
    static const struct h1_limits odd = {.line = 64, .head = 60, .fields = 4};
    struct buf in = {0};
    buf_z(&in, "GET /");
    fill(&in, 'x', 70);
    buf_z(&in, " HTTP/1.1\r\nHost: a\r\n\r\n");
    check_bytes(false, NULL, &odd, buf_view(&in), "!431");
    buf_free(&in);
}

/* A peer that never comes to an end is cut off early, and the memory for it is bounded. */
static void test_endless(void **state)
{
    (void)state;
    static const struct h1_limits small = {.line = 64, .head = 256, .fields = 4};
    static const struct {
        const char *start, *again;
        const char *brief;
        bool is_response;
    } rows[] = {
        {"", "x", "!414", false},
        {"GET /", "x", "!414", false},
        {"GET / HTTP/1.1\r\nHost: a\r\n", "A: b\r\n", "!431", false},
        {"GET / HTTP/1.1\r\nHost: a\r\nA: ", "b", "!431", false},
        {"", "\r\n", "!400", false},
        {"HTTP/1.1 200 ", "x", "!502", true},
        {"HTTP/1.1 200 OK\r\n", "A: b\r\n", "!502", true},
        {"HTTP/1.1 200 OK\r\nA: ", "b\r\n ", "!502", true},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: ", "b",
         CHUNKS_HEAD " !431", false},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "0",
         CHUNKS_HEAD " !400", false},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;a=", "b",
         CHUNKS_HEAD " !400", false},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;", " ",
         CHUNKS_HEAD " !400", false},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1", ";a",
         CHUNKS_HEAD " !400", false},
    };
    struct buf in = {0};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        buf_z(&in, rows[i].start);
        while (in.len < 100000) {
            buf_z(&in, rows[i].again);
        }
        check_bytes(rows[i].is_response, "GET", &small, buf_view(&in), rows[i].brief);
        struct h1_run run;
        h1_run_init(&run, rows[i].is_response, &small, STR("GET"));
        h1_run_all(&run, buf_view(&in), 1000, 0);
        assert_true(run.taken < 6000);
        assert_true(run.h1.partial.cap <= 8192);
        assert_true(run.message[0].arena.total <= 8192);
        h1_run_free(&run);
        buf_clear(&in);
    }
    buf_free(&in);
}

/* Chunk framing may outweigh the data by a factor, not without end. */
static void test_chunk_overhead(void **state)
{
    (void)state;
    struct buf in = {0};
    struct h1_run run;
    static const struct {
        const char *chunk;
        unsigned times;
        bool fine;
    } rows[] = {
        {"1\r\nx\r\n", 100000, true},
        {"1;ab=cdef\r\nx\r\n", 100000, true},
        {"1;signature=0123456789abcdef0123456789abcdef\r\nx\r\n", 100, true},
        {"1;signature=0123456789abcdef0123456789abcdef\r\nx\r\n", 100000, false},
        {"40;signature=0123456789abcdef0123456789abcdef\r\n"
         "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\r\n",
         10000, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        buf_z(&in, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (unsigned n = 0; n < rows[i].times; n++) {
            buf_z(&in, rows[i].chunk);
        }
        size_t taken = 0;
        for (size_t piece = 1; piece <= in.len; piece *= 100) {
            h1_run_init(&run, false, &usual, STR_NONE);
            h1_run_all(&run, str_of(in.ptr, in.len), piece, 0);
            assert_string_equal(run.h1.fault.text, rows[i].fine
                                                       ? "the connection ended inside a message"
                                                       : "chunks with too little in them");
            assert_true(taken == 0 || run.message[0].body.len == taken);
            taken = run.message[0].body.len;
            h1_run_free(&run);
        }
        buf_clear(&in);
    }
    /* Data that comes later does not excuse what came first. */
    buf_z(&in, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (unsigned n = 0; n < 1000; n++) {
        buf_z(&in, rows[3].chunk);
    }
    buf_z(&in, "ffff\r\n");
    fill(&in, 'x', 0xffff);
    buf_z(&in, "\r\n0\r\n\r\n");
    h1_run_init(&run, false, &usual, STR_NONE);
    h1_run_all(&run, buf_view(&in), in.len, 0);
    assert_int_equal(run.result, H1_FAULT);
    h1_run_free(&run);
    buf_free(&in);
}

static void test_eof(void **state)
{
    (void)state;
    static const struct {
        bool is_response;
        const char *in;
        enum h1_result result;
        bool idle;
    } rows[] = {
        {false, "", H1_MORE, true},
        {false, "\r\n", H1_MORE, true},
        {false, "G", H1_FAULT, false},
        {false, "GET / HTTP/1.1\r\nHost: a\r\n\r", H1_FAULT, false},
        {false, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", H1_MORE, true},
        {false, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n", H1_FAULT, false},
        {false, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", H1_MORE, true},
        {false, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", H1_FAULT,
         false},
        {false, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", H1_FAULT,
         false},
        {false, "nonsense\r\n\r\n", H1_FAULT, false},
        {true, "", H1_MORE, true},
        {true, "H", H1_FAULT, false},
        {true, "HTTP/1.1 200 OK\r\n\r\n", H1_GOT_END, false},
        {true, "HTTP/1.1 200 OK\r\n\r\nx", H1_GOT_END, false},
        {true, "HTTP/1.1 204 No\r\n\r\n", H1_MORE, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct h1_run run;
        h1_run_init(&run, rows[i].is_response, &usual, STR("GET"));
        h1_run_feed(&run, str_z(rows[i].in));
        assert_int_equal(h1_is_idle(&run.h1), rows[i].idle);
        assert_int_equal(h1_eof(&run.h1), rows[i].result);
        if (rows[i].result == H1_FAULT) {
            struct str none = STR_NONE;
            assert_int_equal(h1_eof(&run.h1), H1_FAULT);
            assert_int_equal(h1_feed(&run.h1, &none), H1_FAULT);
        }
        h1_run_free(&run);
    }

    /* The end comes between the head and the first look at its body. */
    struct h1_run run;
    struct arena arena = {0};
    struct msg m = {.arena = &arena};
    struct str in = STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    h1_run_init(&run, false, &usual, STR_NONE);
    h1_restart(&run.h1, &m, STR_NONE);
    assert_int_equal(h1_feed(&run.h1, &in), H1_GOT_HEAD);
    assert_int_equal(h1_eof(&run.h1), H1_GOT_END);
    h1_run_free(&run);
    arena_free(&arena);
}

/* A client cannot buy much time with a Connection field that names thousands of fields. */
static void test_connection_flood(void **state)
{
    (void)state;
    struct buf in = {0};
    buf_z(&in, "GET / HTTP/1.1\r\nHost: a\r\nConnection: ");
    for (int i = 0; i < 10000; i++) {
        buf_z(&in, "a,");
    }
    buf_z(&in, "\r\n\r\n");
    check_bytes(false, NULL, &usual, buf_view(&in), "!400");
    buf_free(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits),  cmocka_unit_test(test_head_shorter_than_line),
        cmocka_unit_test(test_endless), cmocka_unit_test(test_chunk_overhead),
        cmocka_unit_test(test_eof),     cmocka_unit_test(test_connection_flood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
