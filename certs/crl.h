/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificate revocation lists (RFC 5280, 5). Schannel refuses a certificate whose revocation it
 * cannot look up, so there is one for each CA below and including the root: the issuing CA's is
 * always empty (its leaves live for days) and made by the signer when asked for; the root's names
 * issuing CAs that were revoked, and is a file, since the root key may be in a safe.
 */
#ifndef CERTS_CRL_H
#define CERTS_CRL_H

#include "common/buf.h"

#include <openssl/x509.h>

#include <time.h>

#define CRL_BACKDATE_S (24 * 3600) /* for clients whose clock is late */
#define CRL_MAX        (256 * 1024)

/* RFC 5280, 5.3.1 */
enum crl_reason {
    CRL_KEY_COMPROMISE = 1,
    CRL_SUPERSEDED = 4,
};

struct crl_spec {
    X509 *issuer;
    EVP_PKEY *key;
    time_t now;
    unsigned valid_s;
    struct str before; /* the last one in DER: its entries stay, its number is passed; or empty */
    X509 *revoke;      /* or NULL */
    enum crl_reason reason;
};

/*
 * Appends a new CRL in DER. Its number is the time in milliseconds, or one more than the last one's
 * if that is higher: it grows without anybody having to keep a counter (RFC 5280, 5.2.3), also when
 * two signers of one key take turns. ERR_TLS.
 */
int crl_make(const struct crl_spec *spec, struct buf *der) MUSTCHECK;

struct crl_info {
    time_t this_update, next_update;
    size_t revoked;
};

/* Reads a CRL and checks that `issuer` signed it. ERR_SYNTAX, ERR_CERT. */
int crl_read(struct str der, X509 *issuer, struct crl_info *out) MUSTCHECK;

#endif
