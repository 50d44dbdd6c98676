/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker: one thread with its own loop, listeners, pools and caches. Nothing in it is shared with
 * another thread but what says so.
 *
 * The order of things. A libuv callback finds its object, notes what happened and calls
 * worker_drain() last. The drain runs the ready list, then flushes what connections have to send
 * (so that all that one turn produced leaves in one write), then closes what is dying. Nothing is
 * freed before the drain's end, so no object disappears under whoever is using it; and no call down
 * a floor calls back up before it returns.
 */
#ifndef PROXY_NET_WORKER_H
#define PROXY_NET_WORKER_H

#include "common/bytes.h"
#include "common/list.h"
#include "proxy/net/timer.h"

#include <uv.h>

#define SLAB_SIZE ((size_t)65536)

/* Something to be done in the drain. Zero it once. */
struct ready {
    struct list link;
    void (*run)(struct ready *r);
};

/* Memory that is given back at the end of the drain. */
struct grave {
    struct list link;
    void (*bury)(struct grave *g);
};

struct dns;
struct logring;
struct origin_tls;

struct worker {
    uv_loop_t loop;
    unsigned index;
    struct bytes_pool chunks;
    uint8_t *slab[3]; /* SLAB_SIZE each: what a read brings, and what each of up to two TLS layers
                         opens */
    struct timers timers;
    struct list ready;     /* struct ready */
    struct list dirty;     /* struct conn with something to send */
    struct list dying;     /* struct conn to close */
    struct list lingering; /* struct conn that have no owner any more and close by themselves */
    struct list graves;    /* struct grave */
    bool draining;
    unsigned conns; /* not freed yet */
    struct dns *dns;
    struct sessions *sessions; /* TLS sessions with origins */
    void *app;                 /* the proxy's part of the worker */
};

/* Initialises the loop and what the net floor needs. -errno. */
int worker_init(struct worker *w, unsigned index) MUSTCHECK;

/* Runs the drain once more, closes what is left and frees everything; all connections must be
 * closed. */
void worker_close(struct worker *w);

/* Queues `r` for this drain (or the next, when none runs). Twice is once. */
void worker_ready(struct worker *w, struct ready *r, void (*run)(struct ready *r));

/* Takes `r` off the list, if it is on it. */
void worker_not_ready(struct ready *r);

void worker_bury(struct worker *w, struct grave *g, void (*bury)(struct grave *g));

/* Closes the connections that linger. */
void worker_end_lingering(struct worker *w);

/* The last statement of every libuv callback. */
void worker_drain(struct worker *w);

static inline uint64_t worker_now_ms(const struct worker *w)
{
    return uv_now(&w->loop);
}

#endif
