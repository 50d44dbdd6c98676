/* SPDX-License-Identifier: Apache-2.0 */
/* Issuing CAs that somebody else's root signs, and those that ours signs for others (camake.h). */
#include "certs/cafiles.h"
#include "certs/camake.h"
#include "certs/leaf.h"
#include "certs/ossl.h"
#include "certs/profile.h"
#include "common/err.h"
#include "common/file.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#define CERTS_MAX 50 /* a PKCS#7 file may hold more than the chain */

/* --- request --- */

static int put_request_pem(struct buf *pem, X509_REQ *req)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *at = NULL;
    int err = bio != NULL && PEM_write_bio_X509_REQ(bio, req) == 1 ? 0 : ERR_TLS;
    const long len = err == 0 ? BIO_get_mem_data(bio, &at) : 0;
    buf_put(pem, at, len > 0 ? (size_t)len : 0);
    BIO_free(bio);
    return err;
}

/* The certificate in use, or NULL: there may be none yet, or one that has expired. */
static X509 *in_use(const char *dir)
{
    char file[CA_PATH_MAX];
    struct buf pem = {0};
    STACK_OF(X509) *certs = NULL;
    X509 *cert = NULL;
    if (file_read(AT_FDCWD, ca_path(file, dir, CA_CHAIN), 256 * 1024, &pem) == 0 &&
        ossl_read_pem(buf_view(&pem), CERTS_MAX, &certs) == 0) {
        cert = sk_X509_shift(certs);
    }
    sk_X509_pop_free(certs, X509_free);
    buf_free(&pem);
    return cert;
}

int ca_request(const struct ca_make *make, struct buf *pem, struct diag *d)
{
    char file[CA_PATH_MAX];
    struct ca_scope scope = {0};
    struct buf cn = {0};
    EVP_PKEY *key = NULL;
    X509_REQ *req = NULL;
    struct key_id id;
    int lock = -1;
    X509 *last = in_use(make->dir);
    int err = ca_find_scope(make, last, &scope, d);
    if (err == 0) {
        err = cafiles_make(make->dir, d);
    }
    if (err == 0) {
        err = cafiles_lock(make->dir, &lock, d);
    }
    if (err == 0) {
        err = key_new(&key);
        if (err == 0) {
            err = key_id_of(key, &id);
        }
        if (err == 0) {
            ca_put_cn(&cn, "photogate issuing CA", make->cn, make->now, &id);
            const struct profile_issuing spec = {
                .cn = buf_cstr(&cn), .constraints = &scope.constraints, .now = make->now};
            err = profile_request(key, &spec, &req);
        }
        if (err == 0) {
            err = put_request_pem(pem, req);
        }
        err = err != 0 ? diag_error(d, DIAG_FILE(make->dir), "cannot make the request: OpenSSL: %s",
                                    ossl_reason())
                       : cafiles_write_key(ca_key_path(file, make->dir, &id), key, d);
    }
    if (lock >= 0) {
        close(lock);
    }
    X509_REQ_free(req);
    EVP_PKEY_free(key);
    buf_free(&cn);
    ca_free_scope(&scope);
    X509_free(last);
    return err;
}

/* --- import --- */

/* The certificate whose key we have; that of a new request before the one in use. */
static X509 *find_ours(const struct ca_make *make, STACK_OF(X509) * certs)
{
    char file[CA_PATH_MAX];
    struct key_id id, used = {0};
    X509 *last = in_use(make->dir), *found = NULL;
    if (last != NULL && key_id_of_cert(last, &used) != 0) {
        used = (struct key_id){0};
    }
    for (int i = 0; i < sk_X509_num(certs); i++) {
        X509 *cert = sk_X509_value(certs, i);
        if (key_id_of_cert(cert, &id) == 0 &&
            access(ca_key_path(file, make->dir, &id), F_OK) == 0 &&
            (found == NULL || strcmp(id.hex, used.hex) != 0)) {
            found = cert;
        }
    }
    X509_free(last);
    return found;
}

/* A complaint that --force turns into a warning. */
static int objection(const struct ca_make *make, const char *shown, struct diag *d,
                     const char *what)
{
    if (make->force) {
        diag_warn(d, DIAG_FILE(shown), "%s", what);
        return 0;
    }
    return diag_error(d, DIAG_FILE(shown),
                      "%s; have it signed as photogate ca csr asks for, or take it as it is with "
                      "--force",
                      what);
}

/* Beyond what ca_from_certs() insists on for a CA in use: what one should be that is taken anew. */
static int check_limits(const struct ca_make *make, const struct ca *ca, const char *shown,
                        struct diag *d)
{
    int err = 0;
    if (X509_get_pathlen(ca->issuing) != 0) {
        err |= objection(make, shown, d,
                         "the issuing certificate has no pathlen:0, so whoever has "
                         "its key can make CAs of his own");
    }
    if ((X509_get_extension_flags(ca->issuing) & EXFLAG_KUSAGE) == 0 ||
        (X509_get_key_usage(ca->issuing) & KU_CRL_SIGN) == 0) {
        err |= objection(make, shown, d,
                         "the issuing certificate may not sign revocation lists "
                         "(keyUsage cRLSign)");
    }
    if (!ca->limits.dns_limited || !ca->limits.critical) {
        err |= objection(make, shown, d,
                         "the issuing certificate has no critical name constraints, "
                         "so whoever has its key can pose as any site");
    } else if (!ca->limits.ip_limited) {
        err |= objection(make, shown, d,
                         "the issuing certificate's name constraints do not exclude "
                         "addresses (0.0.0.0/0 and ::/0)");
    }
    for (size_t i = 0; i < make->names->count; i++) {
        if (!ca_covers(ca, str_z(make->names->item[i]))) {
            struct buf text = {0};
            buf_printf(&text, "the issuing certificate's name constraints do not permit %s",
                       make->names->item[i]);
            err |= objection(make, shown, d, buf_cstr(&text));
            buf_free(&text);
        }
    }
    return err != 0 ? ERR_CONFIG : 0;
}

/* Signs a leaf for a permitted name and verifies it as a client would. */
static int rehearse(const struct ca *ca, EVP_PKEY *key, time_t now, const char *shown,
                    struct diag *d)
{
    struct leafkey trial = {0};
    struct buf der = {0};
    const char *name = ca->limits.dns.count > 0 ? ca->limits.dns.item[0] : "photogate.example";
    struct leafpress *press = leafpress_new(ca->issuing, key, NULL);
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    X509 *leaf = NULL;
    const char *wrong = NULL;
    if (name[0] == '.') {
        name++;
    }
    if (leafkey_new(&trial) == 0 &&
        leafpress_mint(press, str_z(name), buf_view(&trial.spki), now, LEAF_LIFE_S, &der) == 0) {
        leaf = ossl_read_der(buf_view(&der));
    }
    if (leaf == NULL || store == NULL || ctx == NULL || X509_STORE_add_cert(store, ca->root) != 1 ||
        X509_STORE_CTX_init(ctx, store, leaf, ca->chain) != 1) {
        wrong = ossl_reason();
    } else {
        X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
        X509_VERIFY_PARAM_set_time(param, now);
        (void)X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER);
        if (X509_verify_cert(ctx) != 1) {
            wrong = X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx));
        }
    }
    const int err = wrong == NULL
                        ? 0
                        : diag_error(d, DIAG_FILE(shown),
                                     "a certificate signed with it does not verify: %s", wrong);
    ERR_clear_error();
    X509_free(leaf);
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    leafpress_free(press);
    leafkey_free(&trial);
    buf_free(&der);
    return err;
}

/* Keeps a CRL that came along, if it is the right CA's. */
static int keep_crl(const struct ca_make *make, const struct ca *ca, struct str bytes,
                    struct diag *d)
{
    char file[CA_PATH_MAX];
    X509 *above = sk_X509_num(ca->chain) > 1 ? sk_X509_value(ca->chain, 1) : ca->root;
    BIO *bio = bytes.len <= INT_MAX ? BIO_new_mem_buf(bytes.ptr, (int)bytes.len) : NULL;
    X509_CRL *crl = bio != NULL ? PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL) : NULL;
    struct buf der = {0};
    struct crl_info info;
    int err = 0;
    const int len = crl != NULL ? i2d_X509_CRL(crl, NULL) : 0;
    if (len > 0) {
        unsigned char *at = (unsigned char *)buf_room(&der, (size_t)len);
        der.len = (size_t)i2d_X509_CRL(crl, &at);
        if (crl_read(buf_view(&der), above, &info) == 0) {
            err = cafiles_write(ca_crl_path(file, make->dir, &ca->above), buf_view(&der), 0644, d);
        }
    }
    ERR_clear_error();
    buf_free(&der);
    X509_CRL_free(crl);
    BIO_free(bio);
    return err;
}

int ca_import(const struct ca_make *make, struct str bytes, const char *shown, struct diag *d)
{
    STACK_OF(X509) *certs = NULL;
    struct ca *ca = NULL;
    EVP_PKEY *key = NULL;
    struct buf pem = {0};
    X509 *last = in_use(make->dir), *ours = NULL;
    int lock = -1;
    int err = cafiles_lock(make->dir, &lock, d);
    if (err == 0 && ossl_read_certs(bytes, CERTS_MAX, &certs) != 0) {
        err = diag_error(d, DIAG_FILE(shown),
                         "no certificates in it (PEM, DER and PKCS#7 are understood)");
    }
    if (err == 0 && (ours = find_ours(make, certs)) == NULL) {
        err =
            diag_error(d, DIAG_FILE(shown),
                       "none of its certificates is for a key in %s/private; run photogate ca csr "
                       "there and have that request signed",
                       make->dir);
    }
    if (err == 0) {
        err = ca_from_certs(certs, ours, shown, make->now, &ca, d);
    }
    if (err == 0) {
        err = check_limits(make, ca, shown, d);
    }
    if (err == 0) {
        err = ca_load_key(AT_FDCWD, make->dir, ca, &key, d);
    }
    if (err == 0) {
        err = rehearse(ca, key, make->now, shown, d);
    }
    if (err == 0) {
        err = keep_crl(make, ca, bytes, d);
    }
    if (err == 0) {
        for (int i = 0; i < sk_X509_num(ca->chain); i++) {
            ossl_put_pem(&pem, sk_X509_value(ca->chain, i));
        }
        ossl_put_pem(&pem, ca->root);
        err = cafiles_switch(make->dir, buf_view(&pem), ca->root, last, false, d);
    }
    if (lock >= 0) {
        close(lock);
    }
    buf_free(&pem);
    EVP_PKEY_free(key);
    ca_unref(ca);
    X509_free(last);
    sk_X509_pop_free(certs, X509_free);
    return err;
}

/* --- issue --- */

/* The public key of a request that is signed with it. */
static int read_request(struct str csr, const char *shown, EVP_PKEY **out, struct diag *d)
{
    const unsigned char *at = (const unsigned char *)csr.ptr;
    BIO *bio = csr.len <= INT_MAX ? BIO_new_mem_buf(csr.ptr, (int)csr.len) : NULL;
    X509_REQ *req = bio != NULL ? PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL) : NULL;
    const char *weak = NULL;
    int err = 0;
    *out = NULL;
    if (req == NULL && bio != NULL) {
        req = d2i_X509_REQ(NULL, &at, (long)csr.len);
    }
    if (req == NULL) {
        err = diag_error(d, DIAG_FILE(shown), "not a certificate request (PEM or DER PKCS#10)");
    } else if ((*out = X509_REQ_get_pubkey(req)) == NULL || X509_REQ_verify(req, *out) != 1) {
        err = diag_error(d, DIAG_FILE(shown), "the request is not signed with its own key");
    } else if ((weak = key_weakness(*out)) != NULL) {
        err = diag_error(d, DIAG_FILE(shown),
                         "the request is for %s; photogate ca csr makes a key "
                         "that is strong enough",
                         weak);
    }
    ERR_clear_error();
    if (err != 0) {
        EVP_PKEY_free(*out);
        *out = NULL;
    }
    X509_REQ_free(req);
    BIO_free(bio);
    return err;
}

static int put_crl_pem(struct buf *pem, struct str der)
{
    const unsigned char *at = (const unsigned char *)der.ptr;
    X509_CRL *crl = d2i_X509_CRL(NULL, &at, (long)der.len);
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    int err = crl != NULL && bio != NULL && PEM_write_bio_X509_CRL(bio, crl) == 1 ? 0 : ERR_TLS;
    const long len = err == 0 ? BIO_get_mem_data(bio, &text) : 0;
    buf_put(pem, text, len > 0 ? (size_t)len : 0);
    BIO_free(bio);
    X509_CRL_free(crl);
    return err;
}

int ca_issue(const struct ca_make *make, const char *node, struct str csr, const char *shown,
             struct buf *pem, struct diag *d)
{
    struct ca_root root = {0};
    struct ca_scope scope = {0};
    EVP_PKEY *subject = NULL;
    X509 *cert = NULL;
    struct buf der = {0};
    int err = read_request(csr, shown, &subject, d);
    if (err == 0) {
        err = ca_open_root(make, &root, d);
    }
    if (err == 0) {
        err = ca_find_scope(make, root.issuing, &scope, d);
    }
    if (err == 0) {
        err = ca_sign_issuing(&root, subject, &scope, node, make->now, &cert, d);
    }
    if (err == 0) {
        err = ca_sign_crl(&root, make->dir, NULL, make->now, &der, d);
    }
    if (err == 0) {
        ossl_put_pem(pem, cert);
        ossl_put_pem(pem, root.cert);
        err = put_crl_pem(pem, buf_view(&der));
    }
    X509_free(cert);
    EVP_PKEY_free(subject);
    buf_free(&der);
    ca_free_scope(&scope);
    ca_close_root(&root);
    return err;
}
