/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/leaf.h"

#include "certs/name.h"
#include "certs/ossl.h"
#include "certs/profile.h"
#include "common/err.h"
#include "common/mem.h"

#include <openssl/err.h>

#include <stdlib.h>

struct leafpress {
    X509 *issuer;
    EVP_PKEY *issuer_key;
    struct buf issuer_spki;
    char *crl_url;
    time_t issuer_from, issuer_until;
    X509 *blank;     /* for `spki`; NULL before the first */
    struct buf spki; /* the public key in `blank` */
};

int leafkey_new(struct leafkey *out)
{
    *out = (struct leafkey){0};
    int err = key_new(&out->key);
    if (err == 0) {
        err = key_put_spki(&out->spki, out->key);
    }
    if (err != 0) {
        leafkey_free(out);
    }
    return err;
}

void leafkey_free(struct leafkey *k)
{
    EVP_PKEY_free(k->key);
    buf_free(&k->spki);
    *k = (struct leafkey){0};
}

struct leafpress *leafpress_new(X509 *issuer, EVP_PKEY *key, const char *crl_url)
{
    struct leafpress *p = xnew(struct leafpress);
    p->issuer = issuer;
    p->issuer_key = key;
    p->issuer_from = ossl_time(X509_get0_notBefore(issuer));
    p->issuer_until = ossl_time(X509_get0_notAfter(issuer));
    p->crl_url = crl_url != NULL ? xstrdup(crl_url) : NULL;
    if (key_put_spki(&p->issuer_spki, key) != 0) {
        buf_clear(&p->issuer_spki);
    }
    return p;
}

void leafpress_free(struct leafpress *p)
{
    if (p != NULL) {
        X509_free(p->blank);
        buf_free(&p->spki);
        buf_free(&p->issuer_spki);
        free(p->crl_url);
        free(p);
    }
}

/* Makes p->blank one for `spki`. */
static int take_key(struct leafpress *p, struct str spki)
{
    EVP_PKEY *key = NULL;
    if (p->blank != NULL && str_eq(buf_view(&p->spki), spki)) {
        return 0;
    }
    X509_free(p->blank);
    p->blank = NULL;
    buf_clear(&p->spki);
    if (str_eq(buf_view(&p->issuer_spki), spki)) {
        return ERR_DENIED; /* several proxies put their CA's key into each handshake like that */
    }
    int err = key_from_spki(spki, &key);
    if (err != 0) {
        return err;
    }
    X509 *blank = X509_new();
    if (blank == NULL || X509_set_version(blank, X509_VERSION_3) != 1 ||
        X509_set_pubkey(blank, key) != 1 ||
        X509_set_issuer_name(blank, X509_get_subject_name(p->issuer)) != 1) {
        err = ERR_TLS;
    }
    if (err == 0) {
        err = profile_leaf_fixed(blank, p->issuer, p->crl_url);
    }
    EVP_PKEY_free(key);
    if (err != 0) {
        X509_free(blank);
        return err;
    }
    p->blank = blank;
    buf_str(&p->spki, spki);
    return 0;
}

int leafpress_mint(struct leafpress *p, struct str name, struct str spki, time_t now,
                   unsigned life_s, struct buf *der)
{
    char folded[NAME_MAX_LEN + 1];
    int err = name_fold(name, folded);
    if (err != 0 || !str_eq(str_z(folded), name)) {
        return ERR_NAME;
    }
    if (now < p->issuer_from || now >= p->issuer_until) {
        return ERR_CERT;
    }
    err = take_key(p, spki);
    if (err == 0) {
        err = profile_validity(p->blank, MAX(now - LEAF_BACKDATE_S, p->issuer_from),
                               MIN(now + (time_t)life_s, p->issuer_until));
    }
    if (err == 0) {
        err = profile_serial(p->blank);
    }
    if (err == 0) {
        err = profile_leaf_name(p->blank, name);
    }
    if (err == 0 && X509_sign(p->blank, p->issuer_key, EVP_sha256()) <= 0) {
        err = ERR_TLS;
    }
    if (err == 0) {
        ossl_put_der(der, p->blank);
    }
    ERR_clear_error();
    return err;
}
