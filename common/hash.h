/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SipHash-1-3 with a key chosen at random when the process starts: tables that are filled with
 * names a client chooses cannot be made to collide by him
 * (https://www.aumasson.jp/siphash/siphash.pdf).
 */
#ifndef COMMON_HASH_H
#define COMMON_HASH_H

#include "common/str.h"

/* Draws the key; call once, before the first thread starts. Without it the key is zero (tests,
 * tools). */
void hash_init(void);

uint64_t hash_str(struct str s);

/* The same for two strings as one key, without a copy. */
uint64_t hash_str2(struct str a, struct str b);

#endif
