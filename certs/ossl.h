/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The few things that everybody who handles certificates with OpenSSL needs: its error as text,
 * times as numbers, names as text, PEM and DER in and out of a buf. Nothing here knows what a
 * certificate is for.
 */
#ifndef CERTS_OSSL_H
#define CERTS_OSSL_H

#include "common/buf.h"

#include <openssl/x509.h>

#include <time.h>

/* Why the last OpenSSL call in this thread failed, in its words; empties its queue. Valid until the
 * next call in this thread. */
const char *ossl_reason(void);

/* Seconds since 1970, or -1 when `t` is not a time. */
time_t ossl_time(const ASN1_TIME *t);

/* Appends "2026-11-23" in UTC. */
void ossl_put_date(struct buf *out, time_t t);

/* Appends the common name if there is just that, else the whole name as RFC 4514 writes it; without
 * control characters. */
void ossl_put_name(struct buf *out, const X509_NAME *name);

/* Appends the SHA-256 fingerprint as hex with colons. */
void ossl_put_fingerprint(struct buf *out, const X509 *cert);

void ossl_put_der(struct buf *out, X509 *cert);
void ossl_put_pem(struct buf *out, X509 *cert);

/* All certificates in `pem`, in order, up to `max`; text around them is ignored. ERR_SYNTAX when
 * there is none, when one does not parse, or when there are more. The caller frees the stack. */
int ossl_read_pem(struct str pem, int max, STACK_OF(X509) * *out) MUSTCHECK;

/* The same for what a CA may send back: PEM, one certificate in DER, or PKCS#7 in either. */
int ossl_read_certs(struct str bytes, int max, STACK_OF(X509) * *out) MUSTCHECK;

/* The certificate that `der` is, whole; NULL when it is none. */
X509 *ossl_read_der(struct str der);

#endif
