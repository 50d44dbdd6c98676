/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker's leaf certificates, in its loop: the cache, and the way to the signer behind it. A
 * handshake whose leaf is not there waits here; it goes on when the signer has answered, or fails
 * when it does not.
 */
#ifndef PROXY_NET_LEAVES_H
#define PROXY_NET_LEAVES_H

#include "certs/leafcache.h"
#include "proxy/net/worker.h"

struct leaves;
struct tls;

struct leaves_conf {
    int fd;                    /* the worker's end of the signer's channel; not closed */
    struct ca *ca;             /* takes a reference */
    const struct leafkey *key; /* outlives it */
    /* The issuing CA's CRL in DER, each time it was asked for: from the drain. NULL data: the
     * signer had none. */
    void (*on_crl)(void *ctx, struct str der);
    void *ctx;
};

/* -errno. */
int leaves_new(struct worker *w, const struct leaves_conf *conf, struct leaves **out) MUSTCHECK;

/* No handshake may wait any more. Freed in a later turn of the loop. */
void leaves_free(struct leaves *l);

/*
 * The leaf for `name` and, in *chain, what is sent behind it; the pointers are good until the
 * loop's next turn. ERR_AGAIN: tls_leaf_arrived() will be called for `waiter`, unless
 * leaves_cancel() comes first.
 */
int leaves_get(struct leaves *l, struct str name, struct tls *waiter, struct leaf *out,
               STACK_OF(X509) * *chain) MUSTCHECK;
void leaves_cancel(struct leaves *l, struct tls *waiter);

void leaves_ask_crl(struct leaves *l);

/* From now on leaves are to be of `ca`, as the signer of today makes them; the old ones are
 * forgotten. */
void leaves_set_ca(struct leaves *l, struct ca *ca);

#endif
