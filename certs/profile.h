/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What our certificates say (RFC 5280): the root, the issuing CA, the request for one, the leaf.
 * Only here are extensions put together; who signs, and whether he should, is decided elsewhere.
 *
 *   root      CA, pathlen 1, 10 years; its key may lie in a safe
 *   issuing   CA, pathlen 0, serverAuth only, for nothing but the given DNS names; 2 years
 *   leaf      one host, serverAuth only, days (leaf.h)
 */
#ifndef CERTS_PROFILE_H
#define CERTS_PROFILE_H

#include "certs/name.h"

#include <openssl/x509v3.h>

#include <time.h>

#define PROFILE_DAY (24 * 3600)

/* Everything of ours starts this long ago: a client whose clock is late must take the CA as well
 * as the leaves, which are back-dated by less. */
#define PROFILE_CA_BACKDATE_S (2 * PROFILE_DAY)

/* A self-signed root for `key`, good for `days` from `now`. ERR_TLS. The caller frees it. */
int profile_root(EVP_PKEY *key, const char *cn, time_t now, unsigned days, X509 **out) MUSTCHECK;

struct profile_issuing {
    const char *cn;
    const struct names *constraints; /* names_to_constraints() */
    const char *crl_url;             /* where the CRL that covers it will be; NULL: nowhere */
    time_t now;
    unsigned days; /* cut to the root's own end */
};

/* An issuing CA for the public key in `subject_key`, signed by the root. */
int profile_issuing(X509 *root, EVP_PKEY *root_key, EVP_PKEY *subject_key,
                    const struct profile_issuing *spec, X509 **out) MUSTCHECK;

/* A PKCS#10 request (RFC 2986) that asks for the extensions that profile_issuing() would give. */
int profile_request(EVP_PKEY *key, const struct profile_issuing *spec, X509_REQ **out) MUSTCHECK;

/* The leaf's extensions for good, all but the name; crl_url may be NULL. */
int profile_leaf_fixed(X509 *leaf, X509 *issuer, const char *crl_url) MUSTCHECK;

/* Puts the leaf's subject and subjectAltName, in place of those it had. `name` is folded. */
int profile_leaf_name(X509 *leaf, struct str name) MUSTCHECK;

/* Random 128-bit serial number. */
int profile_serial(X509 *cert) MUSTCHECK;

int profile_validity(X509 *cert, time_t not_before, time_t not_after) MUSTCHECK;

/* The authority key identifier that certificates and CRLs of `issuer` carry: its subject key
 * identifier. NULL when it has none. The caller frees it. */
AUTHORITY_KEYID *profile_authority(X509 *issuer);

#endif
