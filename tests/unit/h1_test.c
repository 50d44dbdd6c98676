/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP/1 parser: requests, bytes in, events out. Every case is fed whole, byte by byte, cut in
 * two at every place and cut at random; what comes out has to be the same.
 */
#include "tests/unit/h1_check.h"

static const struct h1_limits usual = {.line = 8192, .head = 65536, .fields = 100};

static void check_requests(const struct sample *samples, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        check_bytes(false, NULL, &usual, samples[i].in, samples[i].brief);
    }
}

#define GET(fields)  STR_INIT("GET / HTTP/1.1\r\nHost: a\r\n" fields "\r\n")
#define GET0(fields) STR_INIT("GET / HTTP/1.0\r\n" fields "\r\n")
#define POST(rest)   STR_INIT("POST / HTTP/1.1\r\nHost: a\r\n" rest)
#define CHUNKS(rest) \
    STR_INIT("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" rest)
#define CHUNKS_HEAD "POST / keep chunked"

static void test_request_line(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {GET(""), "GET / keep - ."},
        {STR_INIT("M-SEARCH * HTTP/1.1\r\nHost: a\r\n\r\n"), "M-SEARCH * keep - ."},
        {STR_INIT("PROPFIND /a%20b?c=d;e HTTP/1.1\r\nHost: a\r\n\r\n"),
         "PROPFIND /a%20b?c=d;e keep - ."},
        {STR_INIT("GET http://a/b HTTP/1.1\r\nHost: a\r\n\r\n"), "GET http://a/b keep - ."},
        {STR_INIT("CONNECT a:443 HTTP/1.1\r\n\r\n"), "CONNECT a:443 keep - ."},
        {STR_INIT("CONNECT [::1]:443 HTTP/1.0\r\n\r\n"), "CONNECT [::1]:443 close - ."},
        {STR_INIT("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), "OPTIONS * keep - ."},
        /* version */
        {STR_INIT("GET / HTTP/1.2\r\nHost: a\r\n\r\n"), "!505"},
        {STR_INIT("GET / HTTP/1.10\r\nHost: a\r\n\r\n"), "!400"},
        {STR_INIT("GET / HTTP/0.9\r\nHost: a\r\n\r\n"), "!505"},
        {STR_INIT("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), "!505"},
        {STR_INIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "!505"},
        {STR_INIT("GET / HTTP/1.1 \r\nHost: a\r\n\r\n"), "!400"},
        {STR_INIT("GET / HTTP/1\r\nHost: a\r\n\r\n"), "!400"},
        {STR_INIT("GET / HTTP/11\r\nHost: a\r\n\r\n"), "!400"},
        {STR_INIT("GET / http/1.1\r\nHost: a\r\n\r\n"), "!400"},
        {STR_INIT("GET / HTTP/ 1.1\r\nHost: a\r\n\r\n"), "!400"},
        {STR_INIT("GET / HTTP/1.\xb1\r\nHost: a\r\n\r\n"), "!400"},
        {STR_INIT("GET /\r\n\r\n"), "!400"},
        {STR_INIT("GET\r\n\r\n"), "!400"},
        {STR_INIT("GET / ICE/1.0\r\nHost: a\r\n\r\n"), "!400"},
        {STR_INIT("OPTIONS / RTSP/1.0\r\nHost: a\r\n\r\n"), "!400"},
        /* method */
        {STR_INIT("get / HTTP/1.1\r\nHost: a\r\n\r\n"), "!501"},
        {STR_INIT("GETT / HTTP/1.1\r\nHost: a\r\n\r\n"), "!501"},
        {STR_INIT("GE / HTTP/1.1\r\nHost: a\r\n\r\n"), "!501"},
        {STR_INIT("SOURCE / HTTP/1.1\r\nHost: a\r\n\r\n"), "!501"},
        {STR_INIT("DESCRIBE / HTTP/1.1\r\nHost: a\r\n\r\n"), "!501"},
        {STR_INIT("PRI * HTTP/1.1\r\nHost: a\r\n\r\n"), "!501"},
        {STR_INIT("!x / HTTP/1.1\r\nHost: a\r\n\r\n"), "!501"},
        {STR_INIT("G(T / HTTP/1.1\r\nHost: a\r\n\r\n"), "!400"},
        {STR_INIT("G\0T / HTTP/1.1\r\nHost: a\r\n\r\n"), "!400"},
        {STR_INIT("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), "!400"},
        {STR_INIT("SSH-2.0-OpenSSH_9.2p1\r\n"), "!400"},
        /* spaces, controls */
        {STR_INIT("GET  / HTTP/1.1\r\nHost: a\r\n\r\n"), "!400"},
        {STR_INIT("GET /  HTTP/1.1\r\nHost: a\r\n\r\n"), "!400"},
        {STR_INIT("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"), "!400"},
        {STR_INIT("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"), "!400"},
        {STR_INIT("GET /\tHTTP/1.1\r\nHost: a\r\n\r\n"), "!400"},
        {STR_INIT(" GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "!400"},
        {STR_INIT("GET  HTTP/1.1\r\nHost: a\r\n\r\n"), "!400"},
        {STR_INIT("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"), "!400"},
        {STR_INIT("GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n"), "!400"},
        {STR_INIT("GET /\xc3\xbc HTTP/1.1\r\nHost: a\r\n\r\n"), "!400"},
        {STR_INIT("GET /\r HTTP/1.1\r\nHost: a\r\n\r\n"), "!400"},
        {STR_INIT("GET / HTTP/1.1\rHost: a\r\n\r\n"), "!400"},
        {STR_INIT("GET /\nHTTP/1.1\r\nHost: a\r\n\r\n"), "!400"},
        {STR_INIT("GET / HTTP/1.1\nHost: a\n\n"), "!400"},
        {STR_INIT("GET / HTTP/1.1\r\n"), "!400"},
        /* RFC 9112, 2.2: empty lines in front */
        {STR_INIT("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), "GET / keep - ."},
        {STR_INIT("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), "GET / keep - ."},
        {STR_INIT("\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), "!400"},
        {STR_INIT("\r\n\r\n\r\n\r\n\r\n\r\n\r\n"), "!400"},
        {STR_INIT("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), "!400"},
        {STR_INIT("\rGET / HTTP/1.1\r\nHost: a\r\n\r\n"), "!400"},
        {STR_INIT("\r\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), "!400"},
        {STR_INIT("\r\n"), ""},
        {STR_INIT(""), ""},
    };
    check_requests(samples, ARRAY_LEN(samples));
}

static void test_request_fields(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {GET("A:b\r\nC:\t d \t\r\nE:\r\nF: \r\n"), "GET / keep - ."},
        {GET("!#$%&'*+-.^_`|~09aZ: \x80\xff\t!\r\n"), "GET / keep - ."},
        {GET(" A: b\r\n"), "!400"},
        {GET("A: b\r\n c\r\n"), "!400"},
        {GET("A: b\r\n\tc\r\n"), "!400"},
        {GET("A: b\r\n \r\n"), "!400"},
        {STR_INIT("GET / HTTP/1.1\r\n Host: a\r\nHost: b\r\n\r\n"), "!400"},
        {GET("A : b\r\n"), "!400"},
        {GET("A\t: b\r\n"), "!400"},
        {GET("A b: c\r\n"), "!400"},
        {GET(": b\r\n"), "!400"},
        {GET(":\r\n"), "!400"},
        {GET("A\r\n"), "!400"},
        {GET("A b\r\n"), "!400"},
        {GET("A(: b\r\n"), "!400"},
        {GET("A\x80: b\r\n"), "!400"},
        {GET("A\0: b\r\n"), "!400"},
        {GET("A: b\0c\r\n"), "!400"},
        {GET("A: b\x01\r\n"), "!400"},
        {GET("A: b\x0b\r\n"), "!400"},
        {GET("A: b\x0c"
             "c\r\n"),
         "!400"},
        {GET("A: b\x1f\r\n"), "!400"},
        {GET("A: 1234567\x7f"
             "8901234567\r\n"),
         "!400"},
        {GET("A: b\rc\r\n"), "!400"},
        {GET("A: b\r\r\n"), "!400"},
        {GET("A:\rB: c\r\n"), "!400"},
        {GET("A: b\nC: d\r\n"), "!400"},
        {GET("A: b\n"), "!400"},
        {GET("\n"), "!400"},
        {GET("A: b\r\n\n"), "!400"},
        {GET("\rX"), "!400"},
        /* RFC 9112, 3.2: exactly one Host */
        {STR_INIT("GET / HTTP/1.1\r\n\r\n"), "!400"},
        {GET("Host: a\r\n"), "!400"},
        {GET("hOST: b\r\n"), "!400"},
        {GET0("Host: a\r\nHost: a\r\n"), "!400"},
        {GET0(""), "GET / close - ."},
        {STR_INIT("GET / HTTP/1.1\r\nHost:\r\n\r\n"), "GET / keep - ."},
        {STR_INIT("GET / HTTP/1.1\r\nHost : a\r\n\r\n"), "!400"},
        {STR_INIT("CONNECT a:443 HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), "!400"},
    };
    check_requests(samples, ARRAY_LEN(samples));
}

static void test_connection(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {GET("Connection: close\r\n"), "GET / close - ."},
        {GET("Connection: Keep-Alive , CLOSE\r\n"), "GET / close - ."},
        {GET("Connection: keep-alive\r\nConnection: close\r\n"), "GET / close - ."},
        {GET("Proxy-Connection: close\r\n"), "GET / close - ."},
        {GET("Connection: closed\r\n"), "GET / keep - ."},
        {GET("Connection: \r\n"), "GET / keep - ."},
        {GET("Connection: ,, ,\r\n"), "GET / keep - ."},
        {GET0("Connection: keep-alive\r\n"), "GET / keep - ."},
        {GET0("Connection: KEEP-ALIVE\r\nProxy-Connection: close\r\n"), "GET / close - ."},
        {GET0("Proxy-Connection: keep-alive\r\n"), "GET / keep - ."},
        {GET0("Keep-Alive: timeout=5\r\n"), "GET / close - ."},
        /* an upgrade counts when Connection names it and HTTP/1.1 speaks */
        {GET("Connection: Upgrade\r\nUpgrade: websocket\r\n"), "GET / keep - upgrade=websocket ."},
        {GET("Connection: keep-alive, upgrade\r\nUpgrade: websocket\r\n"),
         "GET / keep - upgrade=websocket ."},
        {GET("Upgrade: websocket\r\n"), "GET / keep - ."},
        {GET("Connection: upgrade\r\n"), "GET / keep - ."},
        {GET("Connection: upgrade\r\nUpgrade: a\r\nUpgrade: b\r\n"), "GET / keep - ."},
        {GET("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAAA\r\n"),
         "GET / keep - ."},
        {GET("Connection: Upgrade\r\nUpgrade: websocket, H2C\r\n"), "GET / keep - ."},
        {GET0("Connection: upgrade\r\nUpgrade: websocket\r\n"), "GET / close - ."},
        {POST("Connection: upgrade\r\nUpgrade: x\r\nContent-Length: 2\r\n\r\nab"),
         "POST / keep 2 upgrade=x \"ab\" ."},
        {POST("Connection: upgrade\r\nUpgrade: x\r\nTransfer-Encoding: chunked\r\n\r\n"
              "1\r\na\r\n0\r\n\r\n"),
         "POST / keep chunked upgrade=x \"a\" ."},
    };
    check_requests(samples, ARRAY_LEN(samples));
}

static void test_hop_fields(void **state)
{
    (void)state;
    static const struct {
        struct str in;
        const char *fields;
    } rows[] = {
        {GET("Connection: X-A, x-b ,close\r\nX-A: 1\r\nx-B: 2\r\nX-C: 3\r\nx-a: 4\r\n"),
         "Host; ~Connection; ~X-A; ~x-B; X-C; ~x-a"},
        /* a field before and after the Connection that names it; Host is never dropped */
        {GET("X-A: 1\r\nConnection: x-a, host\r\n"), "Host; ~X-A; ~Connection"},
        {GET("Connection: keep-alive\r\nClose: 1\r\nKeep-Alive: 1\r\nProxy-Connection: x\r\nX: "
             "1\r\n"),
         "Host; ~Connection; Close; ~Keep-Alive; ~Proxy-Connection; ~X"},
        {GET("TE: trailers\r\nTrailer: x\r\nUpgrade: u\r\nHTTP2-Settings: s\r\n"
             "Proxy-Authorization: p\r\nAuthorization: a\r\nContent-Length: 0\r\n"),
         "Host; ~TE; Trailer; ~Upgrade; ~HTTP2-Settings; ~Proxy-Authorization; Authorization; "
         "~Content-Length"},
        {GET0("Expect: 100-continue\r\nContent-Length: 0\r\n"), "~Expect; ~Content-Length"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct h1_run run;
        struct buf text = {0};
        h1_run_init(&run, false, &usual, STR_NONE);
        h1_run_all(&run, rows[i].in, rows[i].in.len, 0);
        const struct msg *m = &run.message[0].msg;
        assert_true(run.message[0].has_head);
        for (unsigned k = 0; k < m->field_count; k++) {
            buf_z(&text, k > 0 ? "; " : "");
            buf_z(&text, m->fields[k].hop ? "~" : "");
            buf_str(&text, m->fields[k].name);
        }
        check_text(&text, rows[i].fields);
        buf_free(&text);
        h1_run_free(&run);
    }
}

static void test_request_length(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {POST("Content-Length: 5\r\n\r\nhello"), "POST / keep 5 \"hello\" ."},
        {POST("Content-Length: 0\r\n\r\n"), "POST / keep - ."},
        {POST("Content-Length: 005\r\n\r\nhello"), "POST / keep 5 \"hello\" ."},
        {POST("Content-Length:\t5 \r\n\r\nhello"), "POST / keep 5 \"hello\" ."},
        {POST("Content-Length: 5\r\n\r\nhell"), "POST / keep 5 \"hell\" !400"},
        {POST("Content-Length: 9223372036854775807\r\n\r\nx"),
         "POST / keep 9223372036854775807 \"x\" !400"},
        {POST("\r\n"), "POST / keep - ."},
        {POST("Content-Length: 9223372036854775808\r\n\r\n"), "!400"},
        {POST("Content-Length: 18446744073709551615\r\n\r\n"), "!400"},
        {POST("Content-Length: 18446744073709551616\r\n\r\n"), "!400"},
        {POST("Content-Length: 18446744073709551621\r\n\r\nhello"), "!400"},
        {POST("Content-Length: 99999999999999999999999999\r\n\r\n"), "!400"},
        {POST("Content-Length: +4\r\n\r\nabcd"), "!400"},
        {POST("Content-Length: -4\r\n\r\nabcd"), "!400"},
        {POST("Content-Length: 4 4\r\n\r\nabcd"), "!400"},
        {POST("Content-Length:  4\t4\r\n\r\nabcd"), "!400"},
        {POST("Content-Length: 0x4\r\n\r\nabcd"), "!400"},
        {POST("Content-Length: 4.0\r\n\r\nabcd"), "!400"},
        {POST("Content-Length: 1_0\r\n\r\nabcd"), "!400"},
        {POST("Content-Length: \xa0"
              "4\r\n\r\nabcd"),
         "!400"},
        {POST("Content-Length: \"4\"\r\n\r\nabcd"), "!400"},
        {POST("Content-Length: \r\n\r\n"), "!400"},
        {POST("Content-Length:\r\n\r\n"), "!400"},
        {POST("Content-Length: 4,4\r\n\r\nabcd"), "!400"},
        {POST("Content-Length: 4, 4\r\n\r\nabcd"), "!400"},
        {POST("Content-Length: 4, 5\r\n\r\nabcd"), "!400"},
        {POST("Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd"), "!400"},
        {POST("Content-Length: 4\r\ncontent-length: 5\r\n\r\nabcd"), "!400"},
        {POST("Content-Length: 0\r\nContent-Length: 0\r\n\r\n"), "!400"},
        {POST("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "!400"},
        {POST("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"), "!400"},
        {POST("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "!400"},
        {POST("Transfer-Encoding: \r\nContent-Length: 4\r\n\r\nabcd"), "!400"},
        {POST("Content-Length : 4\r\n\r\nabcd"), "!400"},
        {STR_INIT("CONNECT a:443 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"),
         "CONNECT a:443 keep - ."},
        {STR_INIT("CONNECT a:443 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"), "!400"},
        {STR_INIT("CONNECT a:443 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
         "!400"},
        /* Expect */
        {POST("Expect: 100-continue\r\nContent-Length: 1\r\n\r\nx"),
         "POST / keep 1 expect \"x\" ."},
        {POST("Expect: 100-Continue\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
         "POST / keep chunked expect ."},
        {POST("Expect: 100-continue\r\n\r\n"), "POST / keep - ."},
        {POST("Expect: 100-continue\r\nContent-Length: 0\r\n\r\n"), "POST / keep - ."},
        {POST("Expect: 200-ok\r\nContent-Length: 1\r\n\r\nx"), "POST / keep 1 \"x\" ."},
        {STR_INIT("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx"),
         "POST / close 1 \"x\" ."},
    };
    check_requests(samples, ARRAY_LEN(samples));
}

static void test_transfer_encoding(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {POST("Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "POST / keep chunked ."},
        {POST("transfer-encoding:\tCHUNKED \t\r\n\r\n0\r\n\r\n"), "POST / keep chunked ."},
        {POST("Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"), "!501"},
        {POST("Transfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n"), "!501"},
        {POST("Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"), "!501"},
        {POST("Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"), "!400"},
        {POST("Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n"), "!501"},
        {POST("Transfer-Encoding: identity\r\n\r\n"), "!501"},
        {POST("Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), "!501"},
        {POST("Transfer-Encoding: gzip\r\n\r\n"), "!501"},
        {POST("Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"), "!400"},
        {POST("Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n"), "!501"},
        {POST("Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n"), "!400"},
        {POST("Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n"), "!501"},
        {POST("Transfer-Encoding: chun ked\r\n\r\n0\r\n\r\n"), "!501"},
        {POST("Transfer-Encoding: \xa0"
              "chunked\r\n\r\n0\r\n\r\n"),
         "!501"},
        {POST("Transfer-Encoding:\r\n\r\n"), "!501"},
        {POST("Transfer-Encoding: \x0b"
              "chunked\r\n\r\n0\r\n\r\n"),
         "!400"},
        {POST("Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"), "!400"},
        {POST("Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"), "!400"},
        {POST("Transfer-\r\nEncoding: chunked\r\n\r\n0\r\n\r\n"), "!400"},
        {POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "!400"},
        {POST("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "!501"},
        {POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"),
         "!400"},
        {STR_INIT("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "!400"},
        /* a name that only looks like it is any other field */
        {POST("Transfer_Encoding: chunked\r\n\r\n"), "POST / keep - ."},
        {POST("X-Transfer-Encoding: chunked\r\n\r\n"), "POST / keep - ."},
        {POST("Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
         "POST / keep chunked ."},
        {POST("Connection: content-length\r\nContent-Length: 1\r\n\r\nx"), "POST / keep 1 \"x\" ."},
    };
    check_requests(samples, ARRAY_LEN(samples));
}

static void test_chunks(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {CHUNKS("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"), CHUNKS_HEAD " \"hello world\" ."},
        {CHUNKS("1\r\na\r\n1\r\nb\r\n1\r\n\r\r\n1\r\n\n\r\n0\r\n\r\n"),
         CHUNKS_HEAD " \"ab\\x0d\\x0a\" ."},
        {CHUNKS("a\r\n0123456789\r\n0A\r\n0123456789\r\n0000\r\n\r\n"),
         CHUNKS_HEAD " \"01234567890123456789\" ."},
        {CHUNKS("000000000000000000000001\r\na\r\n0\r\n\r\n"), CHUNKS_HEAD " \"a\" ."},
        /* extensions (RFC 9112, 7.1.1) are read over */
        {CHUNKS("1;a\r\nx\r\n1;a=b;c=\"d;e\\\"\\\\ \"\r\ny\r\n0;end\r\n\r\n"),
         CHUNKS_HEAD " \"xy\" ."},
        {CHUNKS("1 ; a = b ; c\r\nx\r\n0\t;\ta\r\n\r\n"), CHUNKS_HEAD " \"x\" ."},
        {CHUNKS("1;\r\nx\r\n0\r\n\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS("1;a=\r\nx\r\n0\r\n\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS("1;a=b;\r\nx\r\n0\r\n\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS("1;=b\r\nx\r\n0\r\n\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS("1;a b\r\nx\r\n0\r\n\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS("1;a=\"b\r\nx\r\n0\r\n\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS("1;a=\"b\\\r\nx\r\n0\r\n\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS("1;a=\"b\"c\r\nx\r\n0\r\n\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS("1;a=\x01\r\nx\r\n0\r\n\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS("1;a=\"\0\"\r\nx\r\n0\r\n\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS("1;a\rb\r\nx\r\n0\r\n\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS("1;a\nb\r\nx\r\n0\r\n\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS("1;a\n0\r\n\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS("1 a\r\nx\r\n0\r\n\r\n"), CHUNKS_HEAD " !400"},
        /* sizes */
        {CHUNKS(" 1\r\nx\r\n0\r\n\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS("1 \r\nx\r\n0\r\n\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS("+1\r\nx\r\n0\r\n\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS("-1\r\nx\r\n0\r\n\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS("0x1\r\nx\r\n0\r\n\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS("1_0\r\nx\r\n0\r\n\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS("1h\r\nx\r\n0\r\n\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS("G\r\nx\r\n0\r\n\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS("\r\n\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS(";a\r\n\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS("1\xb2\r\nx\r\n0\r\n\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS("7fffffffffffffff\r\nx"), CHUNKS_HEAD " \"x\" !400"},
        {CHUNKS("8000000000000000\r\nx"), CHUNKS_HEAD " !400"},
        {CHUNKS("10000000000000001\r\nx\r\n0\r\n\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS("fffffffffffffffffffffff\r\nx"), CHUNKS_HEAD " !400"},
        /* ends of lines */
        {CHUNKS("1\nx\r\n0\r\n\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS("1\rx\r\n0\r\n\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS("1\r\r\nx\r\n0\r\n\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS("1\r\nx\n0\r\n\r\n"), CHUNKS_HEAD " \"x\" !400"},
        {CHUNKS("1\r\nx\rx0\r\n\r\n"), CHUNKS_HEAD " \"x\" !400"},
        {CHUNKS("1\r\nxXX0\r\n\r\n"), CHUNKS_HEAD " \"x\" !400"},
        {CHUNKS("1\r\nxy\r\n0\r\n\r\n"), CHUNKS_HEAD " \"x\" !400"},
        {CHUNKS("1\r\nx\r\n\r\n0\r\n\r\n"), CHUNKS_HEAD " \"x\" !400"},
        /* cut short */
        {CHUNKS(""), CHUNKS_HEAD " !400"},
        {CHUNKS("5"), CHUNKS_HEAD " !400"},
        {CHUNKS("5\r\nhel"), CHUNKS_HEAD " \"hel\" !400"},
        {CHUNKS("5\r\nhello"), CHUNKS_HEAD " \"hello\" !400"},
        {CHUNKS("5\r\nhello\r\n"), CHUNKS_HEAD " \"hello\" !400"},
        {CHUNKS("0\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS("0\r\n\r"), CHUNKS_HEAD " !400"},
        {CHUNKS("0\r\nA: b\r\n"), CHUNKS_HEAD " !400"},
    };
    check_requests(samples, ARRAY_LEN(samples));
}

static void test_trailers(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {CHUNKS("1\r\nx\r\n0\r\nA: b\r\nC:\r\n\r\n"), CHUNKS_HEAD " \"x\" [A: b; C: ] ."},
        {CHUNKS("0\r\nA: b \t\r\nContent-Length: 5\r\nTransfer-Encoding: x\r\n\r\n"),
         CHUNKS_HEAD " [A: b; Content-Length: 5; Transfer-Encoding: x] ."},
        {CHUNKS("0\r\nA: b\r\n\r\nGET /2 HTTP/1.1\r\nHost: b\r\n\r\n"),
         CHUNKS_HEAD " [A: b] . | GET /2 keep - ."},
        {CHUNKS("0\r\nGET / HTTP/1.1\r\n\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS("0\r\nX:POST / HTTP/1.1\r\n\r\n"), CHUNKS_HEAD " [X: POST / HTTP/1.1] ."},
        {CHUNKS("0\r\n A: b\r\n\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS("0\r\nA: b\r\n c\r\n\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS("0\r\nA : b\r\n\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS("0\r\n: b\r\n\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS("0\r\nA\r\n\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS("0\r\nA: b\0\r\n\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS("0\r\nA: b\rc\r\n\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS("0\r\nA: b\nC: d\r\n\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS("0\r\nA: b\n\r\n\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS("0\r\n\n\r\n\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS("0\r\n\rX\r\n\r\n"), CHUNKS_HEAD " !400"},
        {CHUNKS("0\n\n"), CHUNKS_HEAD " !400"},
    };
    check_requests(samples, ARRAY_LEN(samples));
}

static void test_pipelining(void **state)
{
    (void)state;
    static const struct sample samples[] = {
        {STR_INIT("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
                  "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
                  "POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "1\r\nx\r\n0\r\nT: u\r\n\r\n"
                  "\r\nHEAD /4 HTTP/1.0\r\n\r\n"),
         "GET /1 keep - . | POST /2 keep 3 \"abc\" . | POST /3 keep chunked \"x\" [T: u] . | "
         "HEAD /4 close - ."},
        {STR_INIT("POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
                  "xGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"),
         "POST /1 keep 3 \"abc\" . !501"},
        {CHUNKS("0\r\n\r\n\0"), CHUNKS_HEAD " . !400"},
        {CHUNKS("0\r\n\r\n\r\n"), CHUNKS_HEAD " ."},
        {STR_INIT("GET /1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
                  "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n"),
         "GET /1 close - . | GET /2 keep - ."},
        {STR_INIT("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHo"),
         "GET /1 keep - . !400"},
    };
    check_requests(samples, ARRAY_LEN(samples));
}

/* What follows a message belongs to somebody else: a tunnel's first bytes, the next request. */
static void test_rest_is_left(void **state)
{
    (void)state;
    static const struct {
        struct str in, rest;
    } rows[] = {
        {STR_INIT("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n\x16\x03\x01"),
         STR_INIT("\x16\x03\x01")},
        {STR_INIT("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nxy"), STR_INIT("y")},
        {CHUNKS("1\r\nx\r\n0\r\n\r\nz"), STR_INIT("z")},
        {CHUNKS("1\r\nx\r\n0\r\nA: b\r\n\r\nz"), STR_INIT("z")},
        {GET(""), STR_INIT("")},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct h1_run run;
        struct arena arena = {0};
        struct msg m = {.arena = &arena};
        h1_run_init(&run, false, &usual, STR_NONE);
        h1_restart(&run.h1, &m, STR_NONE);
        struct str in = rows[i].in;
        run.in_feed = true;
        assert_int_equal(h1_feed(&run.h1, &in), H1_GOT_HEAD);
        assert_int_equal(h1_feed(&run.h1, &in), H1_GOT_END);
        assert_true(str_eq(in, rows[i].rest));
        assert_int_equal(h1_feed(&run.h1, &in), H1_GOT_END); /* and nothing more is taken */
        assert_true(str_eq(in, rows[i].rest));
        assert_int_equal(h1_eof(&run.h1), H1_MORE);
        h1_run_free(&run);
        arena_free(&arena);
    }
}

static bool takes(struct str head, size_t at, unsigned byte)
{
    char text[64];
    memcpy(text, head.ptr, head.len);
    text[at] = (char)byte;
    return guard_request(str_of(text, head.len), &usual).text == NULL;
}

/* Every byte at every place of a name, a value and a target: the guard takes eight at a time. */
static void test_guard_bytes(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        bool is_visible = c > 0x20 && c != 0x7f;
        bool is_value = is_visible || c == ' ' || c == '\t';
        bool is_token = is_visible && c < 0x80 && strchr("\"(),/:;<=>?@[\\]{}", (int)c) == NULL;
        for (size_t i = 0; i < 20; i++) {
            assert_int_equal(
                takes(STR("GET / HTTP/1.1\r\nA: 01234567890123456789\r\n\r\n"), 19 + i, c),
                is_value);
            assert_int_equal(
                takes(STR("GET / HTTP/1.1\r\nA01234567890123456789: b\r\n\r\n"), 17 + i, c),
                is_token || c == ':');
            assert_int_equal(
                takes(STR("GET /01234567890123456789 HTTP/1.1\r\nA: b\r\n\r\n"), 5 + i, c),
                is_visible && c < 0x80);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_line),   cmocka_unit_test(test_request_fields),
        cmocka_unit_test(test_connection),     cmocka_unit_test(test_hop_fields),
        cmocka_unit_test(test_request_length), cmocka_unit_test(test_transfer_encoding),
        cmocka_unit_test(test_chunks),         cmocka_unit_test(test_trailers),
        cmocka_unit_test(test_pipelining),     cmocka_unit_test(test_rest_is_left),
        cmocka_unit_test(test_guard_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
