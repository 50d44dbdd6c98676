/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/body.h"

#include "common/mem.h"

#include <stdlib.h>
#include <sys/uio.h>

/* Bytes of one body that are read on the loop: some hundred microseconds at most. */
#define ON_LOOP ((size_t)64 << 10)

/* Owned by its request; while a thread reads, by that: the request may go meanwhile. */
struct body {
    struct request *r; /* NULL: it has gone */
    struct app *app;
    struct hold *hold;  /* the rules that judge */
    struct arena arena; /* of what is judged: the exchange's may go */
    struct filter_request asked;
    struct filters_body *judge;
    struct verdict v;
    void (*settled)(struct request *r, const struct verdict *v);
    size_t seen;    /* bytes that the judge was given */
    size_t counted; /* against the budgets */
    bool ended;     /* the judge was told of the end */

    bool busy;
    uv_work_t work;
    struct iovec *piece; /* what the thread reads; the bytes are in the exchange's queue, */
    size_t pieces;
    bool last;         /* and the end */
    struct bytes left; /* or here, when the exchange has gone */
};

/* ---- budgets ---- */

/* False when they are spent. */
static bool count(struct body *b, size_t now)
{
    struct client *c = b->r->client;
    size_t more = now - b->counted;
    if (c->body_held + more > BODY_CLIENT_MAX || b->app->body_held + more > BODY_WORKER_MAX) {
        return false;
    }
    c->body_held += more;
    b->app->body_held += more;
    b->counted = now;
    return true;
}

static void uncount(struct body *b)
{
    b->app->body_held -= b->counted;
    if (b->r != NULL) {
        b->r->client->body_held -= b->counted;
    }
    b->counted = 0;
}

/* ---- */

static void discard(struct body *b)
{
    filters_body_free(b->judge);
    hold_unref(b->hold);
    bytes_free(&b->left);
    arena_free(&b->arena);
    free(b->piece);
    free(b);
}

static void settle(struct body *b, const struct verdict *v)
{
    struct request *r = b->r;
    uncount(b);
    r->body = NULL;
    b->settled(r, v);
    discard(b);
}

/* Points b->piece at what is held and not seen yet. */
static void list_pieces(struct body *b, const struct bytes *held)
{
    size_t max = held->len / 1024 + 16;
    b->piece = xrealloc(b->piece, max * sizeof(*b->piece));
    size_t all = bytes_peek(held, b->piece, max), skip = b->seen, first = 0;
    while (first < all && skip >= b->piece[first].iov_len) {
        skip -= b->piece[first++].iov_len;
    }
    b->pieces = all - first;
    memmove(b->piece, b->piece + first, b->pieces * sizeof(*b->piece));
    if (b->pieces > 0) {
        b->piece[0].iov_base = (char *)b->piece[0].iov_base + skip;
        b->piece[0].iov_len -= skip;
    }
}

/* May run on any thread. */
static void read_pieces(struct body *b)
{
    for (size_t i = 0; i < b->pieces && b->v.kind == VERDICT_NEED_BODY; i++) {
        b->v = filters_body_feed(b->judge, str_of(b->piece[i].iov_base, b->piece[i].iov_len));
    }
    if (b->last && b->v.kind == VERDICT_NEED_BODY) {
        b->v = filters_body_end(b->judge);
    }
}

static void step(struct body *b);

static void on_thread(uv_work_t *work)
{
    read_pieces(work->data);
}

static void on_thread_done(uv_work_t *work, int status)
{
    struct body *b = work->data;
    struct worker *w = &b->app->worker;
    (void)status; /* it is never canceled */
    b->busy = false;
    if (b->r == NULL) {
        uncount(b);
        discard(b);
    } else {
        exch_pause(b->r->ex, false);
        step(b);
    }
    worker_drain(w);
}

/* Shows the judge what is new, and acts on what it says. */
static void step(struct body *b)
{
    struct exch *ex = b->r->ex;
    while (b->v.kind == VERDICT_NEED_BODY) {
        if (ex->held.len == b->seen && (b->ended || !ex->req_ended)) {
            return;
        }
        bool on_loop = ex->held.len <= ON_LOOP;
        list_pieces(b, &ex->held);
        b->last = b->ended = ex->req_ended;
        b->seen = ex->held.len;
        if (on_loop) {
            read_pieces(b);
            continue;
        }
        b->work.data = b;
        b->busy = uv_queue_work(&b->app->worker.loop, &b->work, on_thread, on_thread_done) == 0;
        if (b->busy) {
            exch_pause(ex, true);
            return;
        }
        read_pieces(b); /* no thread to be had */
    }
    settle(b, &b->v);
}

void body_more(struct exch *ex)
{
    struct body *b = request_of(ex)->body;
    if (!count(b, ex->held.len)) {
        struct request *r = b->r;
        void (*settled)(struct request * r, const struct verdict *v) = b->settled;
        body_cancel(r);
        settled(r, NULL);
    } else if (!b->busy) {
        step(b);
    }
}

static struct str copy(struct body *b, struct str s)
{
    return arena_str(&b->arena, s);
}

static struct filter_request copy_request(struct body *b, const struct filter_request *from)
{
    struct filter_request to = *from;
    struct filter_field *fields = arena_alloc(&b->arena, from->fields * sizeof(*fields));
    for (unsigned i = 0; i < from->fields; i++) {
        fields[i].name = copy(b, from->field[i].name);
        fields[i].value = copy(b, from->field[i].value);
    }
    to.method = copy(b, from->method);
    to.scheme = copy(b, from->scheme);
    to.authority = copy(b, from->authority);
    to.target = copy(b, from->target);
    to.connect = copy(b, from->connect);
    to.sni = copy(b, from->sni);
    to.field = fields;
    return to;
}

void body_begin(struct request *r, const struct filter_request *asked, const struct actor *who,
                void (*settled)(struct request *r, const struct verdict *v))
{
    struct body *b = xnew(struct body);
    b->r = r;
    b->app = r->client->app;
    b->hold = hold_ref(r->hold);
    b->settled = settled;
    b->v.kind = VERDICT_NEED_BODY;
    b->left.pool = &b->app->worker.chunks;
    b->asked = copy_request(b, asked);
    struct actor actor = *who;
    actor.user = copy(b, who->user);
    b->judge = filters_body_new(b->hold->snapshot->filters, &b->asked, &actor, &b->arena);
    r->body = b;
    exch_hold(r->ex);
}

void body_cancel(struct request *r)
{
    struct body *b = r->body;
    if (b == NULL) {
        return;
    }
    r->body = NULL;
    if (b->busy) { /* the thread reads on: keep what it reads */
        r->client->body_held -= b->counted;
        bytes_move(&b->left, &r->ex->held);
        b->r = NULL;
    } else {
        uncount(b);
        discard(b);
    }
}
