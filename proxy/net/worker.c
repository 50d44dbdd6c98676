/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/net/worker.h"

#include "common/mem.h"
#include "proxy/net/conn.h"

#include <stdlib.h>

#define CHUNKS_KEPT 64 /* spare chunks a worker holds on to: 1 MiB */

static void on_timers_fired(struct timers *timers)
{
    worker_drain(CONTAINER_OF(timers, struct worker, timers));
}

int worker_init(struct worker *w, unsigned index)
{
    *w = (struct worker){.index = index, .chunks = {.spare_max = CHUNKS_KEPT}};
    int err = uv_loop_init(&w->loop);
    if (err != 0) {
        return err;
    }
    w->loop.data = w;
    for (size_t i = 0; i < ARRAY_LEN(w->slab); i++) {
        w->slab[i] = xmalloc(SLAB_SIZE);
    }
    list_init(&w->ready);
    list_init(&w->dirty);
    list_init(&w->dying);
    list_init(&w->lingering);
    list_init(&w->graves);
    return timers_init(&w->timers, &w->loop, on_timers_fired);
}

void worker_close(struct worker *w)
{
    worker_drain(w);
    timers_close(&w->timers);
    (void)uv_run(&w->loop, UV_RUN_DEFAULT); /* ends when the last handle has closed */
    worker_drain(w);
    (void)uv_loop_close(&w->loop);
    for (size_t i = 0; i < ARRAY_LEN(w->slab); i++) {
        free(w->slab[i]);
    }
    bytes_pool_free(&w->chunks);
}

void worker_ready(struct worker *w, struct ready *r, void (*run)(struct ready *r))
{
    if (r->link.next == NULL) {
        list_init(&r->link);
    }
    r->run = run;
    if (list_is_empty(&r->link)) {
        list_append(&w->ready, &r->link);
    }
}

void worker_not_ready(struct ready *r)
{
    if (r->link.next != NULL) {
        list_drop(&r->link);
    }
}

void worker_bury(struct worker *w, struct grave *g, void (*bury)(struct grave *g))
{
    g->bury = bury;
    list_append(&w->graves, &g->link);
}

void worker_end_lingering(struct worker *w)
{
    while (!list_is_empty(&w->lingering)) {
        conn_close(conn_of_dying(w->lingering.next));
    }
}

void worker_drain(struct worker *w)
{
    if (w->draining) {
        return;
    }
    w->draining = true;
    while (!list_is_empty(&w->ready) || !list_is_empty(&w->dirty)) {
        while (!list_is_empty(&w->ready)) {
            struct ready *r = LIST_OF(w->ready.next, struct ready, link);
            list_drop(&r->link);
            r->run(r);
        }
        /* Flushing may make things ready (room, failures) and those may make connections dirty
         * again. */
        struct list now;
        list_init(&now);
        list_move(&now, &w->dirty);
        while (!list_is_empty(&now)) {
            conn_flush(conn_of_dirty(now.next));
        }
    }
    while (!list_is_empty(&w->dying)) {
        conn_destroy(conn_of_dying(w->dying.next));
    }
    while (!list_is_empty(&w->graves)) {
        struct grave *g = LIST_OF(w->graves.next, struct grave, link);
        list_drop(&g->link);
        g->bury(g);
    }
    w->draining = false;
}
