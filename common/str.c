/* SPDX-License-Identifier: Apache-2.0 */
#include "common/str.h"

#include "common/cc.h"

bool str_ieq(struct str a, struct str b)
{
    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        if (ascii_lower(a.ptr[i]) != ascii_lower(b.ptr[i])) {
            return false;
        }
    }
    return true;
}

int str_cmp(struct str a, struct str b)
{
    size_t n = MIN(a.len, b.len);
    int c = n > 0 ? memcmp(a.ptr, b.ptr, n) : 0;
    if (c != 0) {
        return c;
    }
    return a.len < b.len ? -1 : a.len > b.len;
}

bool str_starts(struct str s, struct str prefix)
{
    return s.len >= prefix.len && str_eq(str_of(s.ptr, prefix.len), prefix);
}

bool str_istarts(struct str s, struct str prefix)
{
    return s.len >= prefix.len && str_ieq(str_of(s.ptr, prefix.len), prefix);
}

bool str_ends(struct str s, struct str suffix)
{
    return s.len >= suffix.len && str_eq(str_skip(s, s.len - suffix.len), suffix);
}

ptrdiff_t str_index(struct str s, char c)
{
    const char *at = s.len > 0 ? memchr(s.ptr, c, s.len) : NULL;
    return at != NULL ? at - s.ptr : -1;
}

ptrdiff_t str_find(struct str s, struct str needle)
{
    if (needle.len == 0) {
        return 0;
    }
    const char *at = s.len > 0 ? memmem(s.ptr, s.len, needle.ptr, needle.len) : NULL;
    return at != NULL ? at - s.ptr : -1;
}

bool str_cut(struct str *rest, char sep, struct str *piece)
{
    if (rest->ptr == NULL) {
        return false;
    }
    ptrdiff_t at = str_index(*rest, sep);
    if (at < 0) {
        *piece = *rest;
        *rest = STR_NONE;
        return true;
    }
    *piece = str_of(rest->ptr, (size_t)at);
    *rest = str_skip(*rest, (size_t)at + 1);
    return true;
}

struct str str_trim(struct str s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) {
        s = str_skip(s, 1);
    }
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t')) {
        s.len--;
    }
    return s;
}

bool str_u64(struct str s, uint64_t *out)
{
    uint64_t n = 0;
    if (s.len == 0) {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9' || __builtin_mul_overflow(n, 10u, &n) ||
            __builtin_add_overflow(n, (uint64_t)(s.ptr[i] - '0'), &n)) {
            return false;
        }
    }
    *out = n;
    return true;
}

bool str_list_has(struct str list, struct str token)
{
    struct str piece;
    while (str_cut(&list, ',', &piece)) {
        if (str_ieq(str_trim(piece), token)) {
            return true;
        }
    }
    return false;
}

unsigned str_distance(struct str a, struct str b, unsigned max)
{
    enum {
        LONGEST = 64
    };
    unsigned row[LONGEST + 1];
    if (a.len > LONGEST || b.len > LONGEST) {
        return max + 1;
    }
    for (size_t j = 0; j <= b.len; j++) {
        row[j] = (unsigned)j;
    }
    for (size_t i = 1; i <= a.len; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b.len; j++) {
            unsigned above = row[j];
            unsigned swap = diagonal + (ascii_lower(a.ptr[i - 1]) != ascii_lower(b.ptr[j - 1]));
            row[j] = MIN(MIN(row[j - 1] + 1, above + 1), swap);
            diagonal = above;
        }
    }
    return row[b.len] > max ? max + 1 : row[b.len];
}
