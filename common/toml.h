/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TOML 1.0 (https://toml.io/en/v1.0.0), read by toml++ behind this C face: one tree of nodes, each
 * with its place in the file, tables in the order of the file. Nothing here knows which keys exist;
 * that is the reader's table.
 */
#ifndef COMMON_TOML_H
#define COMMON_TOML_H

#include "common/diag.h"
#include "common/str.h"

#include <stdbool.h>
#include <stdint.h>

enum toml_kind {
    TOML_TABLE,
    TOML_ARRAY,
    TOML_STRING,
    TOML_INTEGER,
    TOML_FLOAT,
    TOML_BOOLEAN,
    TOML_DATE, /* any of TOML's four date and time types; text in `string` */
};

struct toml_node {
    enum toml_kind kind;
    struct str key; /* in a table; empty in an array. Has a NUL behind it, as `string` does */
    unsigned line, column;         /* of the value, from 1 */
    unsigned key_line, key_column; /* of the key; the value's place in an array */
    struct str string;             /* TOML_STRING, TOML_DATE */
    int64_t integer;
    double real;
    bool boolean;
    bool one_line;           /* a table or array written in brackets behind `=` */
    struct toml_node *child; /* first of a table or array, in the order of the file */
    struct toml_node *next;  /* sibling */
};

struct toml_doc;

/*
 * Parses `text`; `file` names it in faults and in toml_at(), and is copied. 0 and a document to
 * toml_free(), or ERR_CONFIG with the fault in `d`. Text is bounded by the caller; nesting here
 * and by toml++ (256).
 */
int toml_parse(struct str text, const char *file, struct toml_doc **out, struct diag *d) MUSTCHECK;

const struct toml_node *toml_root(const struct toml_doc *doc);

/* The child named `key`, or NULL. */
const struct toml_node *toml_get(const struct toml_node *table, const char *key);

/* Places for faults. */
struct diag_at toml_at(const struct toml_doc *doc, const struct toml_node *value);
struct diag_at toml_at_key(const struct toml_doc *doc, const struct toml_node *value);

const char *toml_kind_name(enum toml_kind kind); /* "a string", "a table", … */

void toml_free(struct toml_doc *doc);

#endif
