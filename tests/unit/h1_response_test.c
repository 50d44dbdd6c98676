/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP/1 parser: responses. */
#include "tests/unit/h1_check.h"

static const struct h1_limits usual = {.line = 8192, .head = 65536, .fields = 100};

static void check_responses(const struct sample *samples, size_t count, const char *method)
{
    for (size_t i = 0; i < count; i++) {
        check_bytes(true, method, &usual, samples[i].in, samples[i].brief);
    }
}

/* Whoever has got the head may turn it into what he writes: the body is read as it was announced.
 */
static void test_head_is_the_owners(void **state)
{
    (void)state;
    struct h1_run run;
    struct arena arena = {0};
    struct msg m = {.arena = &arena};
    struct str in = STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n");
    h1_run_init(&run, true, &usual, STR("GET"));
    h1_restart(&run.h1, &m, STR("GET"));
    run.in_feed = true;
    assert_int_equal(h1_feed(&run.h1, &in), H1_GOT_HEAD);
    m.body = BODY_NONE;
    assert_int_equal(h1_feed(&run.h1, &in), H1_GOT_END);
    assert_int_equal(in.len, 0);
    assert_true(str_eq(buf_view(&run.message[0].body), STR("x")));
    h1_run_free(&run);
    arena_free(&arena);
}

static void test_responses(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {STR_INIT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"), "200 keep 2 \"hi\" ."},
        {STR_INIT("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), "200 keep - ."},
        {STR_INIT("HTTP/1.1 200 OK\r\n\r\nhi"), "200 close close \"hi\" ."},
        {STR_INIT("HTTP/1.1 200 OK\r\n\r\n"), "200 close close ."},
        {STR_INIT("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\nhi"),
         "200 close close \"hi\" ."},
        {STR_INIT("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi"), "200 close 2 \"hi\" ."},
        {STR_INIT("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi"),
         "200 keep 2 \"hi\" ."},
        {STR_INIT("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"),
         "200 close 2 \"hi\" ."},
        {STR_INIT(
             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nA: b\r\n\r\n"),
         "200 keep chunked \"hi\" [A: b] ."},
        {STR_INIT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"),
         "200 keep chunked \"hi\" !502"},
        {STR_INIT("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi"), "200 keep 3 \"hi\" !502"},
        {STR_INIT("HTTP/1.1 200 OK\r\nContent-Le"), "!502"},
        /* no body, whatever the fields say (RFC 9112, 6.3) */
        {STR_INIT("HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n"), "304 keep - ."},
        {STR_INIT("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"),
         "304 keep - ."},
        {STR_INIT("HTTP/1.1 204 No Content\r\n\r\n"), "204 keep - ."},
        {STR_INIT("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"), "204 keep - ."},
        {STR_INIT("HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n"), "204 close - ."},
        {STR_INIT("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"),
         "204 close - ."},
        {STR_INIT("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                  "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"),
         "100 keep - . | 103 keep - . | 200 keep 1 \"x\" ."},
        {STR_INIT("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
                  "Upgrade: websocket\r\n\r\n"),
         "101 keep - upgrade=websocket ."},
        {STR_INIT("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"),
         "101 keep - ."},
        {STR_INIT("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: upgrade\r\n"
                  "Upgrade: h2,h2c\r\n\r\n"),
         "200 keep - upgrade=h2,h2c ."},
        /* the status line */
        {STR_INIT("HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n"), "404 keep - ."},
        {STR_INIT("HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n"), "404 keep - ."},
        {STR_INIT("HTTP/1.1 404 \xc3\xa9\t!\r\nContent-Length: 0\r\n\r\n"), "404 keep - ."},
        {STR_INIT("HTTP/1.1 599 x\r\nContent-Length: 0\r\n\r\n"), "599 keep - ."},
        {STR_INIT("HTTP/1.1 600 x\r\nContent-Length: 0\r\n\r\n"), "!502"},
        {STR_INIT("HTTP/1.1 099 x\r\nContent-Length: 0\r\n\r\n"), "!502"},
        {STR_INIT("HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"), "!502"},
        {STR_INIT("HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"), "!502"},
        {STR_INIT("HTTP/1.1 200OK\r\nContent-Length: 0\r\n\r\n"), "!502"},
        {STR_INIT("HTTP/1.1 +20 OK\r\nContent-Length: 0\r\n\r\n"), "!502"},
        {STR_INIT("HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n"), "!502"},
        {STR_INIT("HTTP/1.1\r\nContent-Length: 0\r\n\r\n"), "!502"},
        {STR_INIT("HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n"), "!502"},
        {STR_INIT("HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n"), "!502"},
        {STR_INIT("HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n"), "!502"},
        {STR_INIT("HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"), "!502"},
        {STR_INIT("http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), "!502"},
        {STR_INIT("ICY 200 OK\r\n\r\n"), "!502"},
        {STR_INIT("\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), "!502"},
        {STR_INIT(" HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), "!502"},
        {STR_INIT("220 mail.example.com ESMTP\r\n"), "!502"},
        {STR_INIT("<html>"), "!502"},
        {STR_INIT("\x15\x03\x03\x00\x02\x02\x28"), "!502"},
        {STR_INIT(""), ""},
        /* fields */
        {STR_INIT("HTTP/1.1 200 OK\r\nA: b\0\r\nContent-Length: 0\r\n\r\n"), "!502"},
        {STR_INIT("HTTP/1.1 200 OK\r\nA: b\x01\r\nContent-Length: 0\r\n\r\n"), "!502"},
        {STR_INIT("HTTP/1.1 200 OK\r\nA: b\rc\r\nContent-Length: 0\r\n\r\n"), "!502"},
        {STR_INIT("HTTP/1.1 200 OK\r\nA: b\r\r\nContent-Length: 0\r\n\r\n"), "!502"},
        {STR_INIT("HTTP/1.1 200 OK\r\nA : b\r\nContent-Length: 0\r\n\r\n"), "!502"},
        {STR_INIT("HTTP/1.1 200 OK\r\n: b\r\nContent-Length: 0\r\n\r\n"), "!502"},
        {STR_INIT("HTTP/1.1 200 OK\r\nnonsense\r\nContent-Length: 0\r\n\r\n"), "!502"},
        {STR_INIT("HTTP/1.1 200 OK\r\nA: \xe4\xff\r\nContent-Length: 0\r\n\r\n"), "200 keep - ."},
        /* length */
        {STR_INIT("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nhi"), "!502"},
        {STR_INIT("HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nhi"), "!502"},
        {STR_INIT("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhi"), "!502"},
        {STR_INIT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nhi"),
         "!502"},
        {STR_INIT("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"), "!502"},
        {STR_INIT("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"), "!502"},
        {STR_INIT("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), "!502"},
    };
    check_responses(samples, ARRAY_LEN(samples), "GET");
}

/* RFC 9112, 2.2 and 5.2: what a recipient of a response may mend. */
static void test_normalised(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {STR_INIT("HTTP/1.1 200 OK\nA: b\nContent-Length: 2\n\nhi"), "200 keep 2 \"hi\" ."},
        {STR_INIT("HTTP/1.1 200 OK\r\nContent-Length: 2\n\r\nhi"), "200 keep 2 \"hi\" ."},
        {STR_INIT("HTTP/1.1 200 OK\nContent-Length: 2\r\n\nhi"), "200 keep 2 \"hi\" ."},
        {STR_INIT("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\n\nhi"),
         "200 keep 2 \"\\x0ah\" . !502"},
        {STR_INIT("HTTP/1.1 200 OK\r\nA: b\r\n  c\r\n\td\r\nContent-Length:\r\n 2\r\n\r\nhi"),
         "200 keep 2 \"hi\" ."},
        {STR_INIT("HTTP/1.1 200 OK\r\nTransfer-Encoding:\n\tchunked\n\n2\r\nhi\r\n0\r\n\r\n"),
         "200 keep chunked \"hi\" ."},
        {STR_INIT("HTTP/1.1 200 OK\nA: b\rc\nContent-Length: 0\n\n"), "!502"},
        {STR_INIT("HTTP/1.1 200 OK\nA: b\n\rc\nContent-Length: 0\n\n"), "!502"},
        {STR_INIT("HTTP/1.1 200 OK\r\n A: b\r\nContent-Length: 0\r\n\r\n"), "!502"},
        {STR_INIT("HTTP/1.1 200 OK\n\tA: b\nContent-Length: 0\n\n"), "!502"},
        {STR_INIT("HTTP/1.1 200 OK\n\n"), "200 close close ."},
        {STR_INIT("HTTP/1.1 200 OK\r\nA\r\n : b\r\nContent-Length: 0\r\n\r\n"), "!502"},
        /* chunks are no head */
        {STR_INIT("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nhi\n0\n\n"),
         "200 keep chunked !502"},
    };
    check_responses(samples, ARRAY_LEN(samples), "GET");

    struct h1_run run;
    struct buf text = {0};
    h1_run_init(&run, true, &usual, STR("GET"));
    h1_run_feed(&run, STR("HTTP/1.1 200 OK\nA: b\n\tc\nD:\n e\r\n\r\n"));
    h1_run_full(&run, &text);
    check_text(&text, "200 close close 1.1 (OK) length=0 {A: b \x5cx09c; D: e}");
    buf_free(&text);
    h1_run_free(&run);
}

static void test_response_to(void **state)
{
    (void)state;
    static const struct sample head[] = {
        {STR_INIT("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), "200 keep - ."},
        {STR_INIT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), "200 keep - ."},
        {STR_INIT("HTTP/1.1 200 OK\r\n\r\n"), "200 keep - ."},
        {STR_INIT("HTTP/1.1 404 Not Found\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"),
         "404 keep - . | 200 keep - ."},
    };
    check_responses(head, ARRAY_LEN(head), "HEAD");
    /* RFC 9112, 6.3: a 2xx to CONNECT has no body, a refusal has */
    static const struct sample connect[] = {
        {STR_INIT("HTTP/1.1 200 OK\r\n\r\n"), "200 keep - ."},
        {STR_INIT("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), "200 keep - ."},
        {STR_INIT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), "200 keep - ."},
        {STR_INIT("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"), "403 keep 2 \"no\" ."},
        {STR_INIT("HTTP/1.1 407 Who\r\n\r\nno"), "407 close close \"no\" ."},
    };
    check_responses(connect, ARRAY_LEN(connect), "CONNECT");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head_is_the_owners),
        cmocka_unit_test(test_responses),
        cmocka_unit_test(test_normalised),
        cmocka_unit_test(test_response_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
