/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS names as certificates carry them, and lists of them. A name here is lower case, without a
 * trailing dot, made of letters, digits and hyphens only (RFC 1123, 2.1; RFC 5280, 4.2.1.6): what
 * passes name_fold() can be put into a subjectAltName as it is.
 */
#ifndef CERTS_NAME_H
#define CERTS_NAME_H

#include "common/cc.h"
#include "common/str.h"

#define NAME_MAX_LEN   253  /* RFC 1035, 2.3.4, as text */
#define NAMES_MAX      1024 /* of one list: the hosts of one installation */
#define NAME_LABEL_MAX 63

/*
 * Checks `in` and writes it in lower case with a NUL to `out`, which must not overlap it. ERR_NAME,
 * with `out` empty, for anything that is no host name: other letters, empty, over-long or
 * hyphen-edged labels, a trailing dot, and what reads as an address ("10.1", "::1", a last label of
 * digits or 0x…: the WHATWG URL standard's "ends in a number").
 */
int name_fold(struct str in, char out[NAME_MAX_LEN + 1]) MUSTCHECK;

/* The same for what a person may write in a list: a full name of two labels at least, or "*." and
 * one. A lone label is refused because as a constraint it would permit a whole top level domain. */
int name_fold_pattern(struct str in, char out[NAME_MAX_LEN + 1]) MUSTCHECK;

/*
 * True when `name` is `constraint` or any name below it (RFC 5280, 4.2.1.10). Both folded. A
 * constraint that some other CA wrote with a leading dot permits only what is below it, as OpenSSL
 * and browsers read it.
 */
bool name_within(struct str constraint, struct str name);

/* True when `name` is `pattern`, or lies below x when the pattern is "*.x". Both folded. */
bool name_matches(struct str pattern, struct str name);

/* A list of folded names or patterns. Owns them; a zeroed one is empty and ready. */
struct names {
    char **item;
    size_t count;
};

/* Adds a copy of the pattern; one that is there already is not added again. ERR_NAME; ERR_LIMIT
 * beyond NAMES_MAX. */
int names_add(struct names *n, struct str pattern) MUSTCHECK;

/* Adds a constraint found in a certificate: besides names, a lone label and a leading dot.
 * ERR_NAME, ERR_LIMIT. */
int names_add_constraint(struct names *n, struct str constraint) MUSTCHECK;

/* True when one of the patterns matches `name` (folded). */
bool names_match(const struct names *n, struct str name);

/* True when all that `pattern` matches lies within one of the constraints in `n`. */
bool names_cover(const struct names *n, struct str pattern);

/*
 * The shortest list of constraints that permits what `patterns` match: "*.x" becomes "x", and a
 * name within another is dropped. Sorted, so that equal sets give equal certificates. `out` must be
 * empty.
 */
void names_to_constraints(const struct names *patterns, struct names *out);

void names_free(struct names *n);

#endif
