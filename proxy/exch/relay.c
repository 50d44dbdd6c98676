/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/exch/relay.h"

#include "common/err.h"
#include "common/mem.h"

#include <stdlib.h>
#include <sys/uio.h>

struct relay {
    struct conn *client, *origin;
    uint64_t idle_ms, half_ms;
    void (*done)(void *ctx, const struct relay_end *end);
    void *ctx;
    bool over;
    uint64_t before_client, before_origin; /* bytes_in when it began */
    struct grave grave;
};

static void bury(struct grave *g)
{
    free(CONTAINER_OF(g, struct relay, grave));
}

static void close_unless_lingering(struct conn *c)
{
    if (!c->linger) {
        conn_close(c);
    }
}

static void end(struct relay *r, int err)
{
    if (r->over) {
        return;
    }
    r->over = true;
    struct relay_end told = {
        .from_client = r->client->bytes_in - r->before_client,
        .from_origin = r->origin->bytes_in - r->before_origin,
        .err = err,
    };
    close_unless_lingering(r->client);
    close_unless_lingering(r->origin);
    worker_bury(r->client->worker, &r->grave, bury);
    r->done(r->ctx, &told);
}

static struct conn *other(const struct relay *r, const struct conn *c)
{
    return c == r->client ? r->origin : r->client;
}

static void on_silence(struct timer *t);

/* One timer, the client connection's, for both. */
static void watch(struct relay *r)
{
    bool half = r->client->eof || r->origin->eof;
    timer_set(&r->client->worker->timers, &r->client->timer, half ? r->half_ms : r->idle_ms,
              on_silence);
}

static bool is_slow(struct conn *c)
{
    return conn_backlog(c) > 0 && conn_has_taken(c);
}

static void on_silence(struct timer *t)
{
    struct relay *r = CONTAINER_OF(t, struct conn, timer)->owner;
    if (is_slow(r->client) || is_slow(r->origin)) {
        watch(r);
    } else {
        end(r, ERR_TIMEOUT);
    }
}

static void on_data(struct conn *c, const uint8_t *p, size_t len)
{
    struct relay *r = c->owner;
    struct conn *to = other(r, c);
    conn_write_now(to, p, len);
    if (conn_is_full(to)) {
        conn_stop(c, PAUSE_NO_ROOM);
    }
    watch(r);
}

static void on_eof(struct conn *c)
{
    struct relay *r = c->owner;
    conn_finish(other(r, c));
    timer_clear(&r->client->timer);
    watch(r);
}

static void on_finished(struct conn *c)
{
    struct relay *r = c->owner;
    if (r->client->eof && r->origin->eof && r->client->finished && r->origin->finished) {
        end(r, 0);
    }
}

static void on_room(struct conn *c)
{
    struct relay *r = c->owner;
    conn_go_on(other(r, c), PAUSE_NO_ROOM);
    watch(r);
}

static void on_failed(struct conn *c, int err)
{
    struct relay *r = c->owner;
    conn_break_off(other(r, c), r->half_ms);
    end(r, err);
}

static const struct conn_ops ops = {
    .data = on_data, .eof = on_eof, .room = on_room, .finished = on_finished, .failed = on_failed};

struct relay *relay_start(struct conn *client, struct conn *origin, struct bytes *to_origin,
                          struct str to_client, uint64_t idle_ms, uint64_t half_ms,
                          void (*done)(void *ctx, const struct relay_end *end), void *ctx)
{
    struct relay *r = xnew(struct relay);
    *r = (struct relay){.client = client,
                        .origin = origin,
                        .idle_ms = idle_ms,
                        .half_ms = half_ms,
                        .done = done,
                        .ctx = ctx};
    r->before_client = client->bytes_in - to_origin->len;
    r->before_origin = origin->bytes_in - to_client.len;
    conn_own(client, &ops, r);
    conn_own(origin, &ops, r);
    while (to_origin->len > 0) {
        struct iovec iov;
        bytes_peek(to_origin, &iov, 1);
        conn_write(origin, iov.iov_base, iov.iov_len);
        bytes_drop(to_origin, iov.iov_len);
    }
    conn_write(client, to_client.ptr, to_client.len);
    client->pause = origin->pause = 0;
    if (client->eof) {
        conn_finish(origin);
    }
    if (origin->eof) {
        conn_finish(client);
    }
    conn_read(client);
    conn_read(origin);
    watch(r);
    return r;
}

void relay_close(struct relay *r)
{
    end(r, ERR_CANCELED);
}
