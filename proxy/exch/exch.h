/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An exchange: one request and its response on their way through the proxy. It stands between two
 * ends that each speak some version of HTTP and know nothing of each other: the client end turns
 * what a browser sends into calls of the exch_req_… functions and writes what the exchange tells it
 * to; the origin end does the same towards Microsoft. Between them the exchange holds what has to
 * wait, and asks the proxy (struct exch_app) what is to become of it.
 *
 *   client end  --exch_req_head/body/end-->  exchange  --origin_ops-->  origin end
 *   client end  <--------client_ops--------  exchange  <--exch_res_head/body/end--  origin end
 *
 * No function here calls its caller back before it returns.
 */
#ifndef PROXY_EXCH_EXCH_H
#define PROXY_EXCH_EXCH_H

#include "common/bytes.h"
#include "proxy/exch/pool.h"
#include "proxy/http/msg.h"
#include "proxy/net/worker.h"

struct exch;
struct conn;

/* What the exchange tells the client's end. All take everything; nothing is answered before the
 * drain. */
struct client_ops {
    unsigned version;              /* 11, 20 */
    void (*head)(struct exch *ex); /* write ex->res: a 1xx, or the final one */
    void (*body)(struct exch *ex, const void *data, size_t len);
    void (*end)(struct exch *ex, const struct trailers *t); /* t may be NULL */
    void (*abort)(struct exch *ex); /* the response breaks off: make that visible to the client */
    void (*pause)(struct exch *ex, bool stop); /* no more of the request body for now, or go on */
    bool (*is_full)(struct exch *ex);  /* asked behind body(); if so exch_client_room() comes */
    void (*finished)(struct exch *ex); /* the exchange is over, from the ready list; free it */
};

/* What the exchange tells the origin's end, a struct origin attached by origin_attach(). */
struct origin_ops {
    bool may_refuse; /* it may tell that a request was not looked at: exch_origin_refused() */
    void (*head)(struct exch *ex); /* write ex->req */
    void (*body)(struct exch *ex, const void *data, size_t len);
    void (*end)(struct exch *ex, const struct trailers *t);
    void (*pause)(struct exch *ex, bool stop); /* no more of the response for now, or go on */
    bool (*is_full)(struct exch *ex);      /* asked behind body(); if so exch_origin_room() comes */
    struct conn *(*take)(struct exch *ex); /* gives the connection away for good */
    void (*detach)(struct exch *ex); /* the exchange wants no more of it; it knows whether it may be
                                        used again */
};

/* The proxy's own part: what becomes of a request. */
struct exch_app {
    /*
     * The request's head is there. Calls exch_forward() or exch_answer(), now or later, or takes
     * the client's connection over (CONNECT).
     */
    void (*request)(struct exch *ex);
    /*
     * After exch_hold(): more of the body lies in ex->held, or ex->req_ended. May call
     * exch_forward() or exch_answer().
     */
    void (*held)(struct exch *ex);
    /* A final response's head is about to go to the client; its fields may be changed. */
    void (*response)(struct exch *ex);
    /*
     * A 101 came, is valid and went to the client: take both connections, the origin's first
     * (exch_take_origin(), the client end's take). `rest` are the origin's bytes behind it.
     */
    void (*upgraded)(struct exch *ex, struct str rest);
    /* What the client sent cannot be read: make the answer (ex->res), the connection ends behind
     * it. */
    void (*bad_request)(struct exch *ex, unsigned status, const char *why);
    /* No origin could be had, or it broke off before a response: make the answer. */
    void (*bad_gateway)(struct exch *ex, int err, const char *detail);
    /* Over, in whatever way: write the log line, let go of app_data. */
    void (*done)(struct exch *ex);
};

enum exch_outcome {
    EXCH_OPEN,
    EXCH_COMPLETE,     /* the whole response went to the client's end */
    EXCH_CLIENT_GONE,  /* the client went before that */
    EXCH_ORIGIN_BROKE, /* the origin broke off in the middle of its response */
    EXCH_TIMED_OUT,
};

/* Owned by its client end. Strings of both messages lie in `arena`. */
struct exch {
    struct worker *worker;
    struct arena arena;
    struct msg req, res;

    const struct client_ops *client;
    void *client_end;
    const struct origin_ops *origin; /* NULL while none is attached */
    void *origin_end;

    const struct exch_app *app;
    void *app_conn; /* the app's, per client connection */
    void *app_data; /* the app's, per exchange */

    uint64_t number;       /* of the client's connection in its worker, never 0 */
    struct pool_wait wait; /* while a connection is awaited */
    struct timer timer;    /* the same */
    struct pool *pool;     /* set by exch_forward(), with the key, for a second try */
    struct origin_key key;
    struct bytes held; /* request body that has to wait */
    struct bytes kept; /* and what of it went to an origin that may yet refuse it */
    struct trailers req_trailers;

    bool decided : 1;     /* forwarded or answered */
    bool holding : 1;     /* undecided, and the app is told of the body: exch_hold() */
    bool forwarding : 1;  /* to an origin: waiting for one, or attached */
    bool req_ended : 1;   /* all of the request is here */
    bool req_sent : 1;    /* and has been given to the origin's end */
    bool res_started : 1; /* a final head went to the client */
    bool res_ended : 1;
    bool retried : 1;
    bool body_given : 1; /* some of the body went to an origin: it is not in `held` */
    bool body_gone : 1;  /* and not in `kept` either: it cannot be sent again */
    bool finished : 1;
    bool interim : 1;      /* a 1xx went to the client */
    bool reused : 1;       /* the connection of its origin is not a fresh one */
    bool got_bytes : 1;    /* some of a response came from it */
    bool close_client : 1; /* the client's connection must not go on behind this exchange */
    bool unprocessed : 1;  /* the origin has said that it did nothing with the request */

    enum exch_outcome outcome;
    struct ready ready;
    struct grave grave;
    uint64_t started_ns, answered_ns; /* head complete; final response head sent */
    uint64_t req_bytes, res_bytes;    /* of the bodies */
    unsigned
        origin_number; /* how many exchanges its origin connection had seen before, for the log */
};

/* Made by a client end when the first byte of a request arrives. */
struct exch *exch_new(struct worker *w, const struct client_ops *client, void *client_end,
                      uint64_t number, const struct exch_app *app, void *app_conn);

/* For the client's end, when `finished` came or the client has gone: let go of everything, at the
 * end of the drain. */
void exch_free(struct exch *ex);

/* From the client's end. */
void exch_req_head(struct exch *ex); /* ex->req is complete */
void exch_req_body(struct exch *ex, const void *data, size_t len);
void exch_req_end(struct exch *ex, const struct trailers *t);
void exch_req_fault(struct exch *ex, unsigned status,
                    const char *why); /* the rest cannot be read */
void exch_client_room(struct exch *ex);
void exch_client_gone(struct exch *ex); /* no `finished` follows; exch_free() next */

/* The client sends no body before the origin has said 100: the origin's end watches the clock (RFC
 * 9110, 10.1.1). */
bool exch_awaits_100(const struct exch *ex);

/* From the origin's end. */
/* `served`: how many exchanges the connection had before; `reused`: it had been idle or used, and
 * may have been closed by the origin since. */
void exch_attached(struct exch *ex, const struct origin_ops *ops, void *end, unsigned served,
                   bool reused);
void exch_res_head(
    struct exch *ex); /* ex->res is complete; a 1xx is relayed, the final one starts the response */
void exch_res_body(struct exch *ex, const void *data, size_t len);
void exch_res_end(struct exch *ex, const struct trailers *t);
void exch_res_upgrade(struct exch *ex,
                      struct str rest); /* ex->res is a 101 to a request that asked for one */
void exch_origin_room(struct exch *ex);
void exch_res_bytes(struct exch *ex); /* bytes of a response have come, readable or not */
void exch_origin_failed(struct exch *ex, int err, const char *detail); /* detached by this */
/* The same, and the origin has not looked at the request (RFC 9113, 8.7): whatever it is, it may be
 * sent again. `h1`: but by HTTP/1.1 (HTTP_1_1_REQUIRED). */
void exch_origin_refused(struct exch *ex, bool h1);

/* From the app, in request() or any time later. */

/*
 * The app wants to see the body before it decides: held() tells of it. A client that waits for 100
 * (Continue) gets it from here.
 */
void exch_hold(struct exch *ex);
/* While holding: no more of the body for now, or go on. */
void exch_pause(struct exch *ex, bool stop);

/* Sends the request to an origin of `key`. `ex->req` must have its final form. */
void exch_forward(struct exch *ex, struct pool *pool, const struct origin_key *key);

/*
 * Answers from here: ex->res holds status, reason and fields, `body` (copied) all of the body. What
 * is still to come of the request is read and dropped.
 */
void exch_answer(struct exch *ex, struct str body);

/* In upgraded(): the origin's connection, which leaves the pool. */
struct conn *exch_take_origin(struct exch *ex);

/* Gives up at once with what time-outs have in common; a response that has begun breaks off. */
void exch_time_out(struct exch *ex, int err, const char *detail);

#endif
