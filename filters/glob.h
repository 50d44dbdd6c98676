/* SPDX-License-Identifier: Apache-2.0 */
/* Text patterns of rules: `*` stands for any run of characters, all else for itself. */
#ifndef FILTERS_GLOB_H
#define FILTERS_GLOB_H

#include "common/str.h"

/* True when all of `text` fits `pattern`, whose letters are lower case; those of `text` may be
 * either. Time is at worst the product of the lengths. */
bool glob_fits(struct str pattern, struct str text);

#endif
