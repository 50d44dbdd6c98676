/* SPDX-License-Identifier: Apache-2.0 */
#include "common/b64.h"

#include "common/err.h"

static const char *letters(enum b64_form form)
{
    return form == B64_URL ? "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
                           : "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
}

void b64_encode(struct buf *out, const void *data, size_t len, enum b64_form form)
{
    const unsigned char *in = data;
    const char *abc = letters(form);
    for (size_t i = 0; i < len; i += 3) {
        size_t n = MIN(len - i, (size_t)3);
        uint32_t v = (uint32_t)in[i] << 16 | (n > 1 ? (uint32_t)in[i + 1] << 8 : 0) |
                     (n > 2 ? in[i + 2] : 0);
        buf_char(out, abc[v >> 18]);
        buf_char(out, abc[v >> 12 & 63]);
        if (n > 1) {
            buf_char(out, abc[v >> 6 & 63]);
        }
        if (n > 2) {
            buf_char(out, abc[v & 63]);
        }
        for (size_t k = n; form == B64_STANDARD && k < 3; k++) {
            buf_char(out, '=');
        }
    }
}

static int value_of(char c, enum b64_form form)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    const char *abc = letters(form);
    return c == abc[62] ? 62 : c == abc[63] ? 63 : -1;
}

int b64_decode(struct buf *out, struct str text, enum b64_form form)
{
    const size_t before = out->len;
    if (form == B64_STANDARD) {
        if (text.len % 4 != 0) {
            return ERR_SYNTAX;
        }
        for (int pad = 0; pad < 2 && text.len > 0 && text.ptr[text.len - 1] == '='; pad++) {
            text.len--;
        }
    }
    if (text.len % 4 == 1) {
        return ERR_SYNTAX;
    }
    uint32_t bits = 0;
    int have = 0;
    for (size_t i = 0; i < text.len; i++) {
        int v = value_of(text.ptr[i], form);
        if (v < 0) {
            out->len = before;
            return ERR_SYNTAX;
        }
        bits = bits << 6 | (uint32_t)v;
        have += 6;
        if (have >= 8) {
            have -= 8;
            buf_char(out, (char)(bits >> have));
            bits &= (1u << have) - 1;
        }
    }
    if (bits != 0) { /* left-over bits must be zero, or two texts would mean the same bytes */
        out->len = before;
        return ERR_SYNTAX;
    }
    return 0;
}
