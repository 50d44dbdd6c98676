/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A view of bytes: it neither owns them nor needs a NUL behind them. Everything that comes off the
 * wire is handled as one. Case is ASCII's only; bytes above 0x7f compare as they are.
 */
#ifndef COMMON_STR_H
#define COMMON_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* `len` bytes at `ptr`; ptr may be NULL only when len is 0. Passed and returned by value. */
struct str {
    const char *ptr;
    size_t len;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
#define STR_INIT(literal)              \
    {                                  \
        (literal), sizeof(literal) - 1 \
    } /* in static tables */
#define STR_NONE   ((struct str){NULL, 0})
#define STR_FMT    "%.*s" /* printf: STR_FMT with STR_ARG(s) */
#define STR_ARG(s) (int)(s).len, (s).ptr

static inline struct str str_of(const char *ptr, size_t len)
{
    return (struct str){ptr, len};
}

static inline struct str str_z(const char *z) /* NULL gives the empty view */
{
    return (struct str){z, z != NULL ? strlen(z) : 0};
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool str_ieq(struct str a, struct str b);
int str_cmp(struct str a,
            struct str b); /* like memcmp; the shorter of two with equal starts is less */
bool str_starts(struct str s, struct str prefix);
bool str_istarts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);

/* Index of the first `c`, or -1. */
ptrdiff_t str_index(struct str s, char c);

/* Index of the first place where `needle` stands, or -1; the empty needle stands at 0. */
ptrdiff_t str_find(struct str s, struct str needle);

/*
 * Cuts the next piece of `*rest` up to `sep` (which is dropped) into `*piece`.
 * False when nothing is left; an empty piece between two separators, or behind the last one, is a
 * piece.
 */
bool str_cut(struct str *rest, char sep, struct str *piece);

/* Without the bytes `from` first ones; `from` <= len. */
static inline struct str str_skip(struct str s, size_t from)
{
    return (struct str){from > 0 ? s.ptr + from : s.ptr, s.len - from};
}

/* Without spaces and tabs at either end (RFC 9110, 5.6.3: OWS). */
struct str str_trim(struct str s);

/* The whole of `s` as a decimal number without sign, spaces or leading '+'. False when it is none
 * or does not fit. */
bool str_u64(struct str s, uint64_t *out);

/* True when the comma list `list` has `token`, ASCII case ignored (RFC 9110, 5.6.1). */
bool str_list_has(struct str list, struct str token);

/* Edit distance of two short names for "did you mean"; anything beyond `max` gives max + 1. */
unsigned str_distance(struct str a, struct str b, unsigned max);

#endif
