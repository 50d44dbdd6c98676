/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/jwt.h"

#include "common/b64.h"
#include "common/err.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

#include <stdlib.h>
#include <time.h>

#define LIFE_S 600 /* as MSAL; the service wants at most ten minutes */
#define SKEW_S 60  /* our clock may be ahead */

void guid_new(struct buf *out)
{
    unsigned char b[16];
    if (RAND_bytes(b, sizeof(b)) != 1) {
        abort(); /* no randomness: nothing that follows would be safe */
    }
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    for (size_t i = 0; i < sizeof(b); i++) {
        buf_printf(out, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", b[i]);
    }
}

static void put_part(struct buf *out, const struct buf *json)
{
    b64_encode(out, json->ptr, json->len, B64_URL);
}

static int sign(EVP_PKEY *key, bool pss, struct buf *out)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    EVP_PKEY_CTX *ctx = NULL;
    unsigned char signature[1024];
    size_t len = sizeof(signature);
    bool ok = md != NULL && EVP_PKEY_get_size(key) <= (int)sizeof(signature) &&
              EVP_DigestSignInit(md, &ctx, EVP_sha256(), NULL, key) == 1;
    if (ok && pss) {
        ok = EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1;
    }
    ok = ok && EVP_DigestSign(md, signature, &len, (const unsigned char *)out->ptr, out->len) == 1;
    EVP_MD_CTX_free(md);
    if (ok) {
        buf_char(out, '.');
        b64_encode(out, signature, len, B64_URL);
    }
    return ok ? 0 : ERR_CERT;
}

/* Header and claims, with the dot between them. */
static int put_text(X509 *cert, struct str client, struct str audience, bool old_form,
                    struct buf *out)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (X509_digest(cert, old_form ? EVP_sha1() : EVP_sha256(), digest, &len) != 1) {
        return ERR_CERT;
    }
    struct buf json = {0};
    buf_printf(&json, "{\"alg\":\"%s\",\"typ\":\"JWT\",\"%s\":\"", old_form ? "RS256" : "PS256",
               old_form ? "x5t" : "x5t#S256");
    b64_encode(&json, digest, len, B64_URL);
    buf_z(&json, "\"}");
    put_part(out, &json);
    buf_char(out, '.');
    buf_clear(&json);
    const uint64_t from = (uint64_t)time(NULL) - SKEW_S;
    buf_z(&json, "{\"aud\":");
    buf_json(&json, audience);
    buf_z(&json, ",\"iss\":");
    buf_json(&json, client);
    buf_z(&json, ",\"sub\":");
    buf_json(&json, client);
    buf_z(&json, ",\"jti\":\"");
    guid_new(&json);
    buf_printf(&json, "\",\"nbf\":%llu,\"iat\":%llu,\"exp\":%llu}", (unsigned long long)from,
               (unsigned long long)from, (unsigned long long)(from + LIFE_S));
    put_part(out, &json);
    buf_free(&json);
    return 0;
}

int jwt_assertion(struct str certificate, struct str key, struct str client, struct str audience,
                  bool old_form, struct buf *out, const char **why)
{
    BIO *cert_bio = BIO_new_mem_buf(certificate.ptr, (int)certificate.len);
    BIO *key_bio = BIO_new_mem_buf(key.ptr, (int)key.len);
    X509 *cert = cert_bio != NULL ? PEM_read_bio_X509(cert_bio, NULL, NULL, NULL) : NULL;
    EVP_PKEY *pkey = NULL;
    if (key_bio != NULL) { /* "" as the pass phrase, or OpenSSL would ask on the terminal */
        pkey = PEM_read_bio_PrivateKey(key_bio, NULL, NULL, (void *)(uintptr_t) "");
    }
    int err = ERR_CERT;
    if (cert == NULL) {
        *why = "there is no certificate in PEM form";
    } else if (pkey == NULL) {
        *why = "there is no private key in PEM form that needs no pass phrase";
    } else if (EVP_PKEY_get_base_id(pkey) != EVP_PKEY_RSA) {
        *why = "the key is no RSA key; the service takes no other";
    } else if (X509_check_private_key(cert, pkey) != 1) {
        *why = "the key does not belong to the certificate";
    } else {
        *why = "signing failed";
        err = put_text(cert, client, audience, old_form, out);
        err = err == 0 ? sign(pkey, !old_form, out) : err;
    }
    ERR_clear_error();
    EVP_PKEY_free(pkey);
    X509_free(cert);
    BIO_free(key_bio);
    BIO_free(cert_bio);
    return err;
}
