/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A queue of bytes made of equal chunks: where data waits when the other side is slower. It only
 * counts; the marks that stop a reader belong to whoever owns the queue. Empty chunks go back to a
 * pool, one a worker.
 */
#ifndef COMMON_BYTES_H
#define COMMON_BYTES_H

#include <stddef.h>
#include <stdint.h>

/* One full TLS record: 2^14 of plaintext (RFC 8446, 5.1), or the same sealed (header, content type,
 * tag; TLS 1.2 adds an explicit nonce), fits in a chunk, so sealing a chunk and queueing the record
 * never splits either. */
#define BYTES_CHUNK (16384 + 64)

struct bytes_chunk;
struct iovec; /* <sys/uio.h> */

/* Chunks to reuse. Belongs to one thread. A zeroed pool keeps none. */
struct bytes_pool {
    struct bytes_chunk *spare;
    size_t spare_count;
    size_t spare_max; /* those beyond go back to the system */
};

/* A zeroed queue with `pool` set is empty and ready. Owns its chunks. */
struct bytes {
    struct bytes_pool *pool;
    struct bytes_chunk *head, *tail;
    size_t len; /* bytes that can be taken */
};

/* Copies `len` bytes to the end. */
void bytes_append(struct bytes *q, const void *data, size_t len);

/*
 * Room at the end for at least `len` <= BYTES_CHUNK contiguous bytes; write there, then
 * bytes_commit() what was written. Nothing is queued until then. Valid until the next call on `q`.
 */
uint8_t *bytes_reserve(struct bytes *q, size_t len);
void bytes_commit(struct bytes *q, size_t len);

/*
 * Points iov[0..max) at the oldest bytes without taking them; returns how many were filled.
 * They stay where they are until bytes_drop() or bytes_free(); appending does not move them.
 */
size_t bytes_peek(const struct bytes *q, struct iovec *iov, size_t max);

/* Copies up to `max` of the oldest bytes to `out` without taking them; returns how many. */
size_t bytes_copy(const struct bytes *q, void *out, size_t max);

/* Takes `n` <= q->len bytes off the front. */
void bytes_drop(struct bytes *q, size_t n);

/* Moves all of `from` to the end of `to` (same pool) without copying. */
void bytes_move(struct bytes *to, struct bytes *from);

void bytes_free(struct bytes *q);
void bytes_pool_free(struct bytes_pool *pool);

#endif
