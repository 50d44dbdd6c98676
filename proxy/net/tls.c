/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/net/tls.h"

#include "common/err.h"
#include "common/mem.h"

#include <openssl/err.h>

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>

/* Forward secrecy and AEAD, which every browser since 2015 has; those of TLS 1.3 all have both. */
#define TLS12_CIPHERS                                                                          \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:" \
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"

static BIO_METHOD *method;
static int ssl_index;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* The layer below takes everything, so writing never blocks; its queue is bounded by tls_seal()'s
 * limit. */
static int bio_write(BIO *bio, const char *data, size_t len, size_t *written)
{
    struct tls *t = BIO_get_data(bio);
    struct conn *c = t->conn;
    struct bytes *below = t->layer == 0 ? &c->out : &c->tls[t->layer - 1]->plain;
    bytes_append(below, data, len);
    conn_mark_dirty(c);
    BIO_clear_retry_flags(bio);
    *written = len;
    return 1;
}

static int bio_read(BIO *bio, char *out, size_t len, size_t *got)
{
    struct tls *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (t->in_len == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    *got = MIN(len, t->in_len);
    memcpy(out, t->in, *got);
    t->in += *got;
    t->in_len -= *got;
    return 1;
}

static long bio_ctrl(BIO *bio, int cmd, long arg, void *ptr)
{
    (void)bio;
    (void)arg;
    (void)ptr;
    return cmd == BIO_CTRL_FLUSH || cmd == BIO_CTRL_DUP;
}

static void set_up(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "photogate");
    ssl_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
    if (method == NULL || ssl_index < 0 || BIO_meth_set_write_ex(method, bio_write) != 1 ||
        BIO_meth_set_read_ex(method, bio_read) != 1 || BIO_meth_set_ctrl(method, bio_ctrl) != 1) {
        abort();
    }
}

struct tls *tls_of(const SSL *ssl)
{
    return SSL_get_ex_data(ssl, ssl_index);
}

void tls_set_up_context(SSL_CTX *ctx)
{
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_security_level(ctx, 2);
    if (SSL_CTX_set_cipher_list(ctx, TLS12_CIPHERS) != 1) {
        abort(); /* an OpenSSL without any of them */
    }
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(ctx, 0);
}

struct tls *tls_new(struct conn *c, SSL *ssl, struct str name)
{
    pthread_once(&once, set_up);
    struct tls *t = xnew(struct tls);
    BIO *bio = BIO_new(method);
    if (bio == NULL) {
        abort(); /* out of memory */
    }
    t->conn = c;
    t->ssl = ssl;
    t->client = !SSL_is_server(ssl);
    t->name = str_of(xstrndup(name.ptr, name.len), name.len);
    t->plain.pool = t->stash.pool = &c->worker->chunks;
    t->layer = c->tls[0] == NULL ? 0 : 1;
    assert(c->tls[t->layer] == NULL);
    c->tls[t->layer] = t;
    c->top = t;
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    if (SSL_set_ex_data(ssl, ssl_index, t) != 1) {
        abort();
    }
    if (t->client) {
        conn_mark_dirty(c);
    }
    return t;
}

void tls_free(struct tls *t)
{
    if (t == NULL) {
        return;
    }
    if (t->state == TLS_OPEN || t->state == TLS_ENDED) {
        /* Keep the session resumable although the peer may not have said goodbye. */
        SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    }
    if (t->drop != NULL) {
        t->drop(t);
    }
    SSL_free(t->ssl);
    bytes_free(&t->plain);
    bytes_free(&t->stash);
    free(t->hooks);
    free((char *)(uintptr_t)t->name.ptr);
    free(t);
}

void tls_explain(struct tls *t, const char *what)
{
    unsigned long err = ERR_get_error();
    const char *reason = err != 0 ? ERR_reason_error_string(err) : NULL;
    if (reason != NULL) {
        snprintf(t->detail, sizeof(t->detail), "%s: %s", what, reason);
    } else {
        snprintf(t->detail, sizeof(t->detail), "%s", what);
    }
    ERR_clear_error();
}

static void tell(struct tls *t, int err)
{
    struct conn *c = t->conn;
    if (!t->told && !c->closed && !c->linger) {
        t->told = true;
        c->ops->secured(c, err);
    }
}

static void fail(struct tls *t, int err, const char *what)
{
    bool before = t->state == TLS_HANDSHAKE || t->state == TLS_WAITING;
    t->state = TLS_FAILED;
    if (t->detail[0] == '\0') {
        tls_explain(t, what);
    }
    ERR_clear_error();
    if (before) {
        tell(t, err);
    } else if (t->conn->error == 0) {
        t->conn->error = err;
        conn_mark_dirty(t->conn);
    }
}

/* The verdict on the peer's certificate says more than "certificate verify failed". */
static void explain_verify(struct tls *t)
{
    long verdict = SSL_get_verify_result(t->ssl);
    if (t->client && verdict != X509_V_OK && t->detail[0] == '\0') {
        snprintf(t->detail, sizeof(t->detail), "%s", X509_verify_cert_error_string(verdict));
    }
}

static void shake_hands(struct tls *t)
{
    ERR_clear_error();
    int r = SSL_do_handshake(t->ssl);
    if (r == 1) {
        t->state = TLS_OPEN;
        tell(t, 0);
        return;
    }
    switch (SSL_get_error(t->ssl, r)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return;
    case SSL_ERROR_WANT_X509_LOOKUP:
        t->state = TLS_WAITING;
        conn_stop(t->conn, PAUSE_SECURE);
        return;
    default: {
        bool certificate = t->client && SSL_get_verify_result(t->ssl) != X509_V_OK;
        explain_verify(t);
        fail(t, certificate || t->detail[0] != '\0' ? ERR_CERT : ERR_TLS, "TLS handshake failed");
    }
    }
}

static void read_all(struct tls *t)
{
    struct conn *c = t->conn;
    uint8_t *slab = c->worker->slab[t->layer + 1];
    size_t have = 0;
    bool more = true;
    while (more && !c->closed) {
        size_t n = 0;
        ERR_clear_error();
        int r = SSL_read_ex(t->ssl, slab + have, SLAB_SIZE - have, &n);
        have += r == 1 ? n : 0;
        int why = r == 1 ? SSL_ERROR_NONE : SSL_get_error(t->ssl, r);
        more = r == 1;
        /* A record is at most 16 KiB: fill the slab with several before handing it up. */
        if (have > 0 && (!more || SLAB_SIZE - have < 16384)) {
            if (t->layer + 1 < 2 && c->tls[t->layer + 1] != NULL) {
                tls_feed(c->tls[t->layer + 1], slab, have);
            } else {
                conn_deliver(c, slab, have);
            }
            have = 0;
        }
        if (why == SSL_ERROR_ZERO_RETURN) {
            t->state = TLS_ENDED;
            tls_feed_eof(t);
        } else if (why != SSL_ERROR_NONE && why != SSL_ERROR_WANT_READ &&
                   why != SSL_ERROR_WANT_WRITE) {
            fail(t, ERR_TLS, "TLS record error");
        }
    }
}

void tls_feed(struct tls *t, const uint8_t *p, size_t len)
{
    struct conn *c = t->conn;
    if (t->state == TLS_WAITING) {
        bytes_append(&t->stash, p, len); /* what was read before the pause; at most one slab */
        return;
    }
    if (t->state == TLS_FAILED || t->state == TLS_ENDED) {
        return;
    }
    t->in = p;
    t->in_len = len;
    if (t->state == TLS_HANDSHAKE) {
        shake_hands(t);
    }
    if (t->state == TLS_OPEN && !c->closed) {
        read_all(t);
    }
    if (t->state == TLS_WAITING && t->in_len > 0) {
        bytes_append(&t->stash, t->in, t->in_len);
    }
    t->in = NULL;
    t->in_len = 0;
}

void tls_feed_eof(struct tls *t)
{
    struct conn *c = t->conn;
    if (t->state == TLS_HANDSHAKE || t->state == TLS_WAITING) {
        if (t->detail[0] == '\0') {
            snprintf(t->detail, sizeof(t->detail),
                     "the connection was closed during the TLS handshake");
        }
        fail(t, ERR_EOF, "");
    } else if (t->layer == 0 && c->tls[1] != NULL) {
        tls_feed_eof(c->tls[1]);
    } else {
        conn_deliver_eof(c);
    }
}

void tls_resume(struct tls *t)
{
    if (t->state != TLS_WAITING || t->conn->closed) {
        return;
    }
    struct conn *c = t->conn;
    t->state = TLS_HANDSHAKE;
    /* The stash is handed over in one piece: it is at most one slab, and rarely anything. */
    size_t len = t->stash.len;
    uint8_t *copy = len > 0 ? xmalloc(len) : NULL;
    bytes_copy(&t->stash, copy, len);
    bytes_drop(&t->stash, len);
    tls_feed(t, copy, len);
    free(copy);
    if (t->state != TLS_WAITING) {
        conn_go_on(c, PAUSE_SECURE);
    }
}

void tls_put(struct tls *t, const void *data, size_t len)
{
    bytes_append(&t->plain, data, len);
}

size_t tls_backlog(const struct tls *t)
{
    return t->plain.len;
}

void tls_drop_output(struct tls *t)
{
    bytes_free(&t->plain);
}

int tls_seal(struct tls *t, size_t below_max)
{
    struct conn *c = t->conn;
    struct bytes *below = t->layer == 0 ? &c->out : &c->tls[t->layer - 1]->plain;
    if (t->state == TLS_HANDSHAKE && t->client && SSL_in_before(t->ssl)) {
        shake_hands(t); /* the ClientHello */
    }
    if (t->state != TLS_OPEN && t->state != TLS_ENDED) {
        return 0; /* a handshake is under way, or the layer has failed and says so itself */
    }
    struct iovec iov;
    while (t->plain.len > 0 && below->len < below_max && bytes_peek(&t->plain, &iov, 1) == 1) {
        size_t n = 0;
        ERR_clear_error();
        int r = SSL_write_ex(t->ssl, iov.iov_base, iov.iov_len, &n);
        if (r != 1) {
            int why = SSL_get_error(t->ssl, r);
            if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
                return 0;
            }
            tls_explain(t, "TLS write failed");
            return ERR_TLS;
        }
        bytes_drop(&t->plain, n);
    }
    return 0;
}

void tls_close_notify(struct tls *t)
{
    if (!t->sent_notify && (t->state == TLS_OPEN || t->state == TLS_ENDED)) {
        t->sent_notify = true;
        ERR_clear_error();
        (void)SSL_shutdown(t->ssl);
        ERR_clear_error();
    }
}

struct str tls_alpn(const struct tls *t)
{
    const unsigned char *name;
    unsigned len;
    SSL_get0_alpn_selected(t->ssl, &name, &len);
    return str_of((const char *)name, len);
}
