/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a target: bounds hold, and the canonical spelling is its own. Left out is what has a
 * parenthesis that nothing closes: what its quotes take in depends on what stands behind, and
 * parameters and dots that are removed there.
 */
#include "filters/canon.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

static bool has_open_parenthesis(const struct path *p)
{
    for (size_t i = 0; i < p->count; i++) {
        if (!p->seg[i].key && str_index(p->seg[i].text, '(') >= 0) {
            return true;
        }
    }
    return false;
}

static unsigned read_target(struct canon *c, struct buf *out, struct str target, struct arena *a)
{
    struct filter_request r = {
        .method = STR("PUT"), .authority = STR("graph.microsoft.com"), .target = target};
    canon_make(c, &r, a);
    check(c->path.count >= 1 && c->path.count <= PATH_READINGS && c->pairs <= CANON_PAIRS);
    for (size_t i = 0; i < c->path.count; i++) {
        struct path *p = &c->path.reading[i];
        check(p->count <= PATH_SEGMENTS);
        for (size_t k = 0; k < p->count; k++) {
            check(p->seg[k].hash == path_hash(p->seg[k].text));
            check(k > 0 || p->seg[k].start);
        }
        path_mark_files(p);
    }
    path_put(out, &c->path.reading[0]);
    return c->path.faults;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = {0};
    struct canon c;
    struct buf once = {0}, twice = {0};
    unsigned faults = read_target(&c, &once, str_of((const char *)data, size), &a);
    if (!(faults & (PATH_UNSTABLE | PATH_LONG | PATH_DEEP)) && once.len < PATH_BYTES &&
        !has_open_parenthesis(&c.path.reading[0])) {
        read_target(&c, &twice, buf_view(&once), &a);
        check(str_eq(buf_view(&once), buf_view(&twice)));
    }
    buf_free(&once);
    buf_free(&twice);
    arena_free(&a);
    return 0;
}
