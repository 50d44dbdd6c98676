/* SPDX-License-Identifier: Apache-2.0 */
/* The packs that are part of the program: filters/packs/, in the order in which their rules count.
 */
#ifndef FILTERS_EMBEDDED_H
#define FILTERS_EMBEDDED_H

#include "filters/ruleset.h"

extern const size_t embedded_count;

/* `at` < embedded_count. Static storage. */
struct pack_source embedded_pack(size_t at);

#endif
