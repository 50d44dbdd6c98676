/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS towards origins: what we trust, what we insist on, and the sessions that we keep.
 * Interception must not lower security, so this asks what a browser asks: chain to a trusted root,
 * the name in the SAN and nowhere else, TLS 1.2 or later with forward secrecy and AEAD, keys and
 * hashes of 112 bits, a stapled "revoked" believed, must-staple honoured.
 */
#ifndef PROXY_NET_TLS_CLIENT_H
#define PROXY_NET_TLS_CLIENT_H

#include "common/diag.h"
#include "proxy/net/tls.h"

/*
 * Trust, made once for a configuration and shared by all workers; counted. `generation` differs
 * between any two, so that nothing learnt under one trust is used under another.
 */
struct origin_tls {
    SSL_CTX *ctx;
    uint64_t generation;
    _Atomic unsigned refs;
};

/*
 * `ca_pem` holds the trusted certificates (PEM text), or is empty: then the system's. `ca_file`
 * names it in faults. ERR_CONFIG with a fault in `d`.
 */
int origin_tls_new(struct str ca_pem, const char *ca_file, struct origin_tls **out,
                   struct diag *d) MUSTCHECK;
struct origin_tls *origin_tls_ref(struct origin_tls *o);
void origin_tls_unref(struct origin_tls *o);

/* The ALPN list to offer, in the wire's form: each name behind its length. */
#define ALPN_H1    STR("\x08http/1.1")
#define ALPN_H2_H1 STR("\x02h2\x08http/1.1")

/*
 * Starts TLS with the origin `host` (a name or an address) on `c`; `secured` tells how it went:
 * ERR_CERT when the certificate does not verify, with the reason in the layer's `detail`.
 */
int tls_connect(struct conn *c, struct origin_tls *o, struct str host, struct str alpn) MUSTCHECK;

/* True when the origin asked for a client certificate: whatever it authenticates then is this
 * connection. */
bool tls_asked_certificate(const struct tls *t);

/* True when the session was resumed rather than begun anew. */
bool tls_resumed(const struct tls *t);

#endif
