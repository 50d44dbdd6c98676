/* SPDX-License-Identifier: Apache-2.0 */
#include "common/buf.h"

#include "common/mem.h"
#include "common/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *buf_room(struct buf *b, size_t len)
{
    if (b->cap - b->len < len) {
        size_t cap = b->cap > 0 ? b->cap : 128;
        while (cap - b->len < len) {
            cap *= 2;
        }
        b->ptr = xrealloc(b->ptr, cap);
        b->cap = cap;
    }
    return b->ptr + b->len;
}

void buf_put(struct buf *b, const void *data, size_t len)
{
    if (len > 0) {
        memcpy(buf_room(b, len), data, len);
        b->len += len;
    }
}

void buf_str(struct buf *b, struct str s)
{
    buf_put(b, s.ptr, s.len);
}

void buf_z(struct buf *b, const char *z)
{
    buf_put(b, z, strlen(z));
}

void buf_char(struct buf *b, char c)
{
    *buf_room(b, 1) = c;
    b->len++;
}

void buf_u64(struct buf *b, uint64_t n)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    buf_put(b, digits + at, sizeof(digits) - at);
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    for (size_t room = 128;;) {
        char *at = buf_room(b, room);
        va_start(args, format);
        int n = vsnprintf(at, room, format, args);
        va_end(args);
        if (n < 0) {
            return;
        }
        if ((size_t)n < room) {
            b->len += (size_t)n;
            return;
        }
        room = (size_t)n + 1;
    }
}

static bool json_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

void buf_json(struct buf *b, struct str s)
{
    buf_char(b, '"');
    for (size_t i = 0; i < s.len;) {
        size_t run = i;
        while (run < s.len && json_plain((unsigned char)s.ptr[run])) {
            run++;
        }
        buf_put(b, s.ptr + i, run - i);
        i = run;
        if (i == s.len) {
            break;
        }
        uint32_t cp;
        size_t n = utf8_decode(str_skip(s, i), &cp);
        if (n == 0) {
            buf_z(b, "\\ufffd");
            n = 1;
        } else if (cp == '"' || cp == '\\') {
            buf_char(b, '\\');
            buf_char(b, (char)cp);
        } else if (cp == '\n') {
            buf_z(b, "\\n");
        } else if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || cp == 0x2028 || cp == 0x2029) {
            buf_printf(b, "\\u%04x", cp);
        } else {
            buf_put(b, s.ptr + i, n);
        }
        i += n;
    }
    buf_char(b, '"');
}

void buf_html(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        switch (c) {
        case '&':
            buf_z(b, "&amp;");
            break;
        case '<':
            buf_z(b, "&lt;");
            break;
        case '>':
            buf_z(b, "&gt;");
            break;
        case '"':
            buf_z(b, "&quot;");
            break;
        case '\'':
            buf_z(b, "&#39;");
            break;
        default:
            if (c >= 0x20 || c == '\n' || c == '\t') {
                buf_char(b, (char)c);
            }
        }
    }
}

const char *buf_cstr(struct buf *b)
{
    *buf_room(b, 1) = '\0';
    return b->ptr;
}

void buf_clear(struct buf *b)
{
    b->len = 0;
}

void buf_free(struct buf *b)
{
    free(b->ptr);
    *b = (struct buf){0};
}
