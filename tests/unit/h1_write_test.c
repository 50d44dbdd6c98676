/* SPDX-License-Identifier: Apache-2.0 */
/* What the proxy writes in HTTP/1, and how it reads host[:port]. */
#include "proxy/http/hop.h"
#include "tests/h1_run.h"
#include "tests/unit/check.h"

static const struct h1_limits usual = {.line = 8192, .head = 65536, .fields = 100};

/* What is passed on, byte for byte, and that it reads as the same message. */
static void check_passed_on(bool is_response, const char *method, struct str in,
                            const char *expected)
{
    struct h1_run run, again;
    struct buf out = {0};
    h1_run_init(&run, is_response, &usual, str_z(method));
    h1_run_all(&run, in, in.len, 0);
    assert_true(run.message[0].has_end);
    h1_run_rewrite(&run, 0, &out);
    assert_string_equal(buf_cstr(&out), expected);

    h1_run_init(&again, is_response, &usual, str_z(method));
    h1_run_all(&again, buf_view(&out), out.len, 0);
    const char *differs = h1_run_differs(&run, 0, &again, 0);
    if (differs != NULL) {
        fail_msg("%s: %s", differs, expected);
    }
    assert_int_equal(again.taken, out.len);
    h1_run_free(&run);
    h1_run_free(&again);
    buf_free(&out);
}

static void test_requests(void **state)
{
    (void)state;
    static const struct {
        struct str in;
        const char *out;
    } rows[] = {
        {STR_INIT("GET /a?b HTTP/1.1\r\nA:b\r\nhost: \t h:80\r\nB:\tc\r\nC: \r\n\r\n"),
         "GET /a?b HTTP/1.1\r\nHost: h:80\r\nA: b\r\nB: c\r\nC: \r\n\r\n"},
        {STR_INIT("GET / HTTP/1.0\r\n\r\n"),
         "GET / HTTP/1.1\r\nHost: \r\nConnection: close\r\n\r\n"},
        {STR_INIT("GET / HTTP/1.1\r\nHost: h\r\nConnection: x, close\r\nX: 1\r\nY: 2\r\n"
                  "Keep-Alive: 5\r\nTE: gzip\r\nUpgrade: z\r\nProxy-Connection: y\r\n"
                  "Proxy-Authorization: p\r\nHTTP2-Settings: s\r\nVia: v\r\n\r\n"),
         "GET / HTTP/1.1\r\nHost: h\r\nVia: v\r\nConnection: close\r\n\r\n"},
        {STR_INIT("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0003\r\nExpect: 100-continue\r\n"
                  "\r\nabc"),
         "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc"},
        {STR_INIT("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"),
         "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"},
        {STR_INIT(
             "POST / HTTP/1.0\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\na"),
         "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nConnection: close\r\n\r\na"},
        /* chunks are composed anew; a trailer that would be read as framing, routing or a login
         * does not pass (RFC 9110, 6.5.1) */
        {STR_INIT("POST / HTTP/1.1\r\nHost: h\r\ntransfer-encoding: CHUNKED\r\nTrailer: A\r\n\r\n"
                  "2;x=y\r\nab\r\n0001\r\nc\r\n0;z\r\nA: b\r\ncontent-length: 9\r\nHost: i\r\n"
                  "Transfer-Encoding: chunked\r\nAuthorization: x\r\nProxy-Authorization: x\r\n"
                  "Connection: close\r\nTE: x\r\nTrailer: x\r\nUpgrade: x\r\nExpect: x\r\n"
                  "Content-Type: x\r\nKeep-Alive: x\r\nC:\r\n\r\n"),
         "POST / HTTP/1.1\r\nHost: h\r\nTrailer: A\r\nTransfer-Encoding: chunked\r\n\r\n"
         "3\r\nabc\r\n0\r\nA: b\r\nC: \r\n\r\n"},
        {STR_INIT("GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\n"
                  "Upgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n"),
         "GET / HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Key: k\r\nConnection: upgrade\r\n"
         "Upgrade: websocket\r\n\r\n"},
        {STR_INIT("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                  "Upgrade: h2c\r\nHTTP2-Settings: s\r\n\r\n"),
         "GET / HTTP/1.1\r\nHost: h\r\n\r\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        check_passed_on(false, NULL, rows[i].in, rows[i].out);
    }
}

static void test_responses(void **state)
{
    (void)state;
    static const struct {
        const char *method;
        struct str in;
        const char *out;
    } rows[] = {
        {"GET",
         STR_INIT("HTTP/1.0 200 Fine \xe4\r\nA: b\r\n  c\r\nConnection: x\r\nX: y\r\n"
                  "Proxy-Authenticate: z\r\nContent-Length: 2\r\n\r\nhi"),
         "HTTP/1.1 200 Fine \xe4\r\nA: b   c\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"},
        {"GET", STR_INIT("HTTP/1.1 404\r\nA:b\n\r\nhi"),
         "HTTP/1.1 404 \r\nA: b\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
         "2\r\nhi\r\n0\r\n\r\n"},
        {"GET",
         STR_INIT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked \t\r\n\r\n2\r\nhi\r\n0\r\n"
                  "ETag: x\r\nAlt-Svc: y\r\nWWW-Authenticate: z\r\n\r\n"),
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nETag: x\r\n\r\n"},
        {"HEAD", STR_INIT("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"),
         "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"},
        {"GET", STR_INIT("HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"),
         "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"},
        /* RFC 9110, 8.6: no Content-Length with 1xx and 204 */
        {"GET", STR_INIT("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"),
         "HTTP/1.1 204 No Content\r\n\r\n"},
        {"GET", STR_INIT("HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n"),
         "HTTP/1.1 100 Continue\r\n\r\n"},
        {"GET",
         STR_INIT("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                  "Upgrade: websocket\r\nSec-WebSocket-Accept: a\r\n\r\n"),
         "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: a\r\nConnection: upgrade\r\n"
         "Upgrade: websocket\r\n\r\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        check_passed_on(true, rows[i].method, rows[i].in, rows[i].out);
    }
}

static void test_options(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct msg m = {.arena = &arena,
                    .method = STR("GET"),
                    .path = STR("/"),
                    .authority = STR("h"),
                    .upgrade = STR("websocket"),
                    .status = 200,
                    .reason = STR("OK")};
    struct buf out = {0};
    msg_add(&m, STR("X-a"), STR("1"));
    msg_add_id(&m, FIELD_ACCEPT, STR("2"));
    h1_write_request(&out, &m, &(struct h1_write_opts){.te_trailers = true});
    check_text(&out, "GET / HTTP/1.1\r\nHost: h\r\nX-a: 1\r\naccept: 2\r\nConnection: TE\r\n"
                     "TE: trailers\r\n\r\n");
    /* there is one Connection field at most */
    h1_write_request(&out, &m,
                     &(struct h1_write_opts){.te_trailers = true, .close = true, .upgrade = true});
    check_text(&out, "GET / HTTP/1.1\r\nHost: h\r\nX-a: 1\r\naccept: 2\r\n"
                     "Connection: TE, upgrade, close\r\nTE: trailers\r\n"
                     "Upgrade: websocket\r\n\r\n");
    h1_write_response(&out, &m, &(struct h1_write_opts){.keep_alive_1_0 = true});
    check_text(&out, "HTTP/1.1 200 OK\r\nX-a: 1\r\naccept: 2\r\nConnection: keep-alive\r\n\r\n");
    h1_write_response(&out, &m, &(struct h1_write_opts){.keep_alive_1_0 = true, .close = true});
    check_text(&out, "HTTP/1.1 200 OK\r\nX-a: 1\r\naccept: 2\r\nConnection: close\r\n\r\n");
    m.has_length = true;
    m.length = UINT64_MAX;
    h1_write_response(&out, &m, &(struct h1_write_opts){.chunked = true});
    check_text(&out,
               "HTTP/1.1 200 OK\r\nX-a: 1\r\naccept: 2\r\nTransfer-Encoding: chunked\r\n\r\n");
    m.fields[0].hop = true;
    h1_write_response(&out, &m, &(struct h1_write_opts){0});
    check_text(&out,
               "HTTP/1.1 200 OK\r\naccept: 2\r\nContent-Length: 18446744073709551615\r\n\r\n");
    h1_write_last_chunk(&out, NULL);
    check_text(&out, "0\r\n\r\n");
    buf_free(&out);
    arena_free(&arena);
}

static void test_chunk_head(void **state)
{
    (void)state;
    struct buf expected = {0};
    for (unsigned bits = 0; bits <= 64; bits += 4) {
        for (int step = -1; step <= 1; step++) {
            size_t n = (bits < 64 ? (size_t)1 << bits : 0) + (size_t)step;
            char head[20];
            if (n == 0) {
                continue;
            }
            buf_printf(&expected, "%zx\r\n", n);
            assert_int_equal(h1_chunk_head(head, n), expected.len);
            assert_memory_equal(head, expected.ptr, expected.len);
            buf_clear(&expected);
        }
    }
    buf_free(&expected);
}

static void test_authority(void **state)
{
    (void)state;
    static const struct {
        struct str in;
        const char *host; /* NULL: malformed */
        unsigned port;
    } rows[] = {
        {STR_INIT("example.com"), "example.com", 0},
        {STR_INIT("Example.COM:443"), "Example.COM", 443},
        {STR_INIT("example.com."), "example.com.", 0},
        {STR_INIT("a_b-c.example"), "a_b-c.example", 0},
        {STR_INIT("192.0.2.1:1"), "192.0.2.1", 1},
        {STR_INIT("a:65535"), "a", 65535},
        {STR_INIT("[2001:db8::1]"), "2001:db8::1", 0},
        {STR_INIT("[::1]:8443"), "::1", 8443},
        {STR_INIT("[::ffff:192.0.2.1]:80"), "::ffff:192.0.2.1", 80},
        {STR_INIT(""), NULL, 0},
        {STR_INIT(":"), NULL, 0},
        {STR_INIT(":80"), NULL, 0},
        {STR_INIT("a:"), NULL, 0},
        {STR_INIT("a:0"), NULL, 0},
        {STR_INIT("a:65536"), NULL, 0},
        {STR_INIT("a:18446744073709551617"), NULL, 0},
        {STR_INIT("a:+80"), NULL, 0},
        {STR_INIT("a: 80"), NULL, 0},
        {STR_INIT("a:80 "), NULL, 0},
        {STR_INIT("a:8o"), NULL, 0},
        {STR_INIT("a:80:80"), NULL, 0},
        {STR_INIT("::1"), NULL, 0},
        {STR_INIT("2001:db8::1:443"), NULL, 0},
        {STR_INIT("["), NULL, 0},
        {STR_INIT("[]"), NULL, 0},
        {STR_INIT("[::1"), NULL, 0},
        {STR_INIT("[::1]x"), NULL, 0},
        {STR_INIT("[::1]80"), NULL, 0},
        {STR_INIT("[::1]:"), NULL, 0},
        {STR_INIT("x[::1]"), NULL, 0},
        {STR_INIT("[[::1]]"), NULL, 0},
        {STR_INIT("[192.0.2.1]"), NULL, 0},
        {STR_INIT("[fe80::1%25eth0]"), NULL, 0},
        {STR_INIT("[v1.a:b]"), NULL, 0},
        {STR_INIT("[::1]@a"), NULL, 0},
        {STR_INIT("user@a"), NULL, 0},
        {STR_INIT("user:80@a:80"), NULL, 0},
        {STR_INIT("a/b"), NULL, 0},
        {STR_INIT("a\\b"), NULL, 0},
        {STR_INIT("a?b"), NULL, 0},
        {STR_INIT("a#b"), NULL, 0},
        {STR_INIT("a%2eb"), NULL, 0},
        {STR_INIT("a b"), NULL, 0},
        {STR_INIT(" a"), NULL, 0},
        {STR_INIT("a\t"), NULL, 0},
        {STR_INIT("a\0b"), NULL, 0},
        {STR_INIT("a\r\nb"), NULL, 0},
        {STR_INIT("a\x7f"), NULL, 0},
        {STR_INIT("\xc3\xa4.example"), NULL, 0},
        {STR_INIT("a<b"), NULL, 0},
        {STR_INIT("a>b"), NULL, 0},
        {STR_INIT("a\"b"), NULL, 0},
        {STR_INIT("a'b"), NULL, 0},
        {STR_INIT("a`b"), NULL, 0},
        {STR_INIT("a^b"), NULL, 0},
        {STR_INIT("a{b}"), NULL, 0},
        {STR_INIT("a|b"), NULL, 0},
        {STR_INIT("a[b"), NULL, 0},
        {STR_INIT("a]b"), NULL, 0},
        {STR_INIT("a,b"), NULL, 0},
        {STR_INIT("a;b"), NULL, 0},
        {STR_INIT("a*"), NULL, 0},
        {STR_INIT("~a"), NULL, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str host;
        unsigned port;
        bool fine = hop_authority(rows[i].in, &host, &port);
        if (fine != (rows[i].host != NULL)) {
            fail_msg("\"" STR_FMT "\" is %s", STR_ARG(rows[i].in), fine ? "taken" : "refused");
        }
        if (fine) {
            assert_true(str_eq(host, str_z(rows[i].host)));
            assert_int_equal(port, rows[i].port);
        }
    }
    struct str host;
    unsigned port;
    char longest[257];
    memset(longest, 'a', sizeof(longest));
    assert_true(hop_authority(str_of(longest, 255), &host, &port));
    assert_false(hop_authority(str_of(longest, 256), &host, &port));
    assert_false(hop_authority(STR_NONE, &host, &port));
}

/* Every known name is found in any case; what is almost one is not. */
static void test_field_ids(void **state)
{
    (void)state;
    char text[64];
    for (unsigned id = FIELD_OTHER + 1; id < FIELD_COUNT; id++) {
        struct str name = field_name((enum field_id)id);
        memcpy(text, name.ptr, name.len);
        text[name.len] = 'x';
        assert_int_equal(field_id_of(name), id);
        assert_int_equal(field_id_of(str_of(text, name.len + 1)), FIELD_OTHER);
        assert_int_equal(field_id_of(str_of(text, name.len - 1)), FIELD_OTHER);
        for (size_t i = 0; i < name.len; i++) {
            char c = text[i];
            text[i] = (char)(c ^ 0x20); /* the other case; of '-' and digits something else */
            assert_int_equal(field_id_of(str_of(text, name.len)), c < 'a' ? FIELD_OTHER : id);
            text[i] = (char)(c ^ 0x60);
            assert_int_equal(field_id_of(str_of(text, name.len)), FIELD_OTHER);
            text[i] = c;
        }
    }
    assert_int_equal(field_id_of(STR_NONE), FIELD_OTHER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),  cmocka_unit_test(test_responses),
        cmocka_unit_test(test_options),   cmocka_unit_test(test_chunk_head),
        cmocka_unit_test(test_authority), cmocka_unit_test(test_field_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
