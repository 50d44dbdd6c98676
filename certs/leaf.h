/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leaf certificates: what a client is shown in place of the origin's. ECDSA P-256 with SHA-256, one
 * host in subjectAltName (and as common name where it fits), serverAuth, digitalSignature, a random
 * 128-bit serial number, the issuer's CRL address. The private key is not here: workers share one,
 * made when they start, and send its public half along; the process that holds the issuing key
 * never has a leaf's.
 */
#ifndef CERTS_LEAF_H
#define CERTS_LEAF_H

#include "certs/key.h"

#include <time.h>

#define LEAF_LIFE_S     (48 * 3600) /* the default; from now to notAfter */
#define LEAF_LIFE_MIN_S 3600
#define LEAF_LIFE_MAX_S (30 * 24 * 3600)
#define LEAF_BACKDATE_S (24 * 3600) /* for clients whose clock is late */

/* The key that all leaves of one run share. Read-only once made; outlives whoever points at it. */
struct leafkey {
    EVP_PKEY *key;
    struct buf spki; /* the public half in DER */
};

int leafkey_new(struct leafkey *out) MUSTCHECK;
void leafkey_free(struct leafkey *k);

/*
 * A press for leaves: issuer, key, and a half-made certificate that only wants a name. It is kept
 * because taking in a public key is what costs: with it in place a leaf is one signature. Belongs
 * to one thread.
 */
struct leafpress;

/* `issuer` and `key` must outlive it. crl_url may be NULL; it is copied. */
struct leafpress *leafpress_new(X509 *issuer, EVP_PKEY *key, const char *crl_url);
void leafpress_free(struct leafpress *p);

/*
 * Appends a leaf in DER for the public key `spki` (key.h says which are taken). `name` must be
 * folded; it is checked again, since it is the one thing here that must not be wrong. The end is
 * cut to the issuer's own.
 * ERR_NAME: not a DNS name. ERR_SYNTAX: no usable public key. ERR_DENIED: it is the issuer's own
 * key. ERR_CERT: the issuer is not valid now. ERR_TLS: OpenSSL failed.
 */
int leafpress_mint(struct leafpress *p, struct str name, struct str spki, time_t now,
                   unsigned life_s, struct buf *der) MUSTCHECK;

#endif
