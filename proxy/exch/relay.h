/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes from one connection to another and back, unread: a blind tunnel, or what follows a 101.
 * Each side may stop sending on its own (half-close); a side that does not read stops the other
 * from being read.
 */
#ifndef PROXY_EXCH_RELAY_H
#define PROXY_EXCH_RELAY_H

#include "common/bytes.h"
#include "proxy/net/conn.h"

struct relay;

struct relay_end {
    uint64_t from_client, from_origin; /* bytes */
    int err;                           /* 0: both sides ended well */
};

/*
 * Takes over both connections. `to_origin` and `to_client` are bytes read already, sent first and
 * then freed. `done` is called once, from the drain; both connections are gone by then. `idle_ms`
 * without a byte either way ends it, as does `half_ms` after one side has ended.
 */
struct relay *relay_start(struct conn *client, struct conn *origin, struct bytes *to_origin,
                          struct str to_client, uint64_t idle_ms, uint64_t half_ms,
                          void (*done)(void *ctx, const struct relay_end *end), void *ctx);

/* Ends it now; `done` is called. */
void relay_close(struct relay *r);

#endif
