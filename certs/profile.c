/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/profile.h"

#include "certs/key.h"
#include "certs/ossl.h"
#include "common/err.h"

#include <openssl/err.h>

#define SERIAL_BITS 128
#define CN_MAX      64 /* RFC 5280, appendix A.1, ub-common-name */

/* A set of extensions being put together: every step looks at `err` first, so that the makers below
 * read as a list of what they put in. */
struct exts {
    STACK_OF(X509_EXTENSION) * list;
    int err;
};

static void put(struct exts *e, int nid, void *value, bool critical)
{
    if (e->err == 0 && (value == NULL || X509V3_add1_i2d(&e->list, nid, value, critical ? 1 : 0,
                                                         X509V3_ADD_DEFAULT) != 1)) {
        e->err = ERR_TLS;
    }
}

static void put_basic(struct exts *e, bool ca, long pathlen)
{
    BASIC_CONSTRAINTS *value = BASIC_CONSTRAINTS_new();
    if (value != NULL && ca) {
        value->ca = 0xff;
        value->pathlen = ASN1_INTEGER_new();
        if (value->pathlen == NULL || ASN1_INTEGER_set(value->pathlen, pathlen) != 1) {
            e->err = ERR_TLS;
        }
    }
    put(e, NID_basic_constraints, value, true);
    BASIC_CONSTRAINTS_free(value);
}

enum {
    USAGE_DIGITAL_SIGNATURE = 0, /* bit numbers, RFC 5280, 4.2.1.3 */
    USAGE_CERT_SIGN = 5,
    USAGE_CRL_SIGN = 6,
};

static void put_usage(struct exts *e, int bit, int other)
{
    ASN1_BIT_STRING *value = ASN1_BIT_STRING_new();
    if (value == NULL || ASN1_BIT_STRING_set_bit(value, bit, 1) != 1 ||
        ASN1_BIT_STRING_set_bit(value, other, 1) != 1) {
        e->err = ERR_TLS;
    }
    put(e, NID_key_usage, value, true);
    ASN1_BIT_STRING_free(value);
}

static void put_server_auth(struct exts *e)
{
    EXTENDED_KEY_USAGE *value = sk_ASN1_OBJECT_new_null();
    if (value != NULL && sk_ASN1_OBJECT_push(value, OBJ_nid2obj(NID_server_auth)) == 0) {
        e->err = ERR_TLS;
    }
    put(e, NID_ext_key_usage, value, false);
    sk_ASN1_OBJECT_free(value); /* its one object is static */
}

static void put_subject_key(struct exts *e, const struct key_id *id)
{
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    if (value != NULL && ASN1_OCTET_STRING_set(value, id->byte, KEY_ID_LEN) != 1) {
        e->err = ERR_TLS;
    }
    put(e, NID_subject_key_identifier, value, false);
    ASN1_OCTET_STRING_free(value);
}

AUTHORITY_KEYID *profile_authority(X509 *issuer)
{
    const ASN1_OCTET_STRING *id = X509_get0_subject_key_id(issuer);
    AUTHORITY_KEYID *value = id != NULL ? AUTHORITY_KEYID_new() : NULL;
    if (value != NULL && (value->keyid = ASN1_OCTET_STRING_dup(id)) == NULL) {
        AUTHORITY_KEYID_free(value);
        value = NULL;
    }
    return value;
}

/* An issuer without a subject key identifier is not ours but may be a corporate one: then its
 * certificates are found by name alone. */
static void put_authority_key(struct exts *e, X509 *issuer)
{
    AUTHORITY_KEYID *value = profile_authority(issuer);
    if (value != NULL) {
        put(e, NID_authority_key_identifier, value, false);
        AUTHORITY_KEYID_free(value);
    }
}

/* Takes `value`. */
static GENERAL_NAME *general(int type, void *value)
{
    GENERAL_NAME *name = value != NULL ? GENERAL_NAME_new() : NULL;
    if (name == NULL) {
        ASN1_STRING_free(value);
        return NULL;
    }
    GENERAL_NAME_set0_value(name, type, value);
    return name;
}

static ASN1_IA5STRING *ia5(struct str text)
{
    ASN1_IA5STRING *value = ASN1_IA5STRING_new();
    if (value != NULL && ASN1_STRING_set(value, text.ptr, (int)text.len) != 1) {
        ASN1_IA5STRING_free(value);
        value = NULL;
    }
    return value;
}

static bool push_name(GENERAL_NAMES *names, GENERAL_NAME *name)
{
    if (names == NULL || name == NULL || sk_GENERAL_NAME_push(names, name) == 0) {
        GENERAL_NAME_free(name);
        return false;
    }
    return true;
}

static void put_crl_url(struct exts *e, const char *url)
{
    CRL_DIST_POINTS *points = sk_DIST_POINT_new_null();
    DIST_POINT *point = DIST_POINT_new();
    bool ok = points != NULL && point != NULL;
    if (ok) {
        point->distpoint = DIST_POINT_NAME_new();
        ok = point->distpoint != NULL;
    }
    if (ok) {
        point->distpoint->type = 0; /* fullName */
        point->distpoint->name.fullname = sk_GENERAL_NAME_new_null();
        ok = push_name(point->distpoint->name.fullname, general(GEN_URI, ia5(str_z(url))));
    }
    if (ok && sk_DIST_POINT_push(points, point) > 0) {
        point = NULL;
    } else {
        ok = false;
    }
    put(e, NID_crl_distribution_points, ok ? points : NULL, false);
    DIST_POINT_free(point);
    sk_DIST_POINT_pop_free(points, DIST_POINT_free);
}

/* Takes `name`. */
static bool push_subtree(STACK_OF(GENERAL_SUBTREE) * *list, GENERAL_NAME *name)
{
    if (*list == NULL) {
        *list = sk_GENERAL_SUBTREE_new_null();
    }
    GENERAL_SUBTREE *tree = GENERAL_SUBTREE_new();
    if (*list == NULL || tree == NULL || name == NULL ||
        sk_GENERAL_SUBTREE_push(*list, tree) == 0) {
        GENERAL_SUBTREE_free(tree);
        GENERAL_NAME_free(name);
        return false;
    }
    GENERAL_NAME_free(tree->base);
    tree->base = name;
    return true;
}

static ASN1_OCTET_STRING *zeros(int len)
{
    static const unsigned char zero[32];
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    if (value != NULL && ASN1_OCTET_STRING_set(value, zero, len) != 1) {
        ASN1_OCTET_STRING_free(value);
        value = NULL;
    }
    return value;
}

/*
 * Permitted: the DNS names. Excluded: every address (0.0.0.0/0 and ::/0, address and mask all zero;
 * the CA/Browser Forum's Baseline Requirements, 7.1.2.5.2, write it so).
 *
 * "Every e-mail address" and "every URI" cannot be written as excluded subtrees that all verifiers
 * read alike: RFC 5280 has no form for it, and an empty name means "all" to one and "none" or "bad"
 * to the next. So one host is permitted that nobody can have (RFC 6761, 6.4): with a name form
 * mentioned, whatever does not match is refused. Checked against OpenSSL, Chromium and Firefox by
 * tests/certs.
 */
static void put_constraints(struct exts *e, const struct names *dns)
{
    static const struct str nobody = STR_INIT("photogate.invalid");
    NAME_CONSTRAINTS *value = NAME_CONSTRAINTS_new();
    bool ok = value != NULL;
    for (size_t i = 0; ok && i < dns->count; i++) {
        ok = push_subtree(&value->permittedSubtrees, general(GEN_DNS, ia5(str_z(dns->item[i]))));
    }
    ok = ok && push_subtree(&value->permittedSubtrees, general(GEN_EMAIL, ia5(nobody))) &&
         push_subtree(&value->permittedSubtrees, general(GEN_URI, ia5(nobody))) &&
         push_subtree(&value->excludedSubtrees, general(GEN_IPADD, zeros(8))) &&
         push_subtree(&value->excludedSubtrees, general(GEN_IPADD, zeros(32)));
    put(e, NID_name_constraints, ok ? value : NULL, true);
    NAME_CONSTRAINTS_free(value);
}

/* All of `e` into `cert`; frees `e`. */
static int exts_move(struct exts *e, X509 *cert)
{
    for (int i = 0; e->err == 0 && i < sk_X509_EXTENSION_num(e->list); i++) {
        if (X509_add_ext(cert, sk_X509_EXTENSION_value(e->list, i), -1) != 1) {
            e->err = ERR_TLS;
        }
    }
    sk_X509_EXTENSION_pop_free(e->list, X509_EXTENSION_free);
    e->list = NULL;
    return e->err;
}

int profile_serial(X509 *cert)
{
    BIGNUM *n = BN_new();
    int err = n != NULL && BN_rand(n, SERIAL_BITS, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
                      !BN_is_zero(n) && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert)) != NULL
                  ? 0
                  : ERR_TLS;
    BN_free(n);
    return err;
}

int profile_validity(X509 *cert, time_t not_before, time_t not_after)
{
    /* ASN1_TIME_set() writes UTCTime up to 2049 and GeneralizedTime from then on (RFC
     * 5280, 4.1.2.5) */
    return ASN1_TIME_set(X509_getm_notBefore(cert), not_before) != NULL &&
                   ASN1_TIME_set(X509_getm_notAfter(cert), not_after) != NULL
               ? 0
               : ERR_TLS;
}

static int put_cn(X509_NAME *name, struct str cn)
{
    return X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                      (const unsigned char *)cn.ptr, (int)MIN(cn.len, CN_MAX), -1,
                                      0) == 1
               ? 0
               : ERR_TLS;
}

/* The parts that both CA certificates share. */
static int ca_body(X509 *cert, EVP_PKEY *subject_key, const char *cn, time_t not_before,
                   time_t not_after)
{
    int err = X509_set_version(cert, X509_VERSION_3) == 1 ? profile_serial(cert) : ERR_TLS;
    if (err == 0) {
        err = profile_validity(cert, not_before, not_after);
    }
    if (err == 0) {
        err = put_cn(X509_get_subject_name(cert), str_z(cn));
    }
    if (err == 0 && X509_set_pubkey(cert, subject_key) != 1) {
        err = ERR_TLS;
    }
    return err;
}

int profile_root(EVP_PKEY *key, const char *cn, time_t now, unsigned days, X509 **out)
{
    struct exts e = {0};
    struct key_id id;
    X509 *cert = X509_new();
    int err = cert != NULL ? key_id_of(key, &id) : ERR_TLS;
    if (err == 0) {
        err = ca_body(cert, key, cn, now - PROFILE_CA_BACKDATE_S, now + (time_t)days * PROFILE_DAY);
    }
    if (err == 0 && X509_set_issuer_name(cert, X509_get_subject_name(cert)) != 1) {
        err = ERR_TLS;
    }
    if (err == 0) {
        put_basic(&e, true, 1);
        put_usage(&e, USAGE_CERT_SIGN, USAGE_CRL_SIGN);
        put_subject_key(&e, &id);
        err = exts_move(&e, cert);
    }
    if (err == 0 && X509_sign(cert, key, EVP_sha256()) <= 0) {
        err = ERR_TLS;
    }
    if (err != 0) {
        X509_free(cert);
        cert = NULL;
    }
    *out = cert;
    return err;
}

static void issuing_exts(struct exts *e, const struct profile_issuing *spec,
                         const struct key_id *id)
{
    put_basic(e, true, 0);
    put_usage(e, USAGE_CERT_SIGN, USAGE_CRL_SIGN);
    put_server_auth(e);
    put_constraints(e, spec->constraints);
    put_subject_key(e, id);
}

int profile_issuing(X509 *root, EVP_PKEY *root_key, EVP_PKEY *subject_key,
                    const struct profile_issuing *spec, X509 **out)
{
    struct exts e = {0};
    struct key_id id;
    const time_t root_end = ossl_time(X509_get0_notAfter(root));
    const time_t end = spec->now + (time_t)spec->days * PROFILE_DAY;
    X509 *cert = X509_new();
    int err = cert != NULL && root_end > 0 ? key_id_of(subject_key, &id) : ERR_TLS;
    if (err == 0) {
        err = ca_body(cert, subject_key, spec->cn, spec->now - PROFILE_CA_BACKDATE_S,
                      MIN(end, root_end));
    }
    if (err == 0 && X509_set_issuer_name(cert, X509_get_subject_name(root)) != 1) {
        err = ERR_TLS;
    }
    if (err == 0) {
        issuing_exts(&e, spec, &id);
        put_authority_key(&e, root);
        if (spec->crl_url != NULL) {
            put_crl_url(&e, spec->crl_url);
        }
        err = exts_move(&e, cert);
    }
    if (err == 0 && X509_sign(cert, root_key, EVP_sha256()) <= 0) {
        err = ERR_TLS;
    }
    if (err != 0) {
        X509_free(cert);
        cert = NULL;
    }
    *out = cert;
    return err;
}

int profile_request(EVP_PKEY *key, const struct profile_issuing *spec, X509_REQ **out)
{
    struct exts e = {0};
    struct key_id id;
    X509_REQ *req = X509_REQ_new();
    int err = req != NULL ? key_id_of(key, &id) : ERR_TLS;
    if (err == 0 && (X509_REQ_set_version(req, X509_REQ_VERSION_1) != 1 ||
                     X509_REQ_set_pubkey(req, key) != 1)) {
        err = ERR_TLS;
    }
    if (err == 0) {
        err = put_cn(X509_REQ_get_subject_name(req), str_z(spec->cn));
    }
    if (err == 0) {
        issuing_exts(&e, spec, &id);
        if (e.err != 0 || X509_REQ_add_extensions(req, e.list) != 1 ||
            X509_REQ_sign(req, key, EVP_sha256()) <= 0) {
            err = ERR_TLS;
        }
        sk_X509_EXTENSION_pop_free(e.list, X509_EXTENSION_free);
    }
    if (err != 0) {
        X509_REQ_free(req);
        req = NULL;
    }
    *out = req;
    return err;
}

int profile_leaf_fixed(X509 *leaf, X509 *issuer, const char *crl_url)
{
    struct exts e = {0};
    struct key_id id;
    int err = key_id_of_cert(leaf, &id);
    if (err != 0) {
        return err;
    }
    put_basic(&e, false, 0);
    put_usage(&e, USAGE_DIGITAL_SIGNATURE, USAGE_DIGITAL_SIGNATURE);
    put_server_auth(&e);
    put_subject_key(&e, &id);
    put_authority_key(&e, issuer);
    if (crl_url != NULL) {
        put_crl_url(&e, crl_url);
    }
    return exts_move(&e, leaf);
}

int profile_leaf_name(X509 *leaf, struct str name)
{
    X509_NAME *subject = X509_NAME_new();
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    const bool fits = name.len <= CN_MAX;
    int err = subject == NULL ? ERR_TLS : 0;
    if (err == 0 && fits) {
        err = put_cn(subject, name);
    }
    if (err == 0 && (X509_set_subject_name(leaf, subject) != 1 ||
                     !push_name(names, general(GEN_DNS, ia5(name))) ||
                     /* critical when it is the only name (RFC 5280, 4.2.1.6) */
                     X509_add1_ext_i2d(leaf, NID_subject_alt_name, names, fits ? 0 : 1,
                                       X509V3_ADD_REPLACE) != 1)) {
        err = ERR_TLS;
    }
    sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
    X509_NAME_free(subject);
    return err;
}
