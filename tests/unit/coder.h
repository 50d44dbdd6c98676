/* SPDX-License-Identifier: Apache-2.0 */
/* Content codings from the other side: what clients do to a body. */
#ifndef TESTS_UNIT_CODER_H
#define TESTS_UNIT_CODER_H

#include "common/buf.h"

#define ZLIB_CONST 1 /* input is const */
#include <zlib.h>

#include <brotli/encode.h>
#include <zstd.h>

enum coder {
    CODER_NONE,
    CODER_GZIP,
    CODER_ZLIB,
    CODER_RAW, /* deflate without its wrapper */
    CODER_BR,
    CODER_ZSTD,
    CODERS
};

static const char *const coder_names[] = {"identity", "gzip", "deflate", "deflate", "br", "zstd"};

/* Appends `in`, coded. */
static inline void coder_put(struct buf *out, struct str in, enum coder coder)
{
    size_t room = in.len + in.len / 2 + 1024;
    char *to = buf_room(out, room);
    if (coder == CODER_NONE) {
        memcpy(to, in.ptr, in.len);
        out->len += in.len;
    } else if (coder == CODER_BR) {
        BrotliEncoderCompress(5, 22, BROTLI_MODE_TEXT, in.len, (const uint8_t *)in.ptr, &room,
                              (uint8_t *)to);
        out->len += room;
    } else if (coder == CODER_ZSTD) {
        out->len += ZSTD_compress(to, room, in.ptr, in.len, 3);
    } else {
        static const int bits[] = {0, 16 + MAX_WBITS, MAX_WBITS, -MAX_WBITS};
        z_stream z = {.next_in = (const Bytef *)in.ptr,
                      .avail_in = (uInt)in.len,
                      .next_out = (Bytef *)to,
                      .avail_out = (uInt)room};
        deflateInit2(&z, 6, Z_DEFLATED, bits[coder], 8, Z_DEFAULT_STRATEGY);
        deflate(&z, Z_FINISH);
        out->len += room - z.avail_out;
        deflateEnd(&z);
    }
}

#endif
