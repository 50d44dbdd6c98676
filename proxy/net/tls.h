/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A layer of TLS on a connection, either role. OpenSSL works on our buffers through a BIO of our
 * own: ciphertext is read where libuv put it and written straight into the queue of the layer
 * below, which is half the memory of memory BIOs. Who verifies what is set up in tls_client.c and
 * tls_server.c; this moves bytes.
 */
#ifndef PROXY_NET_TLS_H
#define PROXY_NET_TLS_H

#include "common/bytes.h"
#include "common/str.h"
#include "proxy/net/conn.h"

#include <openssl/ssl.h>

enum tls_state {
    TLS_HANDSHAKE,
    TLS_WAITING, /* the handshake waits for tls_resume(): its certificate is being made */
    TLS_OPEN,
    TLS_ENDED, /* close_notify has come; we may still write */
    TLS_FAILED,
};

/* Owned by its connection. */
struct tls {
    enum tls_state state;
    bool told; /* `secured` has been called */
    bool sent_notify;
    bool client;
    unsigned layer;
    struct conn *conn;
    SSL *ssl;
    struct str name;   /* the host that this is about, lower case; ours to free */
    const uint8_t *in; /* ciphertext that the BIO may read now */
    size_t in_len;
    struct bytes plain; /* what waits to be sealed */
    struct bytes stash; /* ciphertext that came while TLS_WAITING */
    void *hooks;        /* tls_server.c, tls_client.c: what this connection's callbacks work with;
                           malloc'ed */
    void (*drop)(
        struct tls *t); /* called when the layer goes, before `hooks` is freed; may be NULL */
    char detail[200];   /* why it failed, for logs and answers; not escaped */
};

/*
 * Puts a layer for `ssl` (which it takes over, role already set) on top of `c`. The handshake
 * starts by itself: a client's at the next flush, a server's with the first bytes. `name` is
 * copied. The result comes as `secured`.
 */
struct tls *tls_new(struct conn *c, SSL *ssl, struct str name);
void tls_free(struct tls *t); /* NULL is fine */

/* The layer that an SSL object belongs to, for OpenSSL's callbacks. */
struct tls *tls_of(const SSL *ssl);

/* For conn.c. */
void tls_feed(struct tls *t, const uint8_t *p, size_t len);
void tls_feed_eof(struct tls *t);
void tls_put(struct tls *t, const void *data, size_t len);
size_t tls_backlog(const struct tls *t);
void tls_drop_output(struct tls *t);
int tls_seal(struct tls *t, size_t below_max) MUSTCHECK;
void tls_close_notify(struct tls *t);

/* Goes on with a handshake that waited. Call from a callback of the loop, before the drain. */
void tls_resume(struct tls *t);

/* Sets t->detail from OpenSSL's error queue, which it empties; `what` stands first. */
void tls_explain(struct tls *t, const char *what);

/* The ALPN name agreed on, empty when none was. */
struct str tls_alpn(const struct tls *t);

/* What both kinds of context have in common: versions, ciphers, modes that save memory, no
 * renegotiation or compression. */
void tls_set_up_context(SSL_CTX *ctx);

#endif
