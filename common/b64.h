/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 (RFC 4648, 4) and base64url (5). Decoding is strict: no white space, no foreign letter,
 * correct padding. */
#ifndef COMMON_B64_H
#define COMMON_B64_H

#include "common/buf.h"

enum b64_form {
    B64_STANDARD, /* padded */
    B64_URL,      /* not padded (RFC 7515, 2) */
};

void b64_encode(struct buf *out, const void *data, size_t len, enum b64_form form);

/* Appends the decoded bytes. 0, or ERR_SYNTAX with `out` as it was. */
int b64_decode(struct buf *out, struct str text, enum b64_form form) MUSTCHECK;

#endif
