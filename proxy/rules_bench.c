/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/rules_bench.h"

#include "common/cc.h"
#include "common/clock.h"
#include "filters/decide.h"
#include "filters/embedded.h"
#include "filters/vectors.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#define ROUNDS 20000 /* of a measurement; the best of TRIES counts */
#define TRIES  7

static const char *const requests[][2] = {
    {"mail, read",
     "GET https://graph.microsoft.com/v1.0/me/mailFolders/inbox/messages"
     "?$select=subject,from,receivedDateTime&$top=25 | Authorization: Bearer x | Accept: */*"
     " | User-Agent: bench | Accept-Encoding: gzip | client-request-id: 1"},
    {"photo, read", "GET https://graph.microsoft.com/v1.0/users/5c1f@contoso.com/photo/$value"
                    " | Authorization: Bearer x | Accept: */*"},
    {"photo, blocked", "PUT https://graph.microsoft.com/v1.0/me/photo/$value | Content-Type: "
                       "image/jpeg | Authorization: Bearer x"},
    {"escaped path", "PUT https://graph.microsoft.com/v1.0/me/drive/root:/a%20b%20c.txt:/content"
                     " | Content-Type: text/plain"},
    {"by host", "GET https://host7.bench.example/api/v7/things/x | Accept: */*"},
};

/* Rules that look like those of a real pack: half for a class, half for a host each. */
static void put_pack(struct buf *b, size_t rules)
{
    buf_z(b, "pack = \"bench\"\n");
    for (size_t i = 0; i < rules; i++) {
        buf_printf(b,
                   "[[rule]]\nid = \"bench.rule-%zu\"\nwhy = \"Bench.\"\nsource = \"bench\"\n"
                   "date = 2026-11-23\nconfidence = \"inferred\"\nmethods = \"write\"\n",
                   i);
        if (i % 2 == 0) {
            buf_printf(b,
                       "hosts = [\"@graph\"]\npath = [\"*/bench%zu/*/item/**\"]\n"
                       "block = [\"PUT https://graph.microsoft.com/v1.0/bench%zu/7/item\"]\n",
                       i, i);
        } else {
            buf_printf(b,
                       "hosts = [\"host%zu.bench.example\"]\npath = [\"api/v%zu/**\"]\n"
                       "block = [\"PUT https://host%zu.bench.example/api/v%zu/x\"]\n",
                       i, i, i, i);
        }
    }
}

static double best_ns(const struct ruleset *rs, const struct hosts *hosts, const char *request)
{
    static const struct actor nobody;
    struct filter_request r;
    struct arena parse = {0}, arena = {0};
    double best = 0;
    if (!vector_parse(str_z(request), &r, &parse)) {
        return 0;
    }
    for (int try = 0; try < TRIES; try++) {
        uint64_t start = clock_ns();
        for (int i = 0; i < ROUNDS; i++) {
            struct verdict v = decide(rs, hosts, NULL, &r, &nobody, &arena);
            __asm__ volatile("" : : "r"(v.kind) : "memory");
            arena_reset(&arena);
        }
        double ns = (double)(clock_ns() - start) / ROUNDS;
        best = try == 0 || ns < best ? ns : best;
    }
    arena_free(&arena);
    arena_free(&parse);
    return best;
}

static int bench(size_t rules)
{
    struct pack_source *sources = xcalloc(embedded_count + 1, sizeof(*sources));
    struct buf pack = {0};
    struct ruleset *rs = NULL;
    struct diag d = {0};
    struct hosts hosts;
    size_t vectors = 0;
    for (size_t i = 0; i < embedded_count; i++) {
        sources[i] = embedded_pack(i);
    }
    put_pack(&pack, rules);
    sources[embedded_count] = (struct pack_source){buf_view(&pack), "bench.toml"};
    size_t before = mallinfo2().uordblks;
    uint64_t start = clock_ns();
    int err = ruleset_build(&rs, sources, embedded_count + 1, &d);
    uint64_t built = clock_ns();
    if (err == 0) {
        err = vectors_run(rs, &vectors, &d);
    }
    uint64_t tested = clock_ns();
    diag_print(&d, "photogate");
    diag_free(&d);
    free(sources);
    if (err == 0) {
        printf("%8zu rules: loaded in %.0f ms, %zu vectors in %.0f ms, %.1f MiB\n", rs->rules,
               (double)(built - start) / 1e6, vectors, (double)(tested - built) / 1e6,
               (double)(mallinfo2().uordblks - before) / (1 << 20));
        hosts_build_all(&hosts, rs);
        for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
            printf("%18s %6.0f ns\n", requests[i][0], best_ns(rs, &hosts, requests[i][1]));
        }
        hosts_free(&hosts);
    }
    ruleset_free(rs);
    buf_free(&pack);
    return err != 0;
}

int rules_bench(void)
{
    static const size_t sizes[] = {10, 1000, 100000};
    int status = 0;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        status |= bench(sizes[i]);
    }
    return status;
}
