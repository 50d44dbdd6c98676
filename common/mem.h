/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory. Out of memory ends the process: whoever allocates bounds what a peer can make him ask
 * for, first. An arena holds what one request needs (strings, fields) and goes with it, all at
 * once.
 */
#ifndef COMMON_MEM_H
#define COMMON_MEM_H

#include "common/str.h"

#include <stddef.h>

void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size); /* zeroed; an overflow of count * size ends the process */
void *xrealloc(void *p, size_t size);
void *xmemdup(const void *p, size_t size);
char *xstrdup(const char *z);
char *xstrndup(const char *p, size_t len); /* `len` bytes and a NUL */

#define xnew(type) ((type *)xcalloc(1, sizeof(type)))

struct arena_block;

/* A zeroed arena is empty and ready. Not for two threads at once. */
struct arena {
    struct arena_block *blocks; /* newest first */
    char *at, *end;             /* free room in the newest */
    size_t total;               /* bytes taken from the system, to hold against a limit */
};

/* `size` bytes aligned for anything; they live until arena_free(). Not zeroed. */
void *arena_alloc(struct arena *a, size_t size);
void *arena_zalloc(struct arena *a, size_t size);

/* Copies; the copy has a NUL behind it that its length does not count. */
struct str arena_str(struct arena *a, struct str s);
const char *arena_strz(struct arena *a, struct str s);
struct str arena_lower(struct arena *a, struct str s); /* with ASCII letters in lower case */

/* Frees everything; the arena is empty and ready again. */
void arena_free(struct arena *a);

/* Like arena_free() but keeps one block, so that the next request on a connection need not ask the
 * system. */
void arena_reset(struct arena *a);

#endif
