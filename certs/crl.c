/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/crl.h"

#include "certs/ossl.h"
#include "certs/profile.h"
#include "common/err.h"

#include <openssl/err.h>

static X509_CRL *parse(struct str der)
{
    const unsigned char *at = (const unsigned char *)der.ptr;
    X509_CRL *crl =
        der.len > 0 && der.len <= CRL_MAX ? d2i_X509_CRL(NULL, &at, (long)der.len) : NULL;
    if (crl != NULL && at != (const unsigned char *)der.ptr + der.len) {
        X509_CRL_free(crl);
        crl = NULL;
    }
    ERR_clear_error();
    return crl;
}

static uint64_t number_of(const X509_CRL *crl)
{
    uint64_t n = 0;
    ASN1_INTEGER *value = X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL, NULL);
    if (value != NULL && ASN1_INTEGER_get_uint64(&n, value) != 1) {
        n = 0; /* somebody else's, longer than ours will ever be */
    }
    ASN1_INTEGER_free(value);
    ERR_clear_error();
    return n;
}

static int put_number(X509_CRL *crl, uint64_t n)
{
    ASN1_INTEGER *value = ASN1_INTEGER_new();
    int err = value != NULL && ASN1_INTEGER_set_uint64(value, n) == 1 &&
                      X509_CRL_add1_ext_i2d(crl, NID_crl_number, value, 0, 0) == 1
                  ? 0
                  : ERR_TLS;
    ASN1_INTEGER_free(value);
    return err;
}

static int keep_entries(X509_CRL *crl, X509_CRL *before)
{
    STACK_OF(X509_REVOKED) *entries = X509_CRL_get_REVOKED(before);
    for (int i = 0; i < sk_X509_REVOKED_num(entries); i++) {
        X509_REVOKED *copy = X509_REVOKED_dup(sk_X509_REVOKED_value(entries, i));
        if (copy == NULL || X509_CRL_add0_revoked(crl, copy) != 1) {
            X509_REVOKED_free(copy);
            return ERR_TLS;
        }
    }
    return 0;
}

static int put_revoked(X509_CRL *crl, const struct crl_spec *spec)
{
    X509_REVOKED *there = NULL;
    if (X509_CRL_get0_by_cert(crl, &there, spec->revoke) != 0) {
        return 0;
    }
    X509_REVOKED *entry = X509_REVOKED_new();
    ASN1_INTEGER *serial = ASN1_INTEGER_dup(X509_get0_serialNumber(spec->revoke));
    ASN1_TIME *when = ASN1_TIME_set(NULL, spec->now);
    ASN1_ENUMERATED *reason = ASN1_ENUMERATED_new();
    int err = entry != NULL && serial != NULL && when != NULL && reason != NULL &&
                      ASN1_ENUMERATED_set(reason, (long)spec->reason) == 1 &&
                      X509_REVOKED_set_serialNumber(entry, serial) == 1 &&
                      X509_REVOKED_set_revocationDate(entry, when) == 1 &&
                      X509_REVOKED_add1_ext_i2d(entry, NID_crl_reason, reason, 0, 0) == 1 &&
                      X509_CRL_add0_revoked(crl, entry) == 1
                  ? 0
                  : ERR_TLS;
    if (err != 0) {
        X509_REVOKED_free(entry);
    }
    ASN1_INTEGER_free(serial);
    ASN1_TIME_free(when);
    ASN1_ENUMERATED_free(reason);
    return err;
}

static int put_frame(X509_CRL *crl, const struct crl_spec *spec)
{
    ASN1_TIME *from = ASN1_TIME_set(NULL, spec->now - CRL_BACKDATE_S);
    ASN1_TIME *until = ASN1_TIME_set(NULL, spec->now + (time_t)spec->valid_s);
    AUTHORITY_KEYID *authority = profile_authority(spec->issuer);
    int err = from != NULL && until != NULL && X509_CRL_set_version(crl, X509_CRL_VERSION_2) == 1 &&
                      X509_CRL_set_issuer_name(crl, X509_get_subject_name(spec->issuer)) == 1 &&
                      X509_CRL_set1_lastUpdate(crl, from) == 1 &&
                      X509_CRL_set1_nextUpdate(crl, until) == 1 &&
                      (authority == NULL || X509_CRL_add1_ext_i2d(crl, NID_authority_key_identifier,
                                                                  authority, 0, 0) == 1)
                  ? 0
                  : ERR_TLS;
    AUTHORITY_KEYID_free(authority);
    ASN1_TIME_free(until);
    ASN1_TIME_free(from);
    return err;
}

static int put_der(struct buf *der, X509_CRL *crl)
{
    const int len = i2d_X509_CRL(crl, NULL);
    if (len <= 0) {
        return ERR_TLS;
    }
    unsigned char *at = (unsigned char *)buf_room(der, (size_t)len);
    der->len += (size_t)i2d_X509_CRL(crl, &at);
    return 0;
}

int crl_make(const struct crl_spec *spec, struct buf *der)
{
    X509_CRL *crl = X509_CRL_new(), *before = parse(spec->before);
    uint64_t number = (uint64_t)spec->now * 1000;
    int err = crl != NULL ? put_frame(crl, spec) : ERR_TLS;
    if (err == 0 && before != NULL) {
        number = MAX(number, number_of(before) + 1);
        err = keep_entries(crl, before);
    }
    if (err == 0 && spec->revoke != NULL) {
        err = put_revoked(crl, spec);
    }
    if (err == 0) {
        err = put_number(crl, number);
    }
    if (err == 0 && (X509_CRL_sort(crl) != 1 || X509_CRL_sign(crl, spec->key, EVP_sha256()) <= 0)) {
        err = ERR_TLS;
    }
    if (err == 0) {
        err = put_der(der, crl);
    }
    X509_CRL_free(before);
    X509_CRL_free(crl);
    return err;
}

int crl_read(struct str der, X509 *issuer, struct crl_info *out)
{
    X509_CRL *crl = parse(der);
    int err = 0;
    *out = (struct crl_info){0};
    if (crl == NULL) {
        return ERR_SYNTAX;
    }
    if (X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(issuer)) != 0 ||
        X509_CRL_verify(crl, X509_get0_pubkey(issuer)) != 1) {
        err = ERR_CERT;
    } else {
        out->this_update = ossl_time(X509_CRL_get0_lastUpdate(crl));
        out->next_update = ossl_time(X509_CRL_get0_nextUpdate(crl));
        out->revoked = (size_t)MAX(sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl)), 0);
    }
    ERR_clear_error();
    X509_CRL_free(crl);
    return err;
}
