/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/net/timer.h"

static void on_timer(uv_timer_t *uv);

int timers_init(struct timers *timers, uv_loop_t *loop, void (*after)(struct timers *timers))
{
    *timers = (struct timers){.after = after, .armed_tick = UINT64_MAX};
    for (unsigned i = 0; i < TIMER_SLOTS; i++) {
        list_init(&timers->slot[i]);
    }
    timers->now_tick = uv_now(loop) / TIMER_TICK_MS;
    timers->uv.data = timers;
    return uv_timer_init(loop, &timers->uv);
}

void timers_close(struct timers *timers)
{
    uv_close((uv_handle_t *)&timers->uv, NULL);
}

/* Ticks from `from` to the next slot with something in it, TIMER_SLOTS when all are empty. */
static unsigned next_used(const struct timers *timers, uint64_t from)
{
    for (unsigned ahead = 0; ahead < TIMER_SLOTS;) {
        unsigned slot = (unsigned)((from + ahead) % TIMER_SLOTS);
        uint64_t bits = timers->used[slot / 64] >> (slot % 64);
        if (bits != 0) {
            return ahead + (unsigned)__builtin_ctzll(bits);
        }
        ahead += 64 - slot % 64;
    }
    return TIMER_SLOTS;
}

static void arm(struct timers *timers, uint64_t tick)
{
    if (tick >= timers->armed_tick) {
        return;
    }
    uint64_t now = uv_now(timers->uv.loop), at = tick * TIMER_TICK_MS;
    timers->armed_tick = tick;
    (void)uv_timer_start(&timers->uv, on_timer, at > now ? at - now : 0,
                         0); /* fails only without a callback */
}

static void put(struct timers *timers, struct timer *t)
{
    /* Rounded up: a timer never fires early, and never in a slot that has been fired. */
    uint64_t tick = (t->deadline_ms + TIMER_TICK_MS - 1) / TIMER_TICK_MS;
    if (tick <= timers->now_tick) {
        tick = timers->now_tick + 1;
    }
    unsigned slot = (unsigned)(tick % TIMER_SLOTS);
    list_append(&timers->slot[slot], &t->link);
    timers->used[slot / 64] |= 1ull << (slot % 64);
    uint64_t horizon = timers->now_tick + TIMER_SLOTS - 1;
    arm(timers, tick < horizon ? tick : horizon);
}

void timer_set(struct timers *timers, struct timer *t, uint64_t ms, void (*fire)(struct timer *t))
{
    uint64_t deadline = uv_now(timers->uv.loop) + ms;
    bool later = t->deadline_ms != 0 && deadline >= t->deadline_ms;
    t->fire = fire;
    t->deadline_ms = deadline;
    if (later) {
        return; /* its slot comes first and finds the new deadline */
    }
    if (t->link.next != NULL) {
        list_drop(&t->link);
    }
    put(timers, t);
}

void timer_clear(struct timer *t)
{
    if (t->deadline_ms != 0) {
        t->deadline_ms = 0;
        list_drop(&t->link);
    }
}

static void on_timer(uv_timer_t *uv)
{
    struct timers *timers = uv->data;
    uint64_t now = uv_now(uv->loop), tick = now / TIMER_TICK_MS;
    struct list due;
    list_init(&due);
    timers->armed_tick = UINT64_MAX;
    if (tick - timers->now_tick >= TIMER_SLOTS) {
        timers->now_tick = tick - TIMER_SLOTS; /* asleep for more than a turn: each slot once */
    }
    while (timers->now_tick < tick) {
        unsigned slot = (unsigned)(++timers->now_tick % TIMER_SLOTS);
        list_move(&due, &timers->slot[slot]);
        timers->used[slot / 64] &= ~(1ull << (slot % 64));
    }
    while (!list_is_empty(&due)) {
        struct timer *t = LIST_OF(due.next, struct timer, link);
        list_drop(&t->link);
        if (t->deadline_ms > now) {
            put(timers, t);
        } else {
            t->deadline_ms = 0;
            t->fire(t);
        }
    }
    unsigned ahead = next_used(timers, timers->now_tick + 1);
    if (ahead < TIMER_SLOTS) {
        arm(timers, timers->now_tick + 1 + ahead);
    }
    timers->after(timers);
}
