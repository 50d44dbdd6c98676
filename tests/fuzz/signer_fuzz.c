/* SPDX-License-Identifier: Apache-2.0 */
/* Messages between workers and signer: what decodes is what would be encoded, byte for byte, and
 * names and keys that decode are checked without a fault. */
#include "certs/key.h"
#include "certs/name.h"
#include "certs/signer_proto.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void try_request(struct str in)
{
    struct signer_request r;
    uint8_t out[SIGNER_REQUEST_MAX];
    char folded[NAME_MAX_LEN + 1], again[NAME_MAX_LEN + 1];
    if (signer_get_request(in, &r) != 0) {
        return;
    }
    const size_t len = signer_put_request(&r, out);
    check(str_eq(str_of((char *)out, len), in));
    if (name_fold(r.name, folded) == 0) {
        check(strlen(folded) == r.name.len && str_ieq(str_z(folded), r.name));
        check(name_fold(str_z(folded), again) == 0 && strcmp(folded, again) == 0);
    }
    EVP_PKEY *key = NULL;
    if (key_from_spki(r.spki, &key) == 0) {
        struct buf spki = {0};
        check(key_put_spki(&spki, key) == 0 && str_eq(buf_view(&spki), r.spki));
        buf_free(&spki);
    }
    EVP_PKEY_free(key);
}

static void try_answer(struct str in)
{
    struct signer_answer a;
    static uint8_t out[SIGNER_ANSWER_MAX];
    if (in.len <= sizeof(out) && signer_get_answer(in, &a) == 0) {
        const size_t len = signer_put_answer(&a, out);
        check(str_eq(str_of((char *)out, len), in));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct str in = str_of((const char *)data, size);
    try_request(in);
    try_answer(in);
    return 0;
}
