/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head guard: looks at the raw bytes of an HTTP/1 head before the parser does and refuses what
 * parsers disagree about. llhttp in strict mode already rejects most smuggling vectors; measured on
 * 74 of them, versions 8.1 and 9.2 differ on obs-fold, empty field names and Content-Length in
 * trailers, and both leave all sizes to the caller.
 */
#ifndef PROXY_HTTP_GUARD_H
#define PROXY_HTTP_GUARD_H

#include "common/str.h"

struct h1_limits {
    size_t line;     /* bytes of the request line or status line */
    size_t head;     /* bytes of the whole head, and of a trailer section, as they came */
    unsigned fields; /* in a head, and in a trailer section */
};

/* What is wrong with a message: static text and the status for the client who sent it. `text` NULL:
 * nothing is. */
struct h1_fault {
    const char *text;
    unsigned status;
};

#define H1_FINE         ((struct h1_fault){.text = NULL})
#define H1_BAD(t)       ((struct h1_fault){.text = (t), .status = 400})
#define H1_TOO(code, t) ((struct h1_fault){.text = (t), .status = (code)})

/*
 * Length of the head at the start of `in`, up to and including the empty line; 0 when its end is
 * not there yet. A bare LF counts as the end of a line: a response is mended (guard_normalise()), a
 * request refused at once instead of waited for. Looks from `from` on (what an earlier call has
 * seen); pass how much was there before, less 3.
 */
size_t guard_head_end(struct str in, size_t from);

/* Whether `c` may stand in a token (RFC 9110, 5.6.2), as a method and a field's name are. */
bool guard_is_token(char c);

/*
 * Whether the request head `head` (as guard_head_end() cut it) is fit for the parser. Refused: NUL,
 * CR without LF and LF without CR (RFC 9112, 2.2), obs-fold (5.2), an empty name or space before
 * the colon (5.1), a request line that is not `method SP target SP HTTP/1.x` with single spaces
 * (3), a request line or a number of fields over the limit. The size of the head is for whoever
 * collects it.
 */
struct h1_fault guard_request(struct str head, const struct h1_limits *limits);

/* The same for a response head in strict form. */
struct h1_fault guard_response(struct str head, const struct h1_limits *limits);

/*
 * A recipient may take a bare LF as the end of a line and has to turn a response's obs-fold into
 * spaces (RFC 9112, 2.2 and 5.2); some origins that are not ours to judge send both. True when
 * `head` has neither.
 */
bool guard_is_strict(struct str head);

/*
 * Writes `head` in strict form to `out`, which has room for twice its length; returns the new
 * length. A fold right behind the status line stays one, for guard_response() to refuse (2.2).
 */
size_t guard_normalise(struct str head, char *out);

/* A trailer section up to and including its empty line. */
struct h1_fault guard_trailers(struct str section, const struct h1_limits *limits);

/*
 * The line in front of a chunk, with its CRLF (RFC 9112, 7.1): `size` hexadecimal digits that fit
 * in 63 bits, and well-formed extensions, which are read over.
 */
struct h1_fault guard_chunk_line(struct str line, uint64_t *size);

#endif
