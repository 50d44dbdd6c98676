/* SPDX-License-Identifier: Apache-2.0 */
#include "common/mem.h"

#include "common/cc.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Bytes of a usual block; with its header and malloc's it stays within a page. */
#define ARENA_BLOCK 4000

struct arena_block {
    struct arena_block *next;
    size_t size; /* of data[] */
    _Alignas(max_align_t) char data[];
};

static NORETURN void out_of_memory(void)
{
    static const char text[] = "photogate: out of memory\n";
    ssize_t ignored = write(STDERR_FILENO, text, sizeof(text) - 1);
    (void)ignored;
    abort();
}

void *xmalloc(size_t size)
{
    void *p = malloc(size > 0 ? size : 1);
    if (p == NULL) {
        out_of_memory();
    }
    return p;
}

void *xcalloc(size_t count, size_t size)
{
    void *p = calloc(count > 0 ? count : 1, size > 0 ? size : 1);
    if (p == NULL) {
        out_of_memory();
    }
    return p;
}

void *xrealloc(void *p, size_t size)
{
    void *q = realloc(p, size > 0 ? size : 1);
    if (q == NULL) {
        out_of_memory();
    }
    return q;
}

void *xmemdup(const void *p, size_t size)
{
    void *q = xmalloc(size);
    if (size > 0) {
        memcpy(q, p, size);
    }
    return q;
}

char *xstrndup(const char *p, size_t len)
{
    char *q = xmalloc(len + 1);
    if (len > 0) {
        memcpy(q, p, len);
    }
    q[len] = '\0';
    return q;
}

char *xstrdup(const char *z)
{
    return xstrndup(z, strlen(z));
}

static void arena_grow(struct arena *a, size_t size)
{
    size_t room = size > ARENA_BLOCK ? size : ARENA_BLOCK;
    struct arena_block *b = xmalloc(sizeof(*b) + room);
    b->size = room;
    b->next = a->blocks;
    a->blocks = b;
    a->at = b->data;
    a->end = b->data + room;
    a->total += room;
}

void *arena_alloc(struct arena *a, size_t size)
{
    const size_t align = _Alignof(max_align_t);
    if (size > SIZE_MAX / 2) {
        out_of_memory();
    }
    size_t need = (size + align - 1) & ~(align - 1);
    if (a->blocks == NULL || (size_t)(a->end - a->at) < need) {
        arena_grow(a, need);
    }
    void *p = a->at;
    a->at += need;
    return p;
}

void *arena_zalloc(struct arena *a, size_t size)
{
    return memset(arena_alloc(a, size), 0, size);
}

const char *arena_strz(struct arena *a, struct str s)
{
    char *p = arena_alloc(a, s.len + 1);
    if (s.len > 0) {
        memcpy(p, s.ptr, s.len);
    }
    p[s.len] = '\0';
    return p;
}

struct str arena_str(struct arena *a, struct str s)
{
    return str_of(arena_strz(a, s), s.len);
}

struct str arena_lower(struct arena *a, struct str s)
{
    char *p = arena_alloc(a, s.len + 1);
    for (size_t i = 0; i < s.len; i++) {
        p[i] = ascii_lower(s.ptr[i]);
    }
    p[s.len] = '\0';
    return str_of(p, s.len);
}

void arena_free(struct arena *a)
{
    for (struct arena_block *b = a->blocks, *next; b != NULL; b = next) {
        next = b->next;
        free(b);
    }
    *a = (struct arena){0};
}

void arena_reset(struct arena *a)
{
    struct arena_block *keep = NULL;
    for (struct arena_block *b = a->blocks, *next; b != NULL; b = next) {
        next = b->next;
        if (keep == NULL && b->size == ARENA_BLOCK) {
            keep = b;
            keep->next = NULL;
        } else {
            free(b);
        }
    }
    *a = (struct arena){0};
    if (keep != NULL) {
        a->blocks = keep;
        a->at = keep->data;
        a->end = keep->data + keep->size;
        a->total = keep->size;
    }
}
