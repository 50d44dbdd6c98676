/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/net/digest.h"

#include <openssl/evp.h>

#include <stdlib.h>

void digest_sha1(struct str data, uint8_t out[20])
{
    unsigned len = 20;
    if (EVP_Digest(data.ptr, data.len, out, &len, EVP_sha1(), NULL) != 1) {
        abort(); /* out of memory, or an OpenSSL without SHA-1 */
    }
}
