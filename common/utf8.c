/* SPDX-License-Identifier: Apache-2.0 */
#include "common/utf8.h"

size_t utf8_decode(struct str s, uint32_t *cp)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (s.len == 0) {
        return 0;
    }
    unsigned char first = (unsigned char)s.ptr[0];
    if (first < 0x80) {
        *cp = first;
        return 1;
    }
    size_t n = first >= 0xf0 && first < 0xf8   ? 4
               : first >= 0xe0 && first < 0xf0 ? 3
               : first >= 0xc0 && first < 0xe0 ? 2
                                               : 0;
    if (n == 0 || s.len < n) {
        return 0;
    }
    uint32_t c = first & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        unsigned char next = (unsigned char)s.ptr[i];
        if ((next & 0xc0) != 0x80) {
            return 0;
        }
        c = c << 6 | (next & 0x3f);
    }
    if (c < smallest[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) {
        return 0;
    }
    *cp = c;
    return n;
}

bool utf8_is_valid(struct str s)
{
    while (s.len > 0) {
        uint32_t cp;
        size_t n = utf8_decode(s, &cp);
        if (n == 0) {
            return false;
        }
        s = str_skip(s, n);
    }
    return true;
}
