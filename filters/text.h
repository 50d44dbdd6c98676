/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The letters of a text body: which character set its Content-Type and its first bytes say, and the
 * same text in UTF-8. What says one thing in the field and another in the bytes is a fault.
 */
#ifndef FILTERS_TEXT_H
#define FILTERS_TEXT_H

#include "common/buf.h"
#include "filters/filters.h"

enum charset {
    CHARSET_UTF8,  /* also when nothing is said */
    CHARSET_LATIN, /* a letter a byte, the lower half ASCII */
    CHARSET_UTF16, /* the byte order by mark, else by the first letter */
    CHARSET_UTF16LE,
    CHARSET_UTF16BE,
    CHARSET_UNKNOWN,
};

/* A parameter of a field value such as `text/xml; charset="utf-8"`, without its quotes; the first
 * of that name. False when it is not there; *twice when it is there more than once. */
bool text_param(struct str value, struct str name, struct str *out, bool *twice);

/* The media type alone, without parameters: "text/xml". */
struct str text_type(struct str value);

/* The one Content-Type of `r`; empty when there is none. False when there are several. */
bool text_content_type(const struct filter_request *r, struct str *value);

/* By the charset parameter of a Content-Type. */
enum charset text_charset(struct str content_type);

/* The whole text in UTF-8 without a byte order mark: `raw` itself, or what was made of it in `b`.
 * NULL, or what is wrong (static storage). */
const char *text_utf8(struct str raw, enum charset charset, struct buf *b, struct str *out);

#endif
