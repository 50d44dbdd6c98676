/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deadlines for many objects on one libuv timer: a wheel of slots, each a list. Setting and
 * clearing are O(1); pushing a deadline out, which happens on every read, is one store. Precise to
 * TIMER_TICK_MS, late rather than early.
 */
#ifndef PROXY_NET_TIMER_H
#define PROXY_NET_TIMER_H

#include "common/list.h"

#include <uv.h>

#include <stdint.h>

#define TIMER_TICK_MS 32
#define TIMER_SLOTS                                                                              \
    1024 /* the wheel turns once in 32.8 s; what lies further waits in its slot for another turn \
          */

/* Zero it once; then it may be set, cleared and set again. Lives in its owner, which clears it
 * before it goes. */
struct timer {
    struct list link;
    uint64_t deadline_ms; /* in worker time; 0 when not set */
    void (*fire)(struct timer *t);
};

struct timers {
    uv_timer_t uv;
    uint64_t now_tick;   /* slots up to this one have been fired */
    uint64_t armed_tick; /* when the libuv timer goes off; UINT64_MAX when it does not */
    uint64_t used[TIMER_SLOTS / 64];
    struct list slot[TIMER_SLOTS];
    void (*after)(struct timers *timers); /* once after each round of fire() */
};

int timers_init(struct timers *timers, uv_loop_t *loop, void (*after)(struct timers *timers));
void timers_close(struct timers *timers);

/* Calls `fire` once, `ms` from now, unless set again or cleared before. `fire` may set or clear any
 * timer. */
void timer_set(struct timers *timers, struct timer *t, uint64_t ms, void (*fire)(struct timer *t));
void timer_clear(struct timer *t);

static inline bool timer_is_set(const struct timer *t)
{
    return t->deadline_ms != 0;
}

#endif
