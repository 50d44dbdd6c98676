/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the sections [inspect], [filters] and [admins] of proxy.toml say, as read: names are checked
 * by filters_build(), which also reads the files. Each key has a default; a file may hold none of
 * the sections.
 */
#ifndef FILTERS_CONF_H
#define FILTERS_CONF_H

#include "common/schema.h"

enum filters_profile {
    FILTERS_STANDARD, /* every host that is known to be able to change a photo */
    FILTERS_LIGHT,    /* Graph, My Account, the user blades' API: the fewest hosts opened */
};

/* What becomes of the Azure and Entra portals. */
enum filters_portal {
    FILTERS_USER_BLADES, /* what belongs to the user-management blades is refused */
    FILTERS_WRITES,      /* only changes of photos by Graph and the blades' API; they stay closed */
    FILTERS_ALL,         /* the portals are refused altogether */
};

/* One line of [inspect] extra: a host and the class whose rules hold for it. */
struct filters_extra {
    struct schema_str host, class;
};

struct filters_extras {
    struct filters_extra *item;
    size_t count;
};

/*
 * Fill with filters_conf_defaults(), then filters_conf_read(). Strings and lists live in the
 * reader's arena; filters_build() copies what it keeps.
 */
struct filters_conf {
    int dir; /* where relative file names start: a directory's descriptor, or AT_FDCWD */

    struct {
        struct schema_strs packs; /* clouds: world, gcc-high, dod, china; none named: all */
        int profile;              /* enum filters_profile */
        struct schema_strs tenants;
        struct schema_strs optional;   /* groups of hosts that are opened only when named */
        struct filters_extras extra;   /* more hosts, by class */
        struct schema_strs never;      /* hosts never to open; wins over all else */
        struct ip_nets never_networks; /* clients whose connections are never opened */
    } inspect;

    struct {
        struct schema_strs packs;   /* files with more rules */
        struct schema_strs disable; /* ids of rules that are off */
        int portal;                 /* enum filters_portal */
        struct schema_strs groups;  /* addresses whose photo may be changed by their owners */
    } filters;

    struct {
        struct schema_strs users, oids, apps, groups, roles;
        struct ip_nets networks;
        struct schema_str tenant_id;
        struct schema_str file; /* exported by photogate-admin */
    } admins;
};

void filters_conf_defaults(struct filters_conf *c);

/*
 * Reads the three sections into `c`; a section that is not in the file is NULL. 0, or ERR_CONFIG
 * with the faults in the reader's diag. Opens no file.
 */
int filters_conf_read(struct filters_conf *c, struct schema_reader *r,
                      const struct toml_node *inspect, const struct toml_node *filters,
                      const struct toml_node *admins) MUSTCHECK;

/* Appends the three sections as TOML, every key with its value. */
void filters_conf_write(const struct filters_conf *c, struct buf *out);

#endif
