/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What HTTP/1 costs: heads read and written, bodies read. Not a test; built with
 * -DPHOTOGATE_BENCH=ON.
 * usage: h1_bench [CASE [SECONDS]], the best of five runs counts.
 */
#include "common/cc.h"
#include "common/mem.h"
#include "proxy/http/h1.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PIECE 16384 /* what one read from a TLS connection gives */

static const struct h1_limits limits = {.line = 16384, .head = 65536, .fields = 200};

/* A browser's GET of a Microsoft 365 page: 25 fields, about 1 KB. */
static const char request_head[] =
    "GET /mail/inbox/id/AAQkADk0YzE4LTQ3ZWEtODhiMC0zZmQ1?realm=example.com&path=%2Fmail "
    "HTTP/1.1\r\n"
    "Host: outlook.office.com\r\n"
    "Connection: keep-alive\r\n"
    "Cache-Control: max-age=0\r\n"
    "sec-ch-ua: \"Chromium\";v=\"128\", \"Not;A=Brand\";v=\"24\"\r\n"
    "sec-ch-ua-mobile: ?0\r\n"
    "sec-ch-ua-platform: \"Windows\"\r\n"
    "sec-ch-ua-platform-version: \"15.0.0\"\r\n"
    "sec-ch-ua-arch: \"x86\"\r\n"
    "sec-ch-ua-bitness: \"64\"\r\n"
    "Upgrade-Insecure-Requests: 1\r\n"
    "User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/128.0.0.0\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8\r\n"
    "X-Requested-With: XMLHttpRequest\r\n"
    "Sec-Fetch-Site: same-origin\r\n"
    "Sec-Fetch-Mode: navigate\r\n"
    "Sec-Fetch-User: ?1\r\n"
    "Sec-Fetch-Dest: document\r\n"
    "Referer: https://outlook.office.com/mail/\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Accept-Language: de-DE,de;q=0.9,en;q=0.8\r\n"
    "DNT: 1\r\n"
    "If-None-Match: W/\"5f2c1a-3e8\"\r\n"
    "Priority: u=0, i\r\n"
    "client-request-id: 4f1c7f2e-0b8e-4f49-9f3b-1c2d3e4f5a6b\r\n"
    "Cookie: ClientId=0123456789ABCDEF; OIDC=1; X-OWA-RedirectHistory=AnLjQmcB\r\n"
    "\r\n";

static const char response_head[] =
    "HTTP/1.1 200 OK\r\n"
    "Cache-Control: private, no-store\r\n"
    "Content-Length: 0\r\n"
    "Content-Type: text/html; charset=utf-8\r\n"
    "Content-Encoding: br\r\n"
    "Vary: Accept-Encoding\r\n"
    "Server: Microsoft-IIS/10.0\r\n"
    "request-id: 4f1c7f2e-0b8e-4f49-9f3b-1c2d3e4f5a6b\r\n"
    "Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n"
    "X-CalculatedFETarget: FR3P281CU001.internal.outlook.com\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "X-Frame-Options: SAMEORIGIN\r\n"
    "X-Proxy-RoutingCorrectness: 1\r\n"
    "X-FEServer: FR0P281CA0001\r\n"
    "Report-To: {\"group\":\"NelUpload1\",\"max_age\":604800,\"endpoints\":[{\"url\":\"x\"}]}\r\n"
    "NEL: {\"report_to\":\"NelUpload1\",\"max_age\":604800,\"success_fraction\":0.01}\r\n"
    "Set-Cookie: DefaultAnchorMailbox=; expires=Sun, 23-Nov-1996 12:00:00 GMT; path=/; secure\r\n"
    "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
    "Connection: keep-alive\r\n"
    "\r\n";

static uint64_t body_sum;

static void on_body(void *ctx, const uint8_t *data, size_t len)
{
    (void)ctx;
    body_sum += len + data[0];
}

struct bench {
    struct arena arena;
    struct buf out, wire;
    struct h1 h1;
    bool write; /* heads are written, too */
};

/* Reads one whole message from `wire` as often as asked. */
static void run(struct bench *b, unsigned times, size_t piece)
{
    for (unsigned i = 0; i < times; i++) {
        struct msg m = {.arena = &b->arena};
        h1_restart(&b->h1, &m, STR("GET"));
        struct str rest = buf_view(&b->wire);
        enum h1_result r;
        do {
            struct str in = str_of(rest.ptr, MIN(rest.len, piece));
            size_t had = in.len;
            r = h1_feed(&b->h1, &in);
            rest = str_skip(rest, had - in.len);
            if (r == H1_GOT_HEAD && b->write) {
                struct h1_write_opts opts = {0};
                buf_clear(&b->out);
                m.path = m.target;
                if (b->h1.is_response) {
                    h1_write_response(&b->out, &m, &opts);
                } else {
                    h1_write_request(&b->out, &m, &opts);
                }
            }
        } while (r == H1_GOT_HEAD || (r == H1_MORE && rest.len > 0));
        if (r != H1_GOT_END) {
            fprintf(stderr, "h1_bench: %s\n", r == H1_FAULT ? b->h1.fault.text : "no end");
            abort();
        }
        arena_reset(&b->arena);
    }
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void chunked_body(struct buf *wire, size_t total, size_t chunk)
{
    buf_z(wire, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (size_t done = 0; done < total; done += chunk) {
        char head[20];
        buf_put(wire, head, h1_chunk_head(head, chunk));
        memset(buf_room(wire, chunk), 'x', chunk);
        wire->len += chunk;
        buf_z(wire, "\r\n");
    }
    buf_z(wire, "0\r\n\r\n");
}

static void length_body(struct buf *wire, size_t total)
{
    buf_printf(wire, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", total);
    memset(buf_room(wire, total), 'x', total);
    wire->len += total;
}

static const struct {
    const char *name;
    const char *head; /* a head alone, or a body of `total` bytes */
    size_t total, chunk;
    bool is_response, write;
} cases[] = {
    {.name = "request-read", .head = request_head},
    {.name = "request-read-write", .head = request_head, .write = true},
    {.name = "response-read", .head = response_head, .is_response = true},
    {.name = "response-read-write", .head = response_head, .is_response = true, .write = true},
    {.name = "chunked-16k", .total = 1 << 24, .chunk = 16384, .is_response = true},
    {.name = "chunked-100", .total = 1 << 22, .chunk = 128, .is_response = true},
    {.name = "length", .total = 1 << 24, .is_response = true},
};

int main(int argc, char **argv)
{
    double seconds = argc > 2 ? strtod(argv[2], NULL) : 0.3;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (argc > 1 && strcmp(argv[1], cases[i].name) != 0) {
            continue;
        }
        struct bench b = {.write = cases[i].write};
        if (cases[i].head != NULL) {
            buf_z(&b.wire, cases[i].head);
        } else if (cases[i].chunk > 0) {
            chunked_body(&b.wire, cases[i].total, cases[i].chunk);
        } else {
            length_body(&b.wire, cases[i].total);
        }
        h1_init(&b.h1, cases[i].is_response, &limits, on_body, NULL);
        double best = 1e9;
        for (int run_no = 0; run_no < 5; run_no++) {
            unsigned times = 0, step = cases[i].head != NULL ? 1000 : 1;
            double start = now(), spent;
            do {
                run(&b, step, PIECE);
                times += step;
                spent = now() - start;
            } while (spent < seconds);
            best = MIN(best, spent / times);
        }
        if (cases[i].head != NULL) {
            printf("%-20s %5zu bytes %8.0f ns\n", cases[i].name, b.wire.len, best * 1e9);
        } else {
            printf("%-20s %8.2f GB/s\n", cases[i].name, (double)b.wire.len / best / 1e9);
        }
        h1_free(&b.h1);
        arena_free(&b.arena);
        buf_free(&b.wire);
        buf_free(&b.out);
    }
    return 0;
}
