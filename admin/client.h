/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls to Exchange and Graph: signed in, a bounded number at once, writes at a measured pace,
 * tried again where that cannot do harm. One thread; libcurl's multi interface.
 *
 * A read is tried again after time-outs, resets and 5xx. A write is tried again only when it surely
 * was not done (429, 401, no connection); else it ends with ERR_UNSURE, and whoever asked reads the
 * state back before anything else.
 */
#ifndef ADMIN_CLIENT_H
#define ADMIN_CLIENT_H

#include "admin/answer.h"
#include "admin/conf.h"
#include "admin/token.h"

#include <time.h>

struct client;

/* Made and freed by whoever asks; it must stay until it is done. */
struct call {
    enum api api;
    const char *method; /* static */
    const char *cmdlet; /* static; NULL for Graph */
    struct buf path;    /* from "/" on; the host is the API's */
    struct buf body;    /* JSON, or empty */
    bool write;
    void (*done)(struct call *c); /* may add calls */
    void *arg;

    /* The result. 0, or ERR_DENIED (401, 403), -ENOENT (404), ERR_UNSURE, ERR_PROTOCOL (another
     * 4xx, or an answer over the bound), ERR_TIMEOUT (tried often enough), ERR_CANCELED. */
    int err;
    int status; /* of the last answer; 0 without one */
    struct buf answer, why;

    struct call_state {
        struct call *next;
        unsigned tries, hops, renewals;
        uint64_t not_before_ms;
        void *easy, *headers;
        uint64_t retry_after_ms; /* UINT64_MAX: none given */
        bool budget_empty;       /* Rate-Limit-Remaining is 0 */
        time_t budget_from;      /* Rate-Limit-Reset; 0: none given */
        struct buf location;
        bool too_large;
    } s;
};

struct client_counts {
    uint64_t calls, reads, writes, retries, throttled;
    uint64_t waited_ms; /* because a service said so */
    unsigned tokens;
};

/* NULL with the fault in `d`. The conf must outlive it. */
struct client *client_new(const struct conf *conf, struct diag *d);
void client_free(struct client *cl);

const struct conf *client_conf(const struct client *cl);

/* Takes the call; its `done` is called from within client_run(). */
void client_add(struct client *cl, struct call *c);

/* Runs until no call is left. */
void client_run(struct client *cl);

/* One call, done when this returns; its result, c->err. Not from within a `done`. */
int client_do(struct client *cl, struct call *c);

/* Calls that have not been sent yet end with ERR_CANCELED from now on. May be called from a signal
 * handler. */
void client_stop(void);
bool client_stopped(void);

const struct client_counts *client_counts(struct client *cl);
struct tokens *client_tokens(struct client *cl);

/* Frees what the call holds, not the call itself; it is then ready for another use. */
void call_free(struct call *c);

#endif
