/* SPDX-License-Identifier: Apache-2.0 */
/* A growing piece of text: log lines, answers, generated files. It owns its memory; what goes in is
 * copied. */
#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include "common/cc.h"
#include "common/str.h"

#include <stdint.h>

/* A zeroed buf is empty and ready. */
struct buf {
    char *ptr;
    size_t len, cap;
};

void buf_put(struct buf *b, const void *data, size_t len);
void buf_str(struct buf *b, struct str s);
void buf_z(struct buf *b, const char *z);
void buf_char(struct buf *b, char c);
void buf_u64(struct buf *b, uint64_t n);
void buf_printf(struct buf *b, const char *format, ...) PRINTF_LIKE(2, 3);

/*
 * `s` as a JSON string with its quotes. Bytes that are not UTF-8 come out as U+FFFD; control
 * characters, DEL and the line separators U+2028/2029 come out escaped, so that the text can stand
 * in a log line or a page.
 */
void buf_json(struct buf *b, struct str s);

/* `s` for HTML text and quoted attributes; control characters other than newline and tab are
 * dropped. */
void buf_html(struct buf *b, struct str s);

/* Makes room for `len` more bytes and returns where they go; add what was written to b->len. */
char *buf_room(struct buf *b, size_t len);

static inline struct str buf_view(const struct buf *b)
{
    return str_of(b->ptr, b->len);
}

/* The text with a NUL behind it, valid until the next change. */
const char *buf_cstr(struct buf *b);

void buf_clear(struct buf *b); /* empty, memory kept */
void buf_free(struct buf *b);

#endif
