/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/ca.h"

#include "certs/ossl.h"
#include "certs/profile.h"
#include "common/err.h"
#include "common/file.h"
#include "common/ip.h"
#include "common/mem.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define CHAIN_FILE_MAX (256 * 1024)
#define CHAIN_MAX      10 /* certificates in the file; longer chains are a mistake */

const char *ca_path(char *out, const char *path, const char *file)
{
    /* cut where it is too long: opening it then says that there is no such file */
    snprintf(out, CA_PATH_MAX, "%s/%s", path, file);
    return out;
}

const char *ca_key_path(char *out, const char *path, const struct key_id *id)
{
    snprintf(out, CA_PATH_MAX, "%s/private/issuing-%s.key", path, id->hex);
    return out;
}

const char *ca_crl_path(char *out, const char *path, const struct key_id *id)
{
    snprintf(out, CA_PATH_MAX, "%s/public/%s.crl", path, id->hex);
    return out;
}

const char *ca_old_path(char *out, const char *path, const struct key_id *id)
{
    snprintf(out, CA_PATH_MAX, "%s/" CA_OLD "/%s.pem", path, id->hex);
    return out;
}

void ca_put_crl_url(struct buf *out, const char *public_url, const struct key_id *id)
{
    struct str url = str_z(public_url);
    while (str_ends(url, STR("/"))) {
        url.len--;
    }
    buf_printf(out, STR_FMT "/crl/%s.crl", STR_ARG(url), id->hex);
}

const char *ca_check_url(const char *public_url, char host[NAME_MAX_LEN + 1])
{
    struct str rest = str_z(public_url);
    host[0] = '\0';
    if (!str_istarts(rest, STR("http://"))) {
        return "it must start with http:// (clients fetch revocation lists without TLS)";
    }
    rest = str_skip(rest, 7);
    for (size_t i = 0; i < rest.len; i++) {
        if (rest.ptr[i] <= ' ' || rest.ptr[i] >= 0x7f || strchr("\"<>\\^`{|}?#@", rest.ptr[i])) {
            return "it has a character that does not belong there";
        }
    }
    struct str authority = rest;
    const ptrdiff_t slash = str_index(rest, '/');
    if (slash >= 0) {
        authority.len = (size_t)slash;
    }
    struct ip ip;
    unsigned port = 0;
    if (ip_parse(authority, &ip) || ip_port_parse(authority, &ip, &port)) {
        return NULL;
    }
    if (str_starts(authority, STR("[")) && str_ends(authority, STR("]"))) {
        return ip_parse(str_of(authority.ptr + 1, authority.len - 2), &ip)
                   ? NULL
                   : "its host is no address";
    }
    struct str name = authority;
    const ptrdiff_t colon = str_index(authority, ':');
    if (colon >= 0) {
        uint64_t n;
        if (!str_u64(str_skip(authority, (size_t)colon + 1), &n) || n == 0 || n > 65535) {
            return "its port is no number from 1 to 65535";
        }
        name.len = (size_t)colon;
    }
    if (name_fold(name, host) != 0) {
        return "its host is neither a DNS name nor an address";
    }
    if (strchr(host, '.') == NULL) {
        host[0] = '\0';
    }
    return NULL;
}

static void put_subject(struct buf *b, const X509 *cert)
{
    buf_char(b, '"');
    ossl_put_name(b, X509_get_subject_name(cert));
    buf_char(b, '"');
}

static int check_dates(X509 *cert, const char *shown, time_t now, struct diag *d)
{
    const time_t from = ossl_time(X509_get0_notBefore(cert));
    const time_t until = ossl_time(X509_get0_notAfter(cert));
    const bool root = X509_self_signed(cert, 0) == 1;
    struct buf name = {0}, date = {0};
    int err = 0;
    put_subject(&name, cert);
    if (from < 0 || until < 0) {
        err = diag_error(d, DIAG_FILE(shown), "%s has no readable dates", buf_cstr(&name));
    } else if (now < from) {
        ossl_put_date(&date, from);
        err = diag_error(d, DIAG_FILE(shown),
                         "%s is not valid before %s; is this machine's clock right?",
                         buf_cstr(&name), buf_cstr(&date));
    } else if (now > until) {
        ossl_put_date(&date, until);
        err = diag_error(d, DIAG_FILE(shown), "%s expired on %s; %s", buf_cstr(&name),
                         buf_cstr(&date),
                         root ? "make a new CA and give its root to all clients"
                              : "run photogate ca rotate, or ca csr and ca import");
    } else if (until - now < (time_t)CA_WARN_DAYS * PROFILE_DAY) {
        ossl_put_date(&date, until);
        diag_warn(d, DIAG_FILE(shown), "%s expires on %s, in %ld days; %s", buf_cstr(&name),
                  buf_cstr(&date), (long)((until - now) / PROFILE_DAY),
                  root ? "make a new CA in time and give its root to all clients"
                       : "run photogate ca rotate, or ca csr and ca import");
    }
    buf_free(&name);
    buf_free(&date);
    return err;
}

static int check_strength(X509 *cert, bool root, const char *shown, struct diag *d)
{
    const EVP_PKEY *key = X509_get0_pubkey(cert);
    const char *weak = key != NULL ? key_weakness(key) : "an unreadable key";
    int digest = NID_undef, err = 0;
    struct buf name = {0};
    put_subject(&name, cert);
    if (weak != NULL) {
        err = diag_error(d, DIAG_FILE(shown),
                         "%s has %s; clients want RSA from 2048 bits or ECDSA from 256",
                         buf_cstr(&name), weak);
    }
    /* nobody checks a root's own signature */
    if (!root && X509_get_signature_info(cert, &digest, NULL, NULL, NULL) == 1 &&
        (digest == NID_md5 || digest == NID_sha1)) {
        err = diag_error(d, DIAG_FILE(shown), "%s is signed with %s; it must be SHA-256 or better",
                         buf_cstr(&name), digest == NID_md5 ? "MD5" : "SHA-1");
    }
    buf_free(&name);
    return err;
}

/* What only the issuing certificate must be. */
static int check_issuing(const struct ca *ca, const char *shown, struct diag *d)
{
    X509 *cert = ca->issuing;
    const uint32_t flags = X509_get_extension_flags(cert);
    struct diag_at at = DIAG_FILE(shown);
    if ((flags & EXFLAG_INVALID) != 0) {
        return diag_error(d, at, "the issuing certificate has an extension that cannot be read");
    }
    if ((flags & EXFLAG_CA) == 0) {
        return diag_error(
            d, at,
            "the first certificate is not a CA's (basicConstraints CA:TRUE); have the "
            "request signed as a subordinate CA");
    }
    if ((flags & EXFLAG_KUSAGE) != 0 && (X509_get_key_usage(cert) & KU_KEY_CERT_SIGN) == 0) {
        return diag_error(d, at,
                          "the issuing certificate may not sign certificates (keyUsage "
                          "keyCertSign is missing)");
    }
    if ((flags & EXFLAG_XKUSAGE) != 0 &&
        (X509_get_extended_key_usage(cert) & (XKU_SSL_SERVER | XKU_ANYEKU)) == 0) {
        return diag_error(d, at,
                          "the issuing certificate is not for servers (extendedKeyUsage "
                          "serverAuth is missing)");
    }
    return 0;
}

/* What it should be, too; ca_import() insists, a proxy that runs on such a one goes on. */
static void warn_limits(const struct ca *ca, const char *shown, struct diag *d)
{
    X509 *cert = ca->issuing;
    struct diag_at at = DIAG_FILE(shown);
    if ((X509_get_extension_flags(cert) & EXFLAG_KUSAGE) != 0 &&
        (X509_get_key_usage(cert) & KU_CRL_SIGN) == 0) {
        diag_warn(d, at,
                  "the issuing certificate may not sign revocation lists (keyUsage cRLSign "
                  "is missing); Windows clients will find none");
    }
    if (X509_get_pathlen(cert) != 0) {
        diag_warn(d, at, "the issuing certificate may make further CAs; it should have pathlen:0");
    }
    if (!ca->limits.dns_limited) {
        diag_warn(d, at,
                  "the issuing certificate has no name constraints: whoever steals its key "
                  "can pose as any site; have it signed with those of photogate ca csr");
    } else if (!ca->limits.critical) {
        diag_warn(d, at,
                  "the issuing certificate's name constraints are not critical: old clients "
                  "may ignore them");
    } else if (!ca->limits.ip_limited) {
        diag_warn(d, at, "the issuing certificate's name constraints do not exclude addresses");
    }
}

/* Keeps the chain when it verifies. 0 or X509_V_ERR_…. */
static int verify(struct ca *ca, X509_STORE *store, STACK_OF(X509) * certs, time_t now,
                  unsigned long flags)
{
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    int why = X509_V_ERR_UNSPECIFIED;
    if (ctx != NULL && X509_STORE_CTX_init(ctx, store, ca->issuing, certs) == 1) {
        X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
        if (flags == 0) {
            X509_VERIFY_PARAM_set_time(param, now); /* would outweigh "no check" */
        }
        (void)X509_VERIFY_PARAM_set_flags(param, flags);
        why = X509_verify_cert(ctx) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(ctx);
        if (why == X509_V_OK) {
            ca->chain = X509_STORE_CTX_get1_chain(ctx);
            ca->root = sk_X509_pop(ca->chain);
        }
    }
    X509_STORE_CTX_free(ctx);
    return why;
}

/* Finds the chain up to a root among `certs`. */
static int build_chain(struct ca *ca, STACK_OF(X509) * certs, const char *shown, time_t now,
                       struct diag *d)
{
    X509_STORE *store = X509_STORE_new();
    int roots = 0, why = X509_V_OK;
    for (int i = 0; i < sk_X509_num(certs); i++) {
        X509 *cert = sk_X509_value(certs, i);
        if (store != NULL && cert != ca->issuing && X509_self_signed(cert, 1) == 1 &&
            X509_STORE_add_cert(store, cert) == 1) {
            roots++;
        }
    }
    if (roots > 0) {
        why = verify(ca, store, certs, now, 0);
    }
    if (why == X509_V_ERR_CERT_HAS_EXPIRED || why == X509_V_ERR_CERT_NOT_YET_VALID) {
        /* to be told which one, and since when */
        why = verify(ca, store, certs, now, X509_V_FLAG_NO_CHECK_TIME);
    }
    X509_STORE_free(store);
    ERR_clear_error();
    if (roots == 0) {
        return diag_error(
            d, DIAG_FILE(shown),
            "there is no self-signed root in the file; add the PKI's root certificate");
    }
    if (why != X509_V_OK) {
        return diag_error(d, DIAG_FILE(shown), "the issuing certificate does not verify: %s",
                          X509_verify_cert_error_string(why));
    }
    return 0;
}

char *ca_crl_url_of(const X509 *cert)
{
    char *url = NULL;
    CRL_DIST_POINTS *points = X509_get_ext_d2i(cert, NID_crl_distribution_points, NULL, NULL);
    for (int i = 0; url == NULL && i < sk_DIST_POINT_num(points); i++) {
        const DIST_POINT *point = sk_DIST_POINT_value(points, i);
        if (point->distpoint == NULL || point->distpoint->type != 0) {
            continue;
        }
        for (int j = 0; url == NULL && j < sk_GENERAL_NAME_num(point->distpoint->name.fullname);
             j++) {
            const GENERAL_NAME *name = sk_GENERAL_NAME_value(point->distpoint->name.fullname, j);
            if (name->type == GEN_URI) {
                const ASN1_STRING *uri = name->d.uniformResourceIdentifier;
                url = xstrndup((const char *)ASN1_STRING_get0_data(uri),
                               (size_t)ASN1_STRING_length(uri));
            }
        }
    }
    sk_DIST_POINT_pop_free(points, DIST_POINT_free);
    ERR_clear_error();
    return url;
}

static void put_limits(struct ca *ca)
{
    ca->not_before = ossl_time(X509_get0_notBefore(ca->root));
    ca->not_after = ossl_time(X509_get0_notAfter(ca->root));
    for (int i = 0; i < sk_X509_num(ca->chain); i++) {
        const X509 *cert = sk_X509_value(ca->chain, i);
        ca->not_before = MAX(ca->not_before, ossl_time(X509_get0_notBefore(cert)));
        ca->not_after = MIN(ca->not_after, ossl_time(X509_get0_notAfter(cert)));
    }
}

int ca_from_certs(STACK_OF(X509) * certs, X509 *issuing, const char *shown, time_t now,
                  struct ca **out, struct diag *d)
{
    struct ca *ca = xnew(struct ca);
    ca->refs = 1;
    X509_up_ref(issuing);
    ca->issuing = issuing;
    *out = NULL;
    int err = 0;
    if (constraints_read(issuing, &ca->limits) != 0) {
        err = diag_error(d, DIAG_FILE(shown), "the name constraints cannot be read");
    }
    if (err == 0) {
        err = check_issuing(ca, shown, d);
    }
    if (err == 0) {
        err = build_chain(ca, certs, shown, now, d);
    }
    for (int i = 0; err == 0 && i < sk_X509_num(ca->chain); i++) {
        X509 *cert = sk_X509_value(ca->chain, i);
        err = check_dates(cert, shown, now, d);
        if (err == 0) {
            err = check_strength(cert, false, shown, d);
        }
    }
    if (err == 0) {
        err = check_dates(ca->root, shown, now, d);
    }
    if (err == 0) {
        err = check_strength(ca->root, true, shown, d);
    }
    if (err == 0) {
        const X509 *above = sk_X509_num(ca->chain) > 1 ? sk_X509_value(ca->chain, 1) : ca->root;
        put_limits(ca);
        ca->crl_url = ca_crl_url_of(issuing);
        if (key_id_of_cert(issuing, &ca->id) != 0 || key_id_of_cert(above, &ca->above) != 0) {
            err = diag_error(d, DIAG_FILE(shown), "a public key cannot be read");
        }
    }
    if (err != 0) {
        ca_unref(ca);
        return ERR_CONFIG;
    }
    *out = ca;
    return 0;
}

static void load_crl(struct ca *ca, int base, const char *path, time_t now, struct diag *d)
{
    char file[CA_PATH_MAX];
    X509 *above = sk_X509_num(ca->chain) > 1 ? sk_X509_value(ca->chain, 1) : ca->root;
    struct buf date = {0};
    ca_crl_path(file, path, &ca->above);
    int err = file_read(base, file, CRL_MAX, &ca->crl);
    if (err == -ENOENT) {
        return; /* a corporate PKI publishes its own, under its own address */
    }
    if (err == 0) {
        err = crl_read(buf_view(&ca->crl), above, &ca->crl_info);
    }
    if (err != 0) {
        diag_warn(d, DIAG_FILE(file), "not used: %s; run photogate ca crl", err_str(err));
        buf_clear(&ca->crl);
    } else if (ca->crl_info.next_update < now + (time_t)CA_WARN_CRL_DAYS * PROFILE_DAY) {
        ossl_put_date(&date, ca->crl_info.next_update);
        diag_warn(d, DIAG_FILE(file),
                  "the revocation list %s on %s, and Windows clients then refuse every site; run "
                  "photogate ca crl",
                  ca->crl_info.next_update < now ? "expired" : "expires", buf_cstr(&date));
    }
    buf_free(&date);
}

int ca_load(int base, const char *path, time_t now, struct ca **out, struct diag *d)
{
    char file[CA_PATH_MAX];
    struct buf pem = {0};
    STACK_OF(X509) *certs = NULL;
    *out = NULL;
    ca_path(file, path, CA_CHAIN);
    int err = file_read(base, file, CHAIN_FILE_MAX, &pem);
    if (err == -ENOENT || err == -ENOTDIR) {
        err = diag_error(d, DIAG_FILE(file), "there is no CA here; run photogate ca init --dir %s",
                         path);
    } else if (err != 0) {
        err = diag_error(d, DIAG_FILE(file), "cannot read it: %s", err_str(err));
    } else if (ossl_read_pem(buf_view(&pem), CHAIN_MAX, &certs) != 0) {
        err =
            diag_error(d, DIAG_FILE(file), "not a list of at most %d PEM certificates", CHAIN_MAX);
    }
    if (err == 0) {
        err = ca_from_certs(certs, sk_X509_value(certs, 0), file, now, out, d);
    }
    if (err == 0) {
        warn_limits(*out, file, d);
        load_crl(*out, base, path, now, d);
    }
    sk_X509_pop_free(certs, X509_free);
    buf_free(&pem);
    return err;
}

int ca_load_key(int base, const char *path, const struct ca *ca, EVP_PKEY **out, struct diag *d)
{
    char file[CA_PATH_MAX];
    int err = key_read(base, ca_key_path(file, path, &ca->id), file, KEY_PLAIN, out, d);
    if (err == 0 && EVP_PKEY_eq(X509_get0_pubkey(ca->issuing), *out) != 1) {
        EVP_PKEY_free(*out);
        *out = NULL;
        err = diag_error(d, DIAG_FILE(file),
                         "the key does not match the issuing certificate in %s/" CA_CHAIN, path);
    }
    ERR_clear_error();
    return err;
}

bool ca_covers(const struct ca *ca, struct str name)
{
    return constraints_permit(&ca->limits, name);
}

int ca_check_hosts(const struct ca *ca, const struct names *hosts, struct diag_at at,
                   struct diag *d)
{
    int err = 0;
    for (size_t i = 0; i < hosts->count; i++) {
        if (!ca_covers(ca, str_z(hosts->item[i]))) {
            err =
                diag_error(d, at,
                           "%s is outside the CA's constraints; run photogate ca rotate (or ca csr "
                           "and ca import), or take it off the inspected hosts",
                           hosts->item[i]);
        }
    }
    return err;
}

bool ca_issued(const struct ca *ca, X509 *leaf)
{
    const ASN1_OCTET_STRING *mine = X509_get0_subject_key_id(ca->issuing);
    const ASN1_OCTET_STRING *theirs = X509_get0_authority_key_id(leaf);
    if (X509_NAME_cmp(X509_get_subject_name(ca->issuing), X509_get_issuer_name(leaf)) != 0) {
        return false;
    }
    return mine == NULL || (theirs != NULL && ASN1_OCTET_STRING_cmp(mine, theirs) == 0);
}

struct ca *ca_ref(struct ca *ca)
{
    ca->refs++;
    return ca;
}

void ca_unref(struct ca *ca)
{
    if (ca == NULL || --ca->refs > 0) {
        return;
    }
    X509_free(ca->issuing);
    X509_free(ca->root);
    sk_X509_pop_free(ca->chain, X509_free);
    constraints_free(&ca->limits);
    free(ca->crl_url);
    buf_free(&ca->crl);
    free(ca);
}
