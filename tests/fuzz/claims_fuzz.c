/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a token, and as the payload of one. */
#include "common/b64.h"
#include "filters/claims.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_token(struct str token)
{
    struct arena a = {0};
    struct claims c;
    if (claims_read(token, &c, &a) == 0) {
        if (c.wids.count > CLAIMS_VALUES || token.len > CLAIMS_TOKEN) {
            abort();
        }
        for (size_t i = 0; i < c.wids.count; i++) {
            if (c.wids.item[i].ptr[c.wids.item[i].len] != '\0') {
                abort();
            }
        }
    }
    arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf b = {0};
    read_token(str_of((const char *)data, size));
    buf_z(&b, "e30.");
    b64_encode(&b, data, size, B64_URL);
    buf_z(&b, ".x");
    read_token(buf_view(&b));
    buf_free(&b);
    return 0;
}
