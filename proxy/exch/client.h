/* SPDX-License-Identifier: Apache-2.0 */
/* What the two kinds of client end, HTTP/1.1 and HTTP/2, have in common towards whoever starts
 * them. */
#ifndef PROXY_EXCH_CLIENT_H
#define PROXY_EXCH_CLIENT_H

#include "proxy/exch/exch.h"
#include "proxy/http/h2.h"

struct client_conf {
    struct h1_limits limits; /* of heads */
    struct h2_limits h2;
    uint64_t idle_ms;  /* between requests */
    uint64_t head_ms;  /* for a request's head, from its first byte */
    uint64_t body_ms;  /* without a byte of the request's body while we want it */
    uint64_t write_ms; /* without the client taking a byte of what we have for it; looked at once in
                          this time. HTTP/2: without it taking CLIENT_H2_LEAST of a stream */
};

/* What an HTTP/2 connection was like, for the log; HTTP/1.1 ends at its first fault. */
struct client_oddities {
    unsigned glitches;      /* what no sound client does */
    unsigned aborted_heads; /* requests that are in no other line of the log */
    const char *fault;      /* it ended because of this; may be NULL */
};

/* What the app is told of the connection as such. */
struct client_app {
    struct exch_app exch;
    void (*odd)(void *app_conn, const struct client_oddities *o); /* HTTP/2: before gone() */
    void (*gone)(void *app_conn); /* the connection is over; the last call for it */
};

/* The connection's end of either kind. */
struct client_end {
    /*
     * No further request: after those under way (or at once, when there are none) the connection is
     * closed. One that has not carried any yet may still carry one, if it comes soon.
     */
    void (*drain)(struct client_end *end);
    /* Closes at once. */
    void (*close)(struct client_end *end);
};

#endif
