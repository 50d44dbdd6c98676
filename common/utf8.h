/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef COMMON_UTF8_H
#define COMMON_UTF8_H

#include "common/str.h"

/* Length of the character at the start of `s` and its code point; 0 when `s` does not start with a
 * valid one. */
size_t utf8_decode(struct str s, uint32_t *cp);

bool utf8_is_valid(struct str s);

#endif
