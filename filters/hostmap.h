/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of hosts to anything: exact names and "*.suffix", which covers every name below the suffix
 * but not the suffix itself. A look-up hashes the host once, from its end, and probes the table
 * once a label, however many names there are.
 */
#ifndef FILTERS_HOSTMAP_H
#define FILTERS_HOSTMAP_H

#include "common/cc.h"
#include "common/str.h"

#define HOSTMAP_MOST 16 /* entries that one host can fall under; longer suffixes count first */

/* A zeroed map is empty and ready. Names are not copied. */
struct hostmap {
    struct hostmap_slot *slot;
    size_t count, room;
};

/* "graph.microsoft.com" or "*.sharepoint.com": lower-case labels of a-z 0-9 - _. */
bool hostmap_is_name(struct str name);

/* Puts `name` → `value` (not NULL). Returns the value that was there and stays, or NULL. */
void *hostmap_put(struct hostmap *m, struct str name, void *value);

/* Fills out[0..HOSTMAP_MOST) with the values of all entries that cover `host` (lower case, no
 * trailing dot), the most specific first; returns how many. */
size_t hostmap_find(const struct hostmap *m, struct str host, void *out[HOSTMAP_MOST]);

void hostmap_free(struct hostmap *m);

#endif
