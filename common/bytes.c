/* SPDX-License-Identifier: Apache-2.0 */
#include "common/bytes.h"

#include "common/cc.h"
#include "common/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

struct bytes_chunk {
    struct bytes_chunk *next;
    uint32_t from, to; /* unread bytes are data[from..to) */
    uint8_t data[BYTES_CHUNK];
};

static struct bytes_chunk *chunk_get(struct bytes_pool *pool)
{
    struct bytes_chunk *c = pool->spare;
    if (c != NULL) {
        pool->spare = c->next;
        pool->spare_count--;
    } else {
        c = xmalloc(sizeof(*c));
    }
    c->next = NULL;
    c->from = c->to = 0;
    return c;
}

static void chunk_put(struct bytes_pool *pool, struct bytes_chunk *c)
{
    if (pool->spare_count >= pool->spare_max) {
        free(c);
        return;
    }
    c->next = pool->spare;
    pool->spare = c;
    pool->spare_count++;
}

static struct bytes_chunk *chunk_add(struct bytes *q)
{
    struct bytes_chunk *c = chunk_get(q->pool);
    if (q->tail != NULL) {
        q->tail->next = c;
    } else {
        q->head = c;
    }
    q->tail = c;
    return c;
}

void bytes_append(struct bytes *q, const void *data, size_t len)
{
    const uint8_t *src = data;
    q->len += len;
    while (len > 0) {
        struct bytes_chunk *c = q->tail;
        if (c == NULL || c->to == BYTES_CHUNK) {
            c = chunk_add(q);
        }
        size_t n = MIN(len, (size_t)(BYTES_CHUNK - c->to));
        memcpy(c->data + c->to, src, n);
        c->to += (uint32_t)n;
        src += n;
        len -= n;
    }
}

uint8_t *bytes_reserve(struct bytes *q, size_t len)
{
    assert(len <= BYTES_CHUNK);
    struct bytes_chunk *c = q->tail;
    if (c == NULL || BYTES_CHUNK - c->to < len) {
        c = chunk_add(q);
    }
    return c->data + c->to;
}

void bytes_commit(struct bytes *q, size_t len)
{
    assert(q->tail != NULL && BYTES_CHUNK - q->tail->to >= len);
    q->tail->to += (uint32_t)len;
    q->len += len;
}

size_t bytes_peek(const struct bytes *q, struct iovec *iov, size_t max)
{
    size_t n = 0;
    for (struct bytes_chunk *c = q->head; c != NULL && n < max; c = c->next) {
        if (c->to > c->from) {
            iov[n++] = (struct iovec){c->data + c->from, c->to - c->from};
        }
    }
    return n;
}

size_t bytes_copy(const struct bytes *q, void *out, size_t max)
{
    uint8_t *to = out;
    size_t done = 0;
    for (const struct bytes_chunk *c = q->head; c != NULL && done < max; c = c->next) {
        size_t n = MIN((size_t)(c->to - c->from), max - done);
        memcpy(to + done, c->data + c->from, n);
        done += n;
    }
    return done;
}

void bytes_drop(struct bytes *q, size_t n)
{
    assert(n <= q->len);
    q->len -= n;
    while (q->head != NULL) {
        struct bytes_chunk *c = q->head;
        size_t have = c->to - c->from;
        if (n < have) {
            c->from += (uint32_t)n;
            return;
        }
        n -= have;
        q->head = c->next;
        if (q->head == NULL) {
            q->tail = NULL;
        }
        chunk_put(q->pool, c);
    }
    assert(n == 0);
}

void bytes_move(struct bytes *to, struct bytes *from)
{
    assert(to->pool == from->pool);
    if (from->head == NULL) {
        return;
    }
    if (to->tail != NULL) {
        to->tail->next = from->head;
    } else {
        to->head = from->head;
    }
    to->tail = from->tail;
    to->len += from->len;
    from->head = from->tail = NULL;
    from->len = 0;
}

void bytes_free(struct bytes *q)
{
    bytes_drop(q, q->len);
}

void bytes_pool_free(struct bytes_pool *pool)
{
    while (pool->spare != NULL) {
        struct bytes_chunk *c = pool->spare;
        pool->spare = c->next;
        free(c);
    }
    pool->spare_count = 0;
}
