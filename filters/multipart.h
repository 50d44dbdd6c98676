/* SPDX-License-Identifier: Apache-2.0 */
/*
 * multipart bodies (RFC 2046, 5.1), piece by piece, strictly: nothing before the first and behind
 * the last delimiter, no line that starts like a delimiter and is none, no folded header fields. A
 * bare LF ends a line, too: whoever does not take it so sees fewer delimiters, never others.
 */
#ifndef FILTERS_MULTIPART_H
#define FILTERS_MULTIPART_H

#include "filters/filters.h"

#define MULTIPART_FIELDS 32   /* of one part */
#define MULTIPART_HEAD   8192 /* bytes of its fields, and of any line outside of a part */

/* Each returns NULL, or what is wrong (static storage), which ends the reading. */
struct multipart_events {
    const char *(*part)(void *ctx, const struct filter_field *field, size_t fields);
    const char *(*data)(void *ctx, struct str piece);
    const char *(*part_end)(void *ctx);
};

struct multipart;

/* For a body with that Content-Type. NULL with the reason in *fault (static storage). The events
 * and `ctx` outlive it. */
struct multipart *multipart_new(struct str content_type, const struct multipart_events *events,
                                void *ctx, const char **fault);
void multipart_free(struct multipart *m);

const char *multipart_feed(struct multipart *m, struct str piece);
const char *multipart_end(struct multipart *m); /* a fault when the last delimiter is missing */

/* Cuts "Name: value" lines up to an empty one off `*rest`. False when they are no such lines, or
 * more than `room`. Views into `*rest`. */
bool multipart_fields(struct str *rest, struct filter_field *field, size_t room, size_t *fields);

/* The field of that name (lower case) is there more than once. */
bool multipart_twice(const struct filter_field *field, size_t fields, struct str name);

/* The value of the field of that name (lower case), or empty. */
struct str multipart_field(const struct filter_field *field, size_t fields, struct str name);

#endif
