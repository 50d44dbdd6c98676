/* SPDX-License-Identifier: Apache-2.0 */
/* Filters from a configuration file, for commands that need nothing else of it. */
#ifndef PROXY_FILTERS_LOAD_H
#define PROXY_FILTERS_LOAD_H

#include "filters/filters.h"

/*
 * Builds the filters that `config` describes (NULL: the defaults); sections that are not theirs are
 * not looked at. 0 and *out for filters_free(), or a negative code with the faults in `d`.
 */
int filters_load(const char *config, struct filters **out, struct diag *d) MUSTCHECK;

#endif
