/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/name.h"

#include "common/err.h"
#include "common/mem.h"

#include <stdlib.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f');
}

/* `label` is lower case. */
static bool label_is_ldh(struct str label)
{
    if (label.len == 0 || label.len > NAME_LABEL_MAX || label.ptr[0] == '-' ||
        label.ptr[label.len - 1] == '-') {
        return false;
    }
    for (size_t i = 0; i < label.len; i++) {
        char c = label.ptr[i];
        if (!is_digit(c) && !(c >= 'a' && c <= 'z') && c != '-') {
            return false;
        }
    }
    return true;
}

/* inet_aton() and browsers read a host whose last label is a number, hex included, as an address.
 */
static bool label_is_number(struct str label)
{
    bool hex = label.len >= 2 && label.ptr[0] == '0' && label.ptr[1] == 'x';
    for (size_t i = hex ? 2 : 0; i < label.len; i++) {
        if (hex ? !is_hex(label.ptr[i]) : !is_digit(label.ptr[i])) {
            return false;
        }
    }
    return true;
}

int name_fold(struct str in, char out[NAME_MAX_LEN + 1])
{
    out[0] = '\0';
    if (in.len == 0 || in.len > NAME_MAX_LEN) {
        return ERR_NAME;
    }
    for (size_t i = 0; i < in.len; i++) {
        out[i] = ascii_lower(in.ptr[i]);
    }
    out[in.len] = '\0';
    struct str rest = str_of(out, in.len), label = STR_NONE;
    while (str_cut(&rest, '.', &label)) {
        if (!label_is_ldh(label)) {
            out[0] = '\0';
            return ERR_NAME;
        }
    }
    if (label_is_number(label)) {
        out[0] = '\0';
        return ERR_NAME;
    }
    return 0;
}

int name_fold_pattern(struct str in, char out[NAME_MAX_LEN + 1])
{
    const size_t star = str_starts(in, STR("*.")) ? 2 : 0;
    if (in.len > NAME_MAX_LEN) {
        out[0] = '\0';
        return ERR_NAME;
    }
    int err = name_fold(str_skip(in, star), out);
    if (err == 0 && strchr(out, '.') == NULL) {
        out[0] = '\0';
        err = ERR_NAME;
    }
    if (err == 0 && star > 0) {
        memmove(out + star, out, in.len - star + 1);
        memcpy(out, "*.", star);
    }
    return err;
}

bool name_within(struct str constraint, struct str name)
{
    if (constraint.len == 0 || !str_ends(name, constraint)) {
        return false;
    }
    struct str before = str_of(name.ptr, name.len - constraint.len);
    return before.len == 0 || str_starts(constraint, STR(".")) || str_ends(before, STR("."));
}

bool name_matches(struct str pattern, struct str name)
{
    if (str_starts(pattern, STR("*."))) {
        struct str below = str_skip(pattern, 2);
        return name.len > below.len && name_within(below, name);
    }
    return str_eq(pattern, name);
}

static int push(struct names *n, const char *item)
{
    for (size_t i = 0; i < n->count; i++) {
        if (strcmp(n->item[i], item) == 0) {
            return 0;
        }
    }
    if (n->count >= NAMES_MAX) {
        return ERR_LIMIT;
    }
    n->item = xrealloc(n->item, (n->count + 1) * sizeof(*n->item));
    n->item[n->count++] = xstrdup(item);
    return 0;
}

int names_add(struct names *n, struct str pattern)
{
    char folded[NAME_MAX_LEN + 1];
    int err = name_fold_pattern(pattern, folded);
    return err != 0 ? err : push(n, folded);
}

int names_add_constraint(struct names *n, struct str constraint)
{
    char folded[NAME_MAX_LEN + 2] = ".";
    const size_t dot = str_starts(constraint, STR(".")) ? 1 : 0;
    int err = name_fold(str_skip(constraint, dot), folded + 1);
    return err != 0 ? err : push(n, folded + 1 - dot);
}

bool names_match(const struct names *n, struct str name)
{
    for (size_t i = 0; i < n->count; i++) {
        if (name_matches(str_z(n->item[i]), name)) {
            return true;
        }
    }
    return false;
}

bool names_cover(const struct names *n, struct str pattern)
{
    /* "*.x" as ".x" ends with exactly the constraints that permit all below x: "x" and ".x" */
    struct str name = str_skip(pattern, str_starts(pattern, STR("*.")) ? 1 : 0);
    for (size_t i = 0; i < n->count; i++) {
        if (name_within(str_z(n->item[i]), name)) {
            return true;
        }
    }
    return false;
}

static struct str without_star(struct str pattern)
{
    return str_skip(pattern, str_starts(pattern, STR("*.")) ? 2 : 0);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void names_to_constraints(const struct names *patterns, struct names *out)
{
    *out = (struct names){.item = xcalloc(patterns->count, sizeof(*out->item))};
    for (size_t i = 0; i < patterns->count; i++) {
        struct str one = without_star(str_z(patterns->item[i]));
        bool needed = true;
        for (size_t j = 0; j < patterns->count && needed; j++) {
            struct str other = without_star(str_z(patterns->item[j]));
            /* of "x" and "*.x", which are one constraint, the first stays */
            needed = i == j || !name_within(other, one) || (str_eq(other, one) && i < j);
        }
        if (needed) {
            out->item[out->count++] = xstrndup(one.ptr, one.len);
        }
    }
    if (out->count > 0) {
        qsort(out->item, out->count, sizeof(*out->item), by_text);
    }
}

void names_free(struct names *n)
{
    for (size_t i = 0; i < n->count; i++) {
        free(n->item[i]);
    }
    free(n->item);
    *n = (struct names){0};
}
