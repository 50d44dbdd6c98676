/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 towards a client: requests one after the other on one connection, plain or inside TLS.
 * What the client sends ahead waits, bounded, until its turn comes.
 *
 *   IDLE --first byte--> READING --head--> BUSY --both directions through--> IDLE
 *   any --end, fault, time-out--> CLOSING
 */
#ifndef PROXY_EXCH_CLIENT_H1_H
#define PROXY_EXCH_CLIENT_H1_H

#include "proxy/exch/exch.h"
#include "proxy/http/h1.h"

struct client_h1;

struct client_h1_conf {
    struct h1_limits limits;
    uint64_t idle_ms;  /* between requests */
    uint64_t head_ms;  /* for a request's head, from its first byte */
    uint64_t body_ms;  /* without a byte of the request's body while we want it */
    uint64_t write_ms; /* without the client taking a byte of what we have for it; looked at once in
                          this time */
};

/* What the app is told of the connection as such. */
struct client_h1_app {
    struct exch_app exch;
    void (*gone)(void *app_conn); /* the connection is over; the last call for it */
};

/*
 * Takes over `c` and starts reading. `first` are bytes read already. `conf` and `app` must live
 * until `gone`. `number` tells this client from others of the worker, also across protocols and
 * after TLS.
 */
struct client_h1 *client_h1_new(struct conn *c, uint64_t number, const struct client_h1_conf *conf,
                                const struct client_h1_app *app, void *app_conn, struct str first);

/*
 * For CONNECT, later than the app's request(): gives the connection away, unread bytes behind the
 * head in `rest` (which must be empty, with its pool set). The exchange is freed (its done() is
 * called); `gone` is not called.
 */
struct conn *client_h1_take(struct exch *ex, struct bytes *rest);

/* The connection under an exchange; borrowed. */
struct conn *client_h1_conn(const struct exch *ex);

/*
 * No further request: after the one under way (or at once, when there is none) the connection is
 * closed. One that has not carried any yet may still carry one, if it comes soon.
 */
void client_h1_drain(struct client_h1 *h);

/* Closes at once. */
void client_h1_close(struct client_h1 *h);

#endif
