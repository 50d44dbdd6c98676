/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/glob.h"

bool glob_fits(struct str pattern, struct str text)
{
    size_t p = 0, t = 0, star = 0, from = 0;
    bool starred = false;
    while (t < text.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            starred = true;
            star = ++p;
            from = t;
        } else if (p < pattern.len && pattern.ptr[p] == ascii_lower(text.ptr[t])) {
            p++;
            t++;
        } else if (starred) { /* let the last star take one more */
            p = star;
            t = ++from;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*') {
        p++;
    }
    return p == pattern.len;
}
