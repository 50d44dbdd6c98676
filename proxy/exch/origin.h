/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection to an origin, between the pool, which makes and keeps it, and the codec that uses it
 * (origin_h1.c, origin_h2.c).
 *
 *   DIALING --> SECURING --> IDLE <--> BUSY --> CLOSED     (without TLS: DIALING --> IDLE)
 *                   `--h2--> SHARED ----------> CLOSED
 */
#ifndef PROXY_EXCH_ORIGIN_H
#define PROXY_EXCH_ORIGIN_H

#include "proxy/exch/exch.h"
#include "proxy/http/budget.h"
#include "proxy/http/h1.h"
#include "proxy/http/h2.h"
#include "proxy/net/conn.h"

enum origin_state {
    ORIGIN_DIALING,
    ORIGIN_SECURING,
    ORIGIN_IDLE,
    ORIGIN_BUSY,
    ORIGIN_SHARED, /* HTTP/2: any number of exchanges, also none */
    ORIGIN_CLOSED
};

/* Made and freed by the pool. */
struct origin {
    enum origin_state state;
    struct pool_host *host;
    struct egress *egress;
    struct dial *dial;          /* DIALING */
    struct pool_wait *promised; /* who gets it in this drain (BUSY, no exchange yet) */
    struct conn *conn;
    uint64_t client; /* whose alone it is; 0: anybody's */
    uint64_t born_ms;
    unsigned served;  /* exchanges so far */
    uint64_t serial;  /* counts the pool's connections */
    bool old;         /* has been idle or used: the other side may have closed it unseen */
    bool h1_only;     /* made for what HTTP/2 cannot do: upgrades, bound logins */
    struct list link; /* in its host's idle or busy list */
    struct grave grave;

    /* BUSY */
    struct exch *exch;
    struct h1 parser;
    bool started; /* the request's head is written */
    bool req_done;
    bool res_done;
    bool reusable;    /* as far as seen */
    bool chunked;     /* the request's body is */
    unsigned interim; /* 1xx heads */

    /* SHARED */
    struct h2 *h2;
    struct h2_limits h2_limits;
    struct list calls; /* of origin_h2.c */
    struct list given; /* struct pool_wait: get a stream in this drain */
    unsigned given_count;
    struct budget cancels;
    struct ready ready;
    bool leaving; /* no new streams */
};

/* The codec takes over an idle or fresh connection for `ex` and calls exch_attached(). */
void origin_h1_attach(struct origin *o, struct exch *ex);

/* HTTP/2: the codec takes over a fresh connection, on which there may be `streams` at once until it
 * says otherwise; then each exchange. */
void origin_h2_start(struct origin *o, unsigned streams);
void origin_h2_attach(struct origin *o, struct exch *ex);
/* Streams that can be begun now. */
unsigned origin_h2_free(const struct origin *o);

/* For origin_h2.c: a stream has ended; the connection is gone, and nobody is on it any more; the
 * origin takes some requests by HTTP/1.1 only. */
void origin_freed(struct origin *o);
void origin_lost(struct origin *o);
void origin_speaks_h1_only(struct origin *o);

/* For the codec: `o` is free again (or not: `reusable`). */
void origin_release(struct origin *o, bool reusable);

/* From now on only `client` may use the connection: it is authenticated as him. */
void origin_claim(struct origin *o, uint64_t client);

/* For an upgrade: the connection leaves the pool for good and is the caller's. */
struct conn *origin_take_conn(struct origin *o);

#endif
