/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/net/tls_server.h"

#include "common/err.h"
#include "common/mem.h"
#include "proxy/net/hello.h"

#include <openssl/err.h>

#include <stdio.h>
#include <stdlib.h>

/* What a connection's callbacks work with. */
struct server_hooks {
    struct server_tls *server;
    struct str alpn;
    enum sni_rule rule;
    int leaf_err; /* why there is no leaf */
};

static struct server_hooks *hooks_of(const struct tls *t)
{
    return t->hooks;
}

/* Before anything else of the hello is looked at: is this the host that was asked for? */
static int on_client_hello(SSL *ssl, int *alert, void *arg)
{
    (void)arg;
    struct tls *t = tls_of(ssl);
    const unsigned char *ext;
    size_t len;
    char sni[256] = "";
    if (hooks_of(t)->rule == SNI_ANY) {
        return SSL_CLIENT_HELLO_SUCCESS;
    }
    bool there = SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &ext, &len) == 1;
    if (there && !hello_server_name(str_of((const char *)ext, len), sni)) {
        snprintf(t->detail, sizeof(t->detail), "the ClientHello's server name is malformed");
    } else if (sni[0] == '\0') {
        snprintf(t->detail, sizeof(t->detail), "the ClientHello names no server (no SNI)");
    } else if (!str_eq(str_z(sni), t->name)) {
        snprintf(t->detail, sizeof(t->detail),
                 "the ClientHello names another server than CONNECT did: %.120s", sni);
    } else {
        return SSL_CLIENT_HELLO_SUCCESS;
    }
    *alert = SSL_AD_UNRECOGNIZED_NAME;
    return SSL_CLIENT_HELLO_ERROR;
}

/* 1: go on, 0: fail, -1: wait (SSL_ERROR_WANT_X509_LOOKUP). Not called when a session is resumed.
 */
static int on_need_certificate(SSL *ssl, void *arg)
{
    (void)arg;
    struct tls *t = tls_of(ssl);
    struct server_hooks *hooks = hooks_of(t);
    struct leaf leaf;
    STACK_OF(X509) * chain;
    int err = hooks->leaf_err;
    if (err == 0) {
        err = leaves_get(hooks->server->leaves, t->name, t, &leaf, &chain);
    }
    if (err == ERR_AGAIN) {
        return -1;
    }
    if (err != 0) {
        snprintf(t->detail, sizeof(t->detail), "no certificate for this host: %s", err_str(err));
        return 0;
    }
    /* The chain goes with the leaf and not with the context: a reload may have changed the CA since
     * this connection began. */
    return SSL_use_certificate(ssl, leaf.cert) == 1 && SSL_use_PrivateKey(ssl, leaf.key) == 1 &&
           SSL_set1_chain(ssl, chain) == 1;
}

static int on_select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                          const unsigned char *in, unsigned in_len, void *arg)
{
    (void)arg;
    struct str ours = hooks_of(tls_of(ssl))->alpn;
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, out_len, (const unsigned char *)ours.ptr, (unsigned)ours.len,
                              in, in_len) != OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL; /* no_application_protocol (RFC 7301, 3.2) */
    }
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static int on_make_ticket(SSL *ssl, void *arg)
{
    (void)arg;
    const struct tls *t = tls_of(ssl);
    return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), t->name.ptr, t->name.len);
}

static SSL_TICKET_RETURN on_open_ticket(SSL *ssl, SSL_SESSION *session,
                                        const unsigned char *keyname, size_t keyname_len,
                                        SSL_TICKET_STATUS status, void *arg)
{
    (void)keyname;
    (void)keyname_len;
    (void)arg;
    const struct tls *t = tls_of(ssl);
    void *data = NULL;
    size_t len = 0;
    switch (status) {
    case SSL_TICKET_SUCCESS:
    case SSL_TICKET_SUCCESS_RENEW:
        if (SSL_SESSION_get0_ticket_appdata(session, &data, &len) == 1 &&
            str_eq(str_of(data, len), t->name)) {
            return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE
                                                : SSL_TICKET_RETURN_USE_RENEW;
        }
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    default:
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    }
}

struct server_tls *server_tls_new(struct leaves *leaves, const uint8_t tickets[TICKET_KEY_SIZE])
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    uint8_t keys[TICKET_KEY_SIZE];
    if (ctx == NULL) {
        abort();
    }
    tls_set_up_context(ctx);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_num_tickets(ctx, 1);
    memcpy(keys, tickets, sizeof(keys));
    bool ok = SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"photogate", 9) == 1 &&
              SSL_CTX_set_tlsext_ticket_keys(ctx, keys, sizeof(keys)) == 1 &&
              SSL_CTX_set_session_ticket_cb(ctx, on_make_ticket, on_open_ticket, NULL) == 1;
    if (!ok) {
        abort(); /* out of memory */
    }
    OPENSSL_cleanse(keys, sizeof(keys));
    SSL_CTX_set_client_hello_cb(ctx, on_client_hello, NULL);
    SSL_CTX_set_cert_cb(ctx, on_need_certificate, NULL);
    SSL_CTX_set_alpn_select_cb(ctx, on_select_alpn, NULL);
    struct server_tls *s = xnew(struct server_tls);
    *s = (struct server_tls){.ctx = ctx, .leaves = leaves, .refs = 1};
    return s;
}

void server_tls_unref(struct server_tls *s)
{
    if (s != NULL && --s->refs == 0) {
        SSL_CTX_free(s->ctx);
        free(s);
    }
}

static void on_drop(struct tls *t)
{
    struct server_tls *s = hooks_of(t)->server;
    leaves_cancel(s->leaves, t);
    server_tls_unref(s);
}

void tls_accept(struct conn *c, struct server_tls *s, struct str name, struct str alpn,
                enum sni_rule rule)
{
    SSL *ssl = SSL_new(s->ctx);
    if (ssl == NULL) {
        abort();
    }
    SSL_set_accept_state(ssl);
    struct tls *t = tls_new(c, ssl, name);
    struct server_hooks *hooks = xnew(struct server_hooks);
    *hooks = (struct server_hooks){.server = s, .alpn = alpn, .rule = rule};
    t->hooks = hooks;
    t->drop = on_drop;
    s->refs++;
}

void tls_leaf_arrived(void *ctx, int err)
{
    struct tls *t = ctx;
    hooks_of(t)->leaf_err = err;
    tls_resume(t);
}
