/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/decode.h"

#include "filters/canon.h"

#define ZLIB_CONST 1 /* input is const */
#include <zlib.h>

#include <brotli/decode.h>
#include <stdlib.h>
#include <zstd.h>

#define PIECE       16384
#define ZLIB_PROBE  5  /* bytes that tell a zlib stream from raw deflate */
#define ZSTD_WINDOW 23 /* log2; the window that RFC 8878, 3.1.1.1.2, asks decoders to support */

static const char broken[] = "its content coding is broken";
static const char more_behind[] = "there are bytes behind the end of its content coding";

struct decoder {
    enum coding coding;
    bool done;    /* the end of the coded data was read */
    bool started; /* deflate: the probe is complete, zlib is set up */
    unsigned char probe[ZLIB_PROBE];
    size_t probed;
    uint64_t in, out;
    z_stream zlib;
    BrotliDecoderState *brotli;
    ZSTD_DStream *zstd;
};

static bool coding_named(struct str name, enum coding *coding)
{
    static const struct {
        struct str name;
        enum coding coding;
    } known[] = {
        {STR_INIT("identity"), CODING_NONE},   {STR_INIT("gzip"), CODING_GZIP},
        {STR_INIT("x-gzip"), CODING_GZIP},     {STR_INIT("br"), CODING_BR},
        {STR_INIT("deflate"), CODING_DEFLATE}, {STR_INIT("zstd"), CODING_ZSTD},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (str_ieq(name, known[i].name)) {
            *coding = known[i].coding;
            return true;
        }
    }
    return false;
}

const char *decode_coding(const struct filter_request *r, enum coding *coding)
{
    const struct filter_field *field;
    size_t at = 0;
    *coding = CODING_NONE;
    while ((field = canon_field(r, STR("content-encoding"), &at)) != NULL) {
        struct str rest = field->value, name;
        while (str_cut(&rest, ',', &name)) {
            enum coding one;
            name = str_trim(name);
            if (name.len == 0) {
                continue;
            }
            if (!coding_named(name, &one)) {
                return "its content coding is not known";
            }
            if (one != CODING_NONE && *coding != CODING_NONE) {
                return "it has more than one content coding";
            }
            *coding = one != CODING_NONE ? one : *coding;
        }
    }
    return NULL;
}

struct decoder *decode_new(enum coding coding)
{
    struct decoder *d = xnew(struct decoder);
    d->coding = coding;
    if (coding == CODING_BR) {
        d->brotli = BrotliDecoderCreateInstance(NULL, NULL, NULL);
        if (d->brotli == NULL) {
            abort(); /* out of memory */
        }
    } else if (coding == CODING_ZSTD) {
        d->zstd = ZSTD_createDStream();
        if (d->zstd == NULL ||
            ZSTD_isError(ZSTD_DCtx_setParameter(d->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW))) {
            abort();
        }
    } else if (coding == CODING_GZIP) {
        d->started = true;
        if (inflateInit2(&d->zlib, 16 + MAX_WBITS) != Z_OK) {
            abort();
        }
    }
    return d;
}

void decode_free(struct decoder *d)
{
    if (d != NULL) {
        if (d->started) {
            inflateEnd(&d->zlib);
        }
        if (d->brotli != NULL) {
            BrotliDecoderDestroyInstance(d->brotli);
        }
        ZSTD_freeDStream(d->zstd);
        free(d);
    }
}

static bool give(struct decoder *d, const void *piece, size_t len, decode_sink *sink, void *ctx)
{
    d->out += len;
    return len == 0 || sink(ctx, str_of(piece, len));
}

static const char *feed_zlib(struct decoder *d, struct str in, decode_sink *sink, void *ctx)
{
    unsigned char piece[PIECE];
    d->zlib.next_in = (const Bytef *)in.ptr;
    d->zlib.avail_in = (uInt)in.len;
    for (;;) {
        d->zlib.next_out = piece;
        d->zlib.avail_out = sizeof(piece);
        int result = inflate(&d->zlib, Z_NO_FLUSH);
        if (!give(d, piece, sizeof(piece) - d->zlib.avail_out, sink, ctx)) {
            return NULL;
        }
        if (result == Z_STREAM_END) {
            d->done = true;
            return d->zlib.avail_in > 0 ? more_behind : NULL;
        }
        if (result == Z_BUF_ERROR || (result == Z_OK && d->zlib.avail_out > 0)) {
            return NULL; /* all of it is in */
        }
        if (result != Z_OK) {
            return broken;
        }
    }
}

/*
 * "deflate" is zlib's format (RFC 9110, 8.4.1.2), but some send the bare stream. The first bytes
 * tell. What could be read both ways is refused: a zlib header reads as the start of a stored block
 * in a bare stream, which is one if its two lengths agree (RFC 1951, 3.2.4).
 */
static const char *start_deflate(struct decoder *d)
{
    const unsigned char *p = d->probe;
    bool zlib =
        d->probed >= 2 && (p[0] & 0x0f) == 8 && p[0] >> 4 <= 7 && (p[0] << 8 | p[1]) % 31 == 0;
    if (zlib && d->probed == ZLIB_PROBE && (p[1] ^ p[3]) == 0xff && (p[2] ^ p[4]) == 0xff) {
        return "its content coding can be read in two ways";
    }
    if (inflateInit2(&d->zlib, zlib ? MAX_WBITS : -MAX_WBITS) != Z_OK) {
        abort();
    }
    d->started = true;
    return NULL;
}

static const char *flush_probe(struct decoder *d, decode_sink *sink, void *ctx)
{
    const char *fault = start_deflate(d);
    return fault != NULL ? fault
                         : feed_zlib(d, str_of((const char *)d->probe, d->probed), sink, ctx);
}

static const char *feed_deflate(struct decoder *d, struct str in, decode_sink *sink, void *ctx)
{
    while (!d->started && in.len > 0) {
        d->probe[d->probed++] = (unsigned char)in.ptr[0];
        in = str_skip(in, 1);
        if (d->probed == ZLIB_PROBE) {
            const char *fault = flush_probe(d, sink, ctx);
            if (fault != NULL) {
                return fault;
            }
        }
    }
    if (in.len == 0) {
        return NULL;
    }
    return d->done ? more_behind : feed_zlib(d, in, sink, ctx);
}

static const char *feed_brotli(struct decoder *d, struct str in, decode_sink *sink, void *ctx)
{
    uint8_t piece[PIECE];
    const uint8_t *next = (const uint8_t *)in.ptr;
    size_t left = in.len;
    for (;;) {
        uint8_t *to = piece;
        size_t room = sizeof(piece);
        BrotliDecoderResult result =
            BrotliDecoderDecompressStream(d->brotli, &left, &next, &room, &to, NULL);
        if (!give(d, piece, sizeof(piece) - room, sink, ctx)) {
            return NULL;
        }
        switch (result) {
        case BROTLI_DECODER_RESULT_SUCCESS:
            d->done = true;
            return left > 0 ? more_behind : NULL;
        case BROTLI_DECODER_RESULT_NEEDS_MORE_INPUT:
            return NULL;
        case BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT:
            break;
        case BROTLI_DECODER_RESULT_ERROR:
            return broken;
        }
    }
}

static const char *feed_zstd(struct decoder *d, struct str in, decode_sink *sink, void *ctx)
{
    char piece[PIECE];
    ZSTD_inBuffer from = {in.ptr, in.len, 0};
    for (;;) {
        ZSTD_outBuffer to = {piece, sizeof(piece), 0};
        size_t result = ZSTD_decompressStream(d->zstd, &to, &from);
        if (ZSTD_isError(result)) {
            return broken;
        }
        if (!give(d, piece, to.pos, sink, ctx)) {
            return NULL;
        }
        if (result == 0) {
            d->done = true;
            return from.pos < from.size ? more_behind : NULL;
        }
        if (from.pos == from.size && to.pos < to.size) {
            return NULL;
        }
    }
}

const char *decode_feed(struct decoder *d, struct str in, decode_sink *sink, void *ctx)
{
    d->in += in.len;
    if (in.len == 0) {
        return NULL;
    }
    if (d->done) {
        return more_behind;
    }
    switch (d->coding) {
    case CODING_GZIP:
        return feed_zlib(d, in, sink, ctx);
    case CODING_DEFLATE:
        return feed_deflate(d, in, sink, ctx);
    case CODING_BR:
        return feed_brotli(d, in, sink, ctx);
    case CODING_ZSTD:
        return feed_zstd(d, in, sink, ctx);
    case CODING_NONE:
        break;
    }
    (void)give(d, in.ptr, in.len, sink, ctx);
    return NULL;
}

const char *decode_end(struct decoder *d)
{
    if (d->coding != CODING_NONE && d->in > 0 && !d->done) {
        return "its content coding is cut off";
    }
    if (d->out > DECODE_FREE && (d->out - DECODE_FREE) / DECODE_RATIO > d->in) {
        return "it unpacks to more than 256 times its size";
    }
    return NULL;
}
