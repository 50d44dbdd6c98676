/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packs: TOML files that hold rules and what rules speak of. docs/filters.md says how one is
 * written. Reading a pack checks each line of it by itself; what needs the other packs (names of
 * classes and owners, equal ids, test vectors) is checked by filters/ruleset.h.
 */
#ifndef FILTERS_PACK_H
#define FILTERS_PACK_H

#include "filters/rule.h"

#define PACK_BYTES (256u << 20) /* of a pack file */

/* All in the arena it was read with. */
struct pack {
    const char *file;
    struct schema_str name;
    struct {
        struct rule *item;
        size_t count;
    } rules;
    struct {
        struct relay *item;
        size_t count;
    } relays;
    struct {
        struct host_class *item;
        size_t count;
    } classes;
    struct {
        struct host_fact *item;
        size_t count;
    } hosts;
    struct {
        struct owner *item;
        size_t count;
    } owners;
};

/* Reads `text`; `file` names it in faults and rules. 0, or ERR_CONFIG with all faults in `d`. */
int pack_read(struct pack *p, struct str text, const char *file, struct arena *a,
              struct diag *d) MUSTCHECK;

/* The settings of [filters] portal in the order of enum filters_portal; NULL ends them. */
extern const char *const portal_settings[];

/* The names of clouds in the order of host_fact.cloud; NULL ends them. */
extern const char *const pack_clouds[];

#endif
