/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/ossl.h"

#include "common/err.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs7.h>

#include <limits.h>

const char *ossl_reason(void)
{
    const unsigned long code = ERR_peek_last_error();
    const char *text = code != 0 ? ERR_reason_error_string(code) : NULL;
    ERR_clear_error();
    return text != NULL ? text : "no reason given";
}

time_t ossl_time(const ASN1_TIME *t)
{
    struct tm tm;
    return t != NULL && ASN1_TIME_to_tm(t, &tm) == 1 ? timegm(&tm) : -1;
}

void ossl_put_date(struct buf *out, time_t t)
{
    struct tm tm;
    char text[32];
    size_t len = gmtime_r(&t, &tm) != NULL ? strftime(text, sizeof(text), "%Y-%m-%d", &tm) : 0;
    buf_put(out, text, len);
}

static void put_memory(struct buf *out, BIO *bio)
{
    char *at = NULL;
    const long len = BIO_get_mem_data(bio, &at);
    if (len > 0) {
        buf_put(out, at, (size_t)len);
    }
}

void ossl_put_name(struct buf *out, const X509_NAME *name)
{
    BIO *bio = BIO_new(BIO_s_mem());
    const unsigned long how = XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB;
    if (bio == NULL || name == NULL) {
        BIO_free(bio);
        return;
    }
    if (X509_NAME_entry_count(name) == 1 &&
        X509_NAME_get_index_by_NID(name, NID_commonName, -1) == 0) {
        ASN1_STRING_print_ex(bio, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, 0)),
                             ASN1_STRFLGS_ESC_CTRL | ASN1_STRFLGS_UTF8_CONVERT);
    } else {
        X509_NAME_print_ex(bio, name, 0, how);
    }
    put_memory(out, bio);
    BIO_free(bio);
}

void ossl_put_fingerprint(struct buf *out, const X509 *cert)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (X509_digest(cert, EVP_sha256(), digest, &len) != 1) {
        return;
    }
    for (unsigned i = 0; i < len; i++) {
        buf_printf(out, "%s%02X", i > 0 ? ":" : "", digest[i]);
    }
}

void ossl_put_der(struct buf *out, X509 *cert)
{
    const int len = i2d_X509(cert, NULL);
    if (len > 0) {
        unsigned char *at = (unsigned char *)buf_room(out, (size_t)len);
        out->len += (size_t)i2d_X509(cert, &at);
    }
}

void ossl_put_pem(struct buf *out, X509 *cert)
{
    BIO *bio = BIO_new(BIO_s_mem());
    if (bio != NULL && PEM_write_bio_X509(bio, cert) == 1) {
        put_memory(out, bio);
    }
    BIO_free(bio);
}

int ossl_read_pem(struct str pem, int max, STACK_OF(X509) * *out)
{
    BIO *bio = pem.len <= INT_MAX ? BIO_new_mem_buf(pem.ptr, (int)pem.len) : NULL;
    STACK_OF(X509) *certs = sk_X509_new_null();
    int err = bio == NULL || certs == NULL ? ERR_SYNTAX : 0;
    while (err == 0) {
        X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        if (cert == NULL) {
            /* the end of the file is the one good reason to find no further certificate */
            if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
                err = ERR_SYNTAX;
            }
            break;
        }
        if (sk_X509_num(certs) >= max || sk_X509_push(certs, cert) == 0) {
            X509_free(cert);
            err = ERR_SYNTAX;
        }
    }
    if (err == 0 && sk_X509_num(certs) == 0) {
        err = ERR_SYNTAX;
    }
    BIO_free(bio);
    ERR_clear_error();
    if (err != 0) {
        sk_X509_pop_free(certs, X509_free);
        certs = NULL;
    }
    *out = certs;
    return err;
}

static PKCS7 *read_pkcs7(struct str bytes)
{
    const unsigned char *at = (const unsigned char *)bytes.ptr;
    BIO *bio = BIO_new_mem_buf(bytes.ptr, (int)bytes.len);
    PKCS7 *p7 = bio != NULL ? PEM_read_bio_PKCS7(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    return p7 != NULL ? p7 : d2i_PKCS7(NULL, &at, (long)bytes.len);
}

int ossl_read_certs(struct str bytes, int max, STACK_OF(X509) * *out)
{
    int err = ossl_read_pem(bytes, max, out);
    if (err == 0 || bytes.len > INT_MAX) {
        return err;
    }
    STACK_OF(X509) *certs = sk_X509_new_null(), *theirs = NULL;
    X509 *one = ossl_read_der(bytes);
    PKCS7 *p7 = one == NULL ? read_pkcs7(bytes) : NULL;
    if (p7 != NULL && PKCS7_type_is_signed(p7) && p7->d.sign != NULL) {
        theirs = p7->d.sign->cert;
    }
    err = 0;
    if (one != NULL && sk_X509_push(certs, one) == 0) {
        X509_free(one);
        err = ERR_SYNTAX;
    }
    for (int i = 0; err == 0 && i < sk_X509_num(theirs); i++) {
        X509 *cert = sk_X509_value(theirs, i);
        if (i >= max || sk_X509_push(certs, cert) == 0) {
            err = ERR_SYNTAX;
        } else {
            X509_up_ref(cert);
        }
    }
    if (err == 0 && sk_X509_num(certs) <= 0) {
        err = ERR_SYNTAX;
    }
    PKCS7_free(p7);
    ERR_clear_error();
    if (err != 0) {
        sk_X509_pop_free(certs, X509_free);
        certs = NULL;
    }
    *out = certs;
    return err;
}

X509 *ossl_read_der(struct str der)
{
    const unsigned char *at = (const unsigned char *)der.ptr;
    X509 *cert = der.len <= LONG_MAX ? d2i_X509(NULL, &at, (long)der.len) : NULL;
    if (cert != NULL && at != (const unsigned char *)der.ptr + der.len) {
        X509_free(cert);
        cert = NULL;
    }
    ERR_clear_error();
    return cert;
}
