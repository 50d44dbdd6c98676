/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/2 towards a client: an exchange for each stream. A stream whose origin or reader is slow
 * holds up no other; one that does not move is reset, however busily its credit drips in.
 */
#ifndef PROXY_EXCH_CLIENT_H2_H
#define PROXY_EXCH_CLIENT_H2_H

#include "proxy/exch/client.h"

/* Bytes that a reader has to take of what waits for it, within write_ms. */
#define CLIENT_H2_LEAST 4096

/*
 * Takes over `c`, on which TLS has agreed on "h2", and starts reading. `conf` and `app` must live
 * until `gone`. `number` tells this client from others of the worker.
 */
struct client_end *client_h2_new(struct conn *c, uint64_t number, const struct client_conf *conf,
                                 const struct client_app *app, void *app_conn);

#endif
