/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The leaves one worker has at hand: by name, bounded, the longest unused goes first. A leaf that
 * nears its end is asked for anew while the old one goes on serving. One cache a worker, no locks.
 */
#ifndef CERTS_LEAFCACHE_H
#define CERTS_LEAFCACHE_H

#include "certs/leaf.h"
#include "certs/mint.h"

struct leafcache;

struct leafcache_conf {
    struct mint *mint;         /* where leaves come from; outlives the cache */
    const struct leafkey *key; /* outlives the cache */
    size_t max;                /* leaves kept; 0: 1000 */
    unsigned renew_before_s;   /* ask anew this long before the end; 0: 12 hours */
};

struct leaf {
    X509 *cert;
    EVP_PKEY *key;
};

struct leafcache *leafcache_new(const struct leafcache_conf *conf);
void leafcache_free(struct leafcache *lc);

/*
 * The leaf for `name` (any case). 0: `out` is filled; its pointers live until the next turn of the
 * worker's loop (SSL_use_certificate takes its own reference). ERR_AGAIN: one was asked for, and
 * the mint's callback will name `ctx`; put the result with leafcache_put() first, then ask again or
 * use what the callback has. ERR_NAME: not a DNS name. Else what mint_request() says. `now` is
 * wall-clock time, `now_ms` the worker's monotonic clock.
 */
int leafcache_get(struct leafcache *lc, struct str name, time_t now, uint64_t now_ms, void *ctx,
                  struct leaf *out) MUSTCHECK;

/* Keeps a reference to `cert` for `name`, in place of the one that was there. For the mint's
 * callback. */
void leafcache_put(struct leafcache *lc, struct str name, X509 *cert, time_t now);

/* Forgets all: the issuing CA is another one (mint_set_ca()). */
void leafcache_clear(struct leafcache *lc);

struct leafcache_stats {
    uint64_t hits, misses, renewals, evicted;
    size_t count;
};
struct leafcache_stats leafcache_stats(const struct leafcache *lc);

#endif
