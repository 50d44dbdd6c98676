/* SPDX-License-Identifier: Apache-2.0 */
/* The inspect list: which of the hosts that packs know are opened under a configuration. */
#ifndef FILTERS_HOSTS_H
#define FILTERS_HOSTS_H

#include "filters/ruleset.h"

/* Immutable when built. */
struct hosts {
    struct arena arena;
    struct hostmap map;        /* → struct host_entry */
    struct host_entry **entry; /* in the order of the packs */
    size_t count, room;
};

/* By the [inspect] section; 0 or ERR_CONFIG with the faults in `d`. Free it either way. */
int hosts_build(struct hosts *h, const struct ruleset *rs, const struct filters_conf *conf,
                struct diag *d) MUSTCHECK;

/* Every host that packs and rules name, for test vectors. */
void hosts_build_all(struct hosts *h, const struct ruleset *rs);

void hosts_free(struct hosts *h);

/* The entry that covers the canonical `host`, or NULL. */
const struct host_entry *hosts_find(const struct hosts *h, struct str host);

#endif
