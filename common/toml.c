/* SPDX-License-Identifier: Apache-2.0 */
#include "common/toml.h"

#include "common/err.h"
#include "common/mem.h"
#include "common/toml_shim.h"

#include <stdlib.h>

#define TOML_DEPTH 260 /* toml++ stops at 256 */

struct toml_doc {
    struct arena arena;
    const char *file;
    struct toml_node *root;
};

struct build {
    struct toml_doc *doc;
    struct diag *diag;
    struct toml_node *open[TOML_DEPTH];
    struct toml_node *last[TOML_DEPTH]; /* child of the one at the same depth */
    unsigned depth;
    int err;
};

static bool stands_before(const struct toml_node *a, const struct toml_node *b)
{
    return a->key_line != b->key_line ? a->key_line < b->key_line : a->key_column < b->key_column;
}

/*
 * toml++ keeps tables sorted by key; we want them as written. Most children belong at the end (all
 * of an array's), so that is looked at first: a list may have 100,000 of them.
 */
static void insert(struct toml_node *parent, struct toml_node **last, struct toml_node *node)
{
    struct toml_node **at = *last != NULL ? &(*last)->next : &parent->child;
    if (*last != NULL && parent->kind == TOML_TABLE && stands_before(node, *last)) {
        at = &parent->child;
        while (!stands_before(node, *at)) {
            at = &(*at)->next;
        }
    } else {
        *last = node;
    }
    node->next = *at;
    *at = node;
}

static void on_enter(void *ctx, const struct toml_event *e)
{
    struct build *b = ctx;
    struct arena *arena = &b->doc->arena;
    if (b->depth >= TOML_DEPTH) { /* toml++ bounds brackets only, not the parts of a dotted key */
        struct diag_at at = {.file = b->doc->file, .line = e->key_line, .column = e->key_column};
        b->err =
            b->err != 0 ? b->err : diag_error(b->diag, at, "nested more than %d deep", TOML_DEPTH);
        b->depth++;
        return;
    }
    struct toml_node *node = arena_zalloc(arena, sizeof(*node));
    *node = (struct toml_node){
        .kind = (enum toml_kind)e->kind,
        .key = arena_str(arena, str_of(e->key, e->key_len)),
        .line = e->line,
        .column = e->column,
        .key_line = e->key_line,
        .key_column = e->key_column,
        .string = arena_str(arena, str_of(e->string, e->string_len)),
        .integer = e->integer,
        .real = e->real,
        .boolean = e->boolean != 0,
        .one_line = e->one_line != 0,
    };
    if (b->depth == 0) {
        b->doc->root = node;
    } else {
        insert(b->open[b->depth - 1], &b->last[b->depth - 1], node);
    }
    b->open[b->depth] = node;
    b->last[b->depth] = NULL;
    b->depth++;
}

static void on_leave(void *ctx)
{
    struct build *b = ctx;
    b->depth--;
}

static void on_fail(void *ctx, unsigned line, unsigned column, const char *what, size_t len)
{
    struct build *b = ctx;
    struct diag_at at = {.file = b->doc->file, .line = line, .column = column};
    b->err = diag_error(b->diag, at, STR_FMT, (int)len, what);
}

int toml_parse(struct str text, const char *file, struct toml_doc **out, struct diag *d)
{
    struct toml_doc *doc = xnew(struct toml_doc);
    doc->file = arena_strz(&doc->arena, str_z(file));
    struct build b = {.doc = doc, .diag = d};
    struct toml_walker walker = {.ctx = &b, .enter = on_enter, .leave = on_leave, .fail = on_fail};
    toml_shim_walk(text.ptr != NULL ? text.ptr : "", text.len, &walker);
    if (b.err != 0) {
        toml_free(doc);
        return b.err;
    }
    *out = doc;
    return 0;
}

const struct toml_node *toml_root(const struct toml_doc *doc)
{
    return doc->root;
}

const struct toml_node *toml_get(const struct toml_node *table, const char *key)
{
    for (const struct toml_node *n = table->child; n != NULL; n = n->next) {
        if (str_eq(n->key, str_z(key))) {
            return n;
        }
    }
    return NULL;
}

struct diag_at toml_at(const struct toml_doc *doc, const struct toml_node *value)
{
    return (struct diag_at){.file = doc->file, .line = value->line, .column = value->column};
}

struct diag_at toml_at_key(const struct toml_doc *doc, const struct toml_node *value)
{
    return (struct diag_at){
        .file = doc->file, .line = value->key_line, .column = value->key_column};
}

const char *toml_kind_name(enum toml_kind kind)
{
    static const char *const name[] = {
        "a table",       "a list", "a string", "a number", "a number with a point",
        "true or false", "a date"};
    return name[kind];
}

void toml_free(struct toml_doc *doc)
{
    if (doc != NULL) {
        arena_free(&doc->arena);
        free(doc);
    }
}
