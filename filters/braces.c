/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/braces.h"

#include "common/buf.h"
#include "common/err.h"

struct expansion {
    int (*each)(void *ctx, struct str pattern);
    void *ctx;
    const char **why;
    size_t made;
};

static int expand(struct expansion *e, struct str head, struct str rest)
{
    struct buf whole = {0};
    ptrdiff_t open = str_index(rest, '{'), close = str_index(rest, '}');
    if (open < 0 && close < 0) {
        if (++e->made > BRACES_MOST) {
            *e->why = "its braces stand for more than 256 patterns";
            return ERR_SYNTAX;
        }
        buf_str(&whole, head);
        buf_str(&whole, rest);
        int err = e->each(e->ctx, buf_view(&whole));
        buf_free(&whole);
        return err;
    }
    struct str choices = open >= 0 && close > open
                             ? str_of(rest.ptr + open + 1, (size_t)(close - open) - 1)
                             : STR("{");
    if (str_index(choices, '{') >= 0) {
        *e->why = "braces stand in pairs and do not nest";
        return ERR_SYNTAX;
    }
    struct str choice;
    int err = 0;
    while (err == 0 && str_cut(&choices, ',', &choice)) {
        buf_clear(&whole);
        buf_str(&whole, head);
        buf_str(&whole, str_of(rest.ptr, (size_t)open));
        buf_str(&whole, choice);
        err = expand(e, buf_view(&whole), str_skip(rest, (size_t)close + 1));
    }
    buf_free(&whole);
    return err;
}

int braces_each(struct str text, int (*each)(void *ctx, struct str pattern), void *ctx,
                const char **why)
{
    struct expansion e = {.each = each, .ctx = ctx, .why = why};
    return expand(&e, STR_NONE, text);
}
