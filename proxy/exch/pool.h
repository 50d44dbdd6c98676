/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verified connections to origins, kept for the next request. One pool a worker. A connection is
 * found by host, port, scheme and the egress (trust and configuration) it was made under, so that a
 * reload never hands out a connection that today's rules would not have made. One that has carried
 * a login which authenticates the connection itself (NTLM, Negotiate: RFC 4559, 6; a client
 * certificate) belongs to that one client for good.
 */
#ifndef PROXY_EXCH_POOL_H
#define PROXY_EXCH_POOL_H

#include "common/list.h"
#include "proxy/http/guard.h"
#include "proxy/net/dial.h"
#include "proxy/net/tls_client.h"

struct pool;
struct exch;

/*
 * How origins are reached under one configuration: counted, shared by the workers' snapshots and by
 * what they started.
 */
struct egress {
    struct dial_rules dial;
    struct origin_tls *tls;
    struct h1_limits limits; /* of responses */
    uint64_t secure_ms;      /* TLS handshake */
    uint64_t head_ms;        /* from the request's end to the response's head */
    uint64_t body_ms;        /* without a byte of the response's body */
    uint64_t send_ms;        /* without the origin taking a byte of the request */
    uint64_t idle_ms;        /* unused in the pool */
    uint64_t max_age_ms;     /* of a connection; then it is not used again */
    unsigned idle_max;       /* unused connections per origin and worker */
    unsigned conns_max;      /* connections per origin and worker; others wait */
    bool http2;              /* offer it */
    _Atomic unsigned refs;
    char *texts; /* strings of `dial` */
    void (*free)(struct egress *e);
};

struct egress *egress_ref(struct egress *e);
void egress_unref(struct egress *e); /* NULL is fine */

/* Which connection is wanted. `host` needs to live during the call only. */
struct origin_key {
    struct str host; /* lower case, or an address */
    unsigned port;
    bool tls;
    bool private_ok;  /* see dial_start() */
    bool bound_login; /* the request carries a login that is bound to the connection */
    bool h1_only;     /* by HTTP/1.1: an upgrade, a bound login, or the origin asks for it */
    bool fresh;       /* a new connection: one from the pool has just failed */
    uint64_t client;  /* whose own connections may be used; never 0 */
    struct egress *egress;
};

/* Embedded in whoever waits; zero it once. */
struct pool_wait {
    struct list link;
    struct ready now;
    struct exch *exch; /* wants a connection attached; NULL: wants to know only that the origin is
                          there and verifies */
    void (*told)(struct pool_wait *wait, int err,
                 const char *detail); /* without exch: called once, from the drain */
    struct origin *origin;            /* found, to be attached in the drain */
    struct pool_host *host;
    uint64_t client;
    bool bound_login, h1_only, fresh;
    uint64_t serial; /* the pool's newest connection when it began */
    int err;
    char detail[200];
    bool waiting;
};

struct pool *pool_new(struct worker *w);

/* Closes all connections; nobody may wait any more. */
void pool_free(struct pool *p);

/* Attaches a connection to wait->exch: exch_attached() or exch_origin_failed() comes, from the
 * drain. */
void pool_get(struct pool *p, struct pool_wait *wait, const struct origin_key *key);

/*
 * Tells when the origin is known to verify: at once when one of its connections is at hand or one
 * was made within the last POOL_FACT_MS, else after a connection, which stays in the pool.
 */
void pool_verify(struct pool *p, struct pool_wait *wait, const struct origin_key *key);
#define POOL_FACT_MS ((uint64_t)5 * 60 * 1000)

/* Does the origin speak HTTP/2, as far as is known? */
bool pool_speaks_h2(struct pool *p, const struct origin_key *key);

/* Waits no more. */
void pool_cancel(struct pool_wait *wait);

/* The client has gone: what was its own is closed. */
void pool_client_gone(struct pool *p, uint64_t client);

/* Closes idle connections of an egress that is no longer in use, after a reload. */
void pool_retire(struct pool *p, const struct egress *current);

struct pool_stats {
    uint64_t connects, reuses, failures;
    unsigned idle, busy;
};
struct pool_stats pool_stats(const struct pool *p);

#endif
