/* SPDX-License-Identifier: Apache-2.0 */
/* Digests for floors that do not see OpenSSL. */
#ifndef PROXY_NET_DIGEST_H
#define PROXY_NET_DIGEST_H

#include "common/str.h"

/* For protocols that have it fixed (WebSocket's handshake), not for security. */
void digest_sha1(struct str data, uint8_t out[20]);

#endif
