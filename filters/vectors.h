/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The test vectors that packs carry: requests that a rule must block and that nothing may block.
 * They are judged by the code that judges real ones, with every known host open and no
 * administrator.
 */
#ifndef FILTERS_VECTORS_H
#define FILTERS_VECTORS_H

#include "filters/ruleset.h"

/* "METHOD URL | Name: value | @connect: host:port | @sni: host" → a request; its parts point into
 * `text` and `a`. False when it is none. */
bool vector_parse(struct str text, struct filter_request *out, struct arena *a);

/* Runs all. 0 and their number, or ERR_CONFIG with each that failed in `d`. */
int vectors_run(struct ruleset *rs, size_t *count, struct diag *d) MUSTCHECK;

#endif
