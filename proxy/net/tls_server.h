/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS towards clients: an intercepted connection, shown a leaf for the one host it asked for, or a
 * proxy listener that speaks TLS. A handshake whose leaf is not at hand waits for the signer
 * without holding up anybody. Tickets are bound to the host they were given for: OpenSSL by itself
 * resumes a ticket of one SNI under another (measured, 3.0 and 3.5, TLS 1.2 and 1.3).
 */
#ifndef PROXY_NET_TLS_SERVER_H
#define PROXY_NET_TLS_SERVER_H

#include "certs/ca.h"
#include "proxy/net/leaves.h"
#include "proxy/net/tls.h"

#define TICKET_KEY_SIZE 80 /* what OpenSSL wants: name, HMAC key, AES key */

/* One a worker and configuration; counted, as connections under way may outlive that. One
 * thread's. */
struct server_tls {
    SSL_CTX *ctx;
    struct leaves *leaves;
    unsigned refs;
};

/* `tickets` are TICKET_KEY_SIZE random bytes, the same for all workers. `leaves` outlive every
 * connection. */
struct server_tls *server_tls_new(struct leaves *leaves, const uint8_t tickets[TICKET_KEY_SIZE]);
void server_tls_unref(struct server_tls *s); /* NULL is fine */

enum sni_rule {
    SNI_MUST_MATCH, /* the ClientHello has to name the host: intercepted connections */
    SNI_ANY,        /* a listener of ours */
};

/*
 * Awaits a handshake on `c` as `name`; the result comes as `secured`. `alpn` is what we speak, in
 * the wire's form (static). `s` must live until the connection is closed.
 */
void tls_accept(struct conn *c, struct server_tls *s, struct str name, struct str alpn,
                enum sni_rule rule);

/* For leaves.c: the handshake that waits as `ctx` goes on, with a leaf from the cache (0) or
 * without. */
void tls_leaf_arrived(void *ctx, int err);

#endif
