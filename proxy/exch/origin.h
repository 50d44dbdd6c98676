/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection to an origin, between the pool, which makes and keeps it, and the codec that uses it
 * (origin_h1.c).
 *
 *   DIALING --> SECURING --> IDLE <--> BUSY --> CLOSED     (without TLS: DIALING --> IDLE)
 */
#ifndef PROXY_EXCH_ORIGIN_H
#define PROXY_EXCH_ORIGIN_H

#include "proxy/exch/exch.h"
#include "proxy/http/h1.h"
#include "proxy/net/conn.h"

enum origin_state {
    ORIGIN_DIALING,
    ORIGIN_SECURING,
    ORIGIN_IDLE,
    ORIGIN_BUSY,
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
    bool old;         /* has been idle or used: the other side may have closed it unseen */
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
};

/* The codec takes over an idle or fresh connection for `ex` and calls exch_attached(). */
void origin_h1_attach(struct origin *o, struct exch *ex);

/* For the codec: `o` is free again (or not: `reusable`). */
void origin_release(struct origin *o, bool reusable);

/* From now on only `client` may use the connection: it is authenticated as him. */
void origin_claim(struct origin *o, uint64_t client);

/* For an upgrade: the connection leaves the pool for good and is the caller's. */
struct conn *origin_take_conn(struct origin *o);

#endif
