/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS sessions with origins, so that a new connection can be resumed instead of begun anew. One a
 * worker, bounded. A session stands for a verification made earlier, so it is good only for the
 * trust it was made under and for an hour.
 */
#ifndef PROXY_NET_SESSIONS_H
#define PROXY_NET_SESSIONS_H

#include "common/str.h"

#include <openssl/ssl.h>

struct sessions;

struct sessions *sessions_new(void);
void sessions_free(struct sessions *s);

/* Keeps `session` (takes the reference) for `name` under trust `generation`. */
void sessions_put(struct sessions *s, struct str name, uint64_t generation, SSL_SESSION *session,
                  uint64_t now_ms);

/*
 * A session for `name`, or NULL; the reference is the caller's. TLS 1.3 sessions are given once
 * only (RFC 8446, C.4); earlier ones stay.
 */
SSL_SESSION *sessions_take(struct sessions *s, struct str name, uint64_t generation,
                           uint64_t now_ms);

#endif
