/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens for tests: unsigned, with the payload given. */
#ifndef TESTS_UNIT_JWT_H
#define TESTS_UNIT_JWT_H

#include "common/b64.h"
#include "common/mem.h"

/* "header.PAYLOAD.signature" in the arena. */
static inline struct str jwt(const char *payload, struct arena *a)
{
    struct buf b = {0};
    buf_z(&b, "eyJhbGciOiJub25lIn0.");
    b64_encode(&b, payload, strlen(payload), B64_URL);
    buf_z(&b, ".c2lnbmF0dXJl");
    struct str s = arena_str(a, buf_view(&b));
    buf_free(&b);
    return s;
}

#endif
