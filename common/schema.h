/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a TOML table into a C struct by a table of fields. An unknown key, a wrong type or a value
 * out of range is a fault with line and column and, for a key, the nearest known name; reading goes
 * on so that one run shows all faults. What is not in the file keeps the value that the caller put
 * into the struct: defaults are plain initialisers. The same table writes a struct as TOML.
 */
#ifndef COMMON_SCHEMA_H
#define COMMON_SCHEMA_H

#include "common/diag.h"
#include "common/ip.h"
#include "common/mem.h"
#include "common/toml.h"

/* A string and where it stands, for faults that only a later check can find. Has a NUL behind it.
 */
struct schema_str {
    struct str text;
    struct diag_at at;
};

struct schema_strs {
    struct schema_str *item;
    size_t count;
};

enum schema_kind {
    SCHEMA_STRING,   /* struct schema_str */
    SCHEMA_STRINGS,  /* struct schema_strs, a list of strings */
    SCHEMA_BOOL,     /* bool */
    SCHEMA_INT,      /* int64_t within min..max */
    SCHEMA_DURATION, /* uint64_t milliseconds: "250ms", "30s", "5m", "48h", "7d"; within min..max */
    SCHEMA_SIZE,     /* uint64_t bytes: 4096, "64KiB", "4MiB", "1GiB"; within min..max */
    SCHEMA_ENUM,     /* int, the place in `names` */
    SCHEMA_NETS,     /* struct ip_nets, a list of addresses and networks */
    SCHEMA_TABLE,    /* the fields `fields` of a struct at `offset` */
    SCHEMA_CUSTOM,   /* whatever `read` makes of it */
};

struct schema_reader;

struct schema_field {
    const char *key; /* NULL ends the table */
    enum schema_kind kind;
    size_t offset; /* of the member in the object */
    int64_t min, max;
    const char *const *names; /* SCHEMA_ENUM; NULL ends it */
    const struct schema_field *fields;
    /* SCHEMA_CUSTOM: reads `value` into the member; faults to reader->diag. Keys below it are his
     * to check. */
    void (*read)(struct schema_reader *reader, const struct toml_node *value, void *member);
    /* SCHEMA_CUSTOM: appends the member as TOML, as `read` would take it back; and what it is, for
     * people: "list of ports". */
    void (*write)(struct buf *out, const void *member);
    const char *what;
};

/* What reading needs. Strings and lists are made in `arena` and live with it; places point at
 * `file`, too. */
struct schema_reader {
    const struct toml_doc *doc;
    struct arena *arena;
    struct diag *diag;
};

/* 0, or ERR_CONFIG when reading added a fault. `path` names the table in faults: "proxy",
 * "proxy.limits". */
int schema_read(struct schema_reader *r, const struct toml_node *table, const char *path,
                const struct schema_field *fields, void *object) MUSTCHECK;

/* Adds the fault "unknown key …" at `key`, with the nearest of the names in `known` (NULL ends
 * them). */
void schema_unknown_key(struct schema_reader *r, const struct toml_node *key, const char *path,
                        const char *const *known);

/*
 * Appends the object as TOML: the line "[path]", then "key = value # what it may be" for each
 * field, inner tables last. schema_read() of it gives the same object.
 */
void schema_write(struct buf *out, const char *path, const struct schema_field *fields,
                  const void *object);

/* For custom readers: the value's text copied with its place. False, with a fault, when it is no
 * string. */
bool schema_string(struct schema_reader *r, const struct toml_node *value, struct schema_str *out);

/* "30s" → milliseconds, "64KiB" → bytes. False when it is none. */
bool schema_duration(struct str text, uint64_t *ms);
bool schema_size(struct str text, uint64_t *bytes);

#endif
