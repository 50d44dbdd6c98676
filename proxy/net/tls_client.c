/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/net/tls_client.h"

#include "common/err.h"
#include "common/mem.h"
#include "proxy/net/sessions.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/* What a connection's callbacks leave behind. */
struct client_hooks {
    uint64_t generation;
    bool asked_certificate;
};

/* RFC 7633: the certificate promises a stapled answer. */
static bool must_staple(const X509 *cert)
{
    bool must = false;
    STACK_OF(ASN1_INTEGER) *features = X509_get_ext_d2i(cert, NID_tlsfeature, NULL, NULL);
    for (int i = 0; i < sk_ASN1_INTEGER_num(features); i++) {
        must |= ASN1_INTEGER_get(sk_ASN1_INTEGER_value(features, i)) == TLSEXT_TYPE_status_request;
    }
    sk_ASN1_INTEGER_pop_free(features, ASN1_INTEGER_free);
    return must;
}

enum staple {
    STAPLE_NONE,
    STAPLE_GOOD,
    STAPLE_REVOKED,
    STAPLE_BAD
};

/* Finds the leaf in a verified answer. An answer that does not verify, or is out of date, proves
 * nothing. */
static enum staple read_staple(SSL *ssl, OCSP_BASICRESP *basic, X509 *leaf, X509 *issuer)
{
    X509_STORE *store = SSL_CTX_get_cert_store(SSL_get_SSL_CTX(ssl));
    STACK_OF(X509) *chain = SSL_get0_verified_chain(ssl);
    ASN1_GENERALIZEDTIME *this_update, *next_update;
    int status, reason;
    OCSP_CERTID *id = OCSP_cert_to_id(NULL, leaf, issuer);
    enum staple result = STAPLE_BAD;
    if (id != NULL && OCSP_basic_verify(basic, chain, store, 0) == 1 &&
        OCSP_resp_find_status(basic, id, &status, &reason, NULL, &this_update, &next_update) == 1 &&
        OCSP_check_validity(this_update, next_update, 300, -1) == 1) {
        result = status == V_OCSP_CERTSTATUS_REVOKED ? STAPLE_REVOKED
                 : status == V_OCSP_CERTSTATUS_GOOD  ? STAPLE_GOOD
                                                     : STAPLE_BAD;
    }
    OCSP_CERTID_free(id);
    ERR_clear_error();
    return result;
}

static enum staple check_staple(SSL *ssl)
{
    const unsigned char *der = NULL;
    long len = SSL_get_tlsext_status_ocsp_resp(ssl, &der);
    STACK_OF(X509) *chain = SSL_get0_verified_chain(ssl);
    if (der == NULL || len <= 0) {
        return STAPLE_NONE;
    }
    if (sk_X509_num(chain) < 2) {
        return STAPLE_BAD;
    }
    enum staple result = STAPLE_BAD;
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &der, len);
    OCSP_BASICRESP *basic = NULL;
    if (response != NULL && OCSP_response_status(response) == OCSP_RESPONSE_STATUS_SUCCESSFUL) {
        basic = OCSP_response_get1_basic(response);
    }
    if (basic != NULL) {
        result = read_staple(ssl, basic, sk_X509_value(chain, 0), sk_X509_value(chain, 1));
    }
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    ERR_clear_error();
    return result;
}

/* Called once the server's certificate is verified, with or without an answer stapled to it. */
static int on_status(SSL *ssl, void *arg)
{
    (void)arg;
    struct tls *t = tls_of(ssl);
    if (SSL_session_reused(ssl)) {
        return 1; /* judged when the session was made */
    }
    enum staple staple = check_staple(ssl);
    X509 *leaf = SSL_get0_peer_certificate(ssl);
    if (staple == STAPLE_REVOKED) {
        snprintf(t->detail, sizeof(t->detail), "certificate revoked, says its stapled OCSP answer");
        return 0;
    }
    if (staple != STAPLE_GOOD && leaf != NULL && must_staple(leaf)) {
        snprintf(t->detail, sizeof(t->detail),
                 "certificate demands a stapled OCSP answer and came %s",
                 staple == STAPLE_NONE ? "without one" : "with one that does not verify");
        return 0;
    }
    return 1;
}

static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls *t = tls_of(ssl);
    const struct client_hooks *hooks = t->hooks;
    struct worker *w = t->conn->worker;
    if (!SSL_SESSION_is_resumable(session) || w->sessions == NULL) {
        return 0;
    }
    sessions_put(w->sessions, t->name, hooks->generation, session, worker_now_ms(w));
    return 1; /* the reference is kept */
}

static int on_certificate_request(SSL *ssl, X509 **cert, EVP_PKEY **key)
{
    (void)cert;
    (void)key;
    struct client_hooks *hooks = tls_of(ssl)->hooks;
    hooks->asked_certificate = true;
    return 0; /* we have none to give */
}

static int add_trust(X509_STORE *store, struct str pem, const char *file, struct diag *d)
{
    BIO *bio = BIO_new_mem_buf(pem.ptr, (int)MIN(pem.len, (size_t)INT32_MAX));
    STACK_OF(X509_INFO) *infos = bio != NULL ? PEM_X509_INFO_read_bio(bio, NULL, NULL, NULL) : NULL;
    int added = 0;
    for (int i = 0; i < sk_X509_INFO_num(infos); i++) {
        const X509_INFO *info = sk_X509_INFO_value(infos, i);
        if (info->x509 != NULL && X509_STORE_add_cert(store, info->x509) == 1) {
            added++;
        }
    }
    bool read = infos != NULL;
    sk_X509_INFO_pop_free(infos, X509_INFO_free);
    BIO_free(bio);
    ERR_clear_error();
    if (!read || added == 0) {
        return diag_error(
            d, DIAG_FILE(file),
            "holds no certificate in PEM form that can be read; name a file of trusted roots, or "
            "leave [origin] ca_file out to use the system's");
    }
    return 0;
}

static SSL_CTX *new_context(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (ctx == NULL) {
        abort();
    }
    tls_set_up_context(ctx);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_verify_depth(ctx, 8);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, on_new_session);
    SSL_CTX_set_client_cert_cb(ctx, on_certificate_request);
    SSL_CTX_set_tlsext_status_cb(ctx, on_status);
    return ctx;
}

int origin_tls_new(struct str ca_pem, const char *ca_file, struct origin_tls **out, struct diag *d)
{
    static _Atomic uint64_t last_generation;
    SSL_CTX *ctx = new_context();
    int err = 0;
    if (ca_pem.len > 0) {
        err = add_trust(SSL_CTX_get_cert_store(ctx), ca_pem, ca_file, d);
    } else if (SSL_CTX_set_default_verify_paths(ctx) != 1) {
        ERR_clear_error();
        err = diag_error(d, DIAG_NOWHERE,
                         "the system's trusted roots cannot be read; install ca-certificates or "
                         "set [origin] ca_file");
    }
    if (err != 0) {
        SSL_CTX_free(ctx);
        return err;
    }
    struct origin_tls *o = xnew(struct origin_tls);
    o->ctx = ctx;
    o->generation = atomic_fetch_add(&last_generation, 1) + 1;
    atomic_init(&o->refs, 1);
    *out = o;
    return 0;
}

struct origin_tls *origin_tls_ref(struct origin_tls *o)
{
    atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
    return o;
}

void origin_tls_unref(struct origin_tls *o)
{
    if (o != NULL && atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) == 1) {
        SSL_CTX_free(o->ctx);
        free(o);
    }
}

static int set_identity(SSL *ssl, struct str host, const char *host_z)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    struct ip ip;
    if (ip_parse(host, &ip)) {
        return X509_VERIFY_PARAM_set1_ip_asc(param, host_z);
    }
    SSL_set_hostflags(ssl,
                      X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    return SSL_set1_host(ssl, host_z) == 1 && SSL_set_tlsext_host_name(ssl, host_z) == 1;
}

int tls_connect(struct conn *c, struct origin_tls *o, struct str host, struct str alpn)
{
    SSL *ssl = SSL_new(o->ctx);
    if (ssl == NULL) {
        abort();
    }
    char *host_z = xstrndup(host.ptr, host.len);
    bool ok = set_identity(ssl, host, host_z) == 1 &&
              SSL_set_alpn_protos(ssl, (const unsigned char *)alpn.ptr, (unsigned)alpn.len) == 0 &&
              SSL_set_tlsext_status_type(ssl, TLSEXT_STATUSTYPE_ocsp) == 1;
    free(host_z);
    if (!ok) {
        SSL_free(ssl);
        ERR_clear_error();
        return ERR_NAME;
    }
    SSL_set_connect_state(ssl);
    struct worker *w = c->worker;
    SSL_SESSION *session = w->sessions != NULL
                               ? sessions_take(w->sessions, host, o->generation, worker_now_ms(w))
                               : NULL;
    if (session != NULL) {
        (void)SSL_set_session(ssl, session);
        SSL_SESSION_free(session);
    }
    struct tls *t = tls_new(c, ssl, host);
    struct client_hooks *hooks = xnew(struct client_hooks);
    hooks->generation = o->generation;
    t->hooks = hooks;
    return 0;
}

bool tls_asked_certificate(const struct tls *t)
{
    return ((const struct client_hooks *)t->hooks)->asked_certificate;
}

bool tls_resumed(const struct tls *t)
{
    return SSL_session_reused(t->ssl) == 1;
}
