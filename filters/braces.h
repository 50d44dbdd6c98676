/* SPDX-License-Identifier: Apache-2.0 */
/* "{upload,set}*{photo,picture}" in a pattern: each choice makes a pattern of its own. */
#ifndef FILTERS_BRACES_H
#define FILTERS_BRACES_H

#include "common/cc.h"
#include "common/str.h"

#define BRACES_MOST 256 /* patterns out of one */

/*
 * Calls `each` with every pattern that `text` stands for; the view lives until it returns. Braces
 * do not nest. 0, or what `each` returned first when that is not 0, or ERR_SYNTAX with what is
 * wrong in `*why` (static storage).
 */
int braces_each(struct str text, int (*each)(void *ctx, struct str pattern), void *ctx,
                const char **why) MUSTCHECK;

#endif
