/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Content codings of a request's body (RFC 9110, 8.4.1), taken off piece by piece: gzip, deflate,
 * br, zstd. One coding at most; what is unknown, stacked, ambiguous or has bytes behind its end is
 * a fault, never a guess. Memory is bounded by the codings' own windows, of at most 16 MiB.
 */
#ifndef FILTERS_DECODE_H
#define FILTERS_DECODE_H

#include "filters/filters.h"

#define DECODE_FREE  65536 /* bytes that a body may unpack to, however small it was */
#define DECODE_RATIO 256   /* beyond those: times its size */

enum coding {
    CODING_NONE,
    CODING_GZIP,
    CODING_DEFLATE,
    CODING_BR,
    CODING_ZSTD,
};

/* The coding that the Content-Encoding fields of `r` name. NULL, or what is wrong (static storage):
 * an unknown coding, or more than one. */
const char *decode_coding(const struct filter_request *r, enum coding *coding);

struct decoder;

/* Where decoded bytes go, in pieces that live until it returns. False: no more are wanted. */
typedef bool decode_sink(void *ctx, struct str piece);

struct decoder *decode_new(enum coding coding);
void decode_free(struct decoder *d);

/* Decodes `in`. NULL, or what is wrong with the body (static storage); after that, and after the
 * sink has said false, the decoder is only to be freed. */
const char *decode_feed(struct decoder *d, struct str in, decode_sink *sink, void *ctx);

/* The body is over. NULL, or what is missing or out of proportion. */
const char *decode_end(struct decoder *d);

#endif
