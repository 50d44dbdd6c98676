/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 towards a client: requests one after the other on one connection, plain or inside TLS.
 * What the client sends ahead waits, bounded, until its turn comes.
 *
 *   IDLE --first byte--> READING --head--> BUSY --both directions through--> IDLE
 *   any --end, fault, time-out--> CLOSING
 */
#ifndef PROXY_EXCH_CLIENT_H1_H
#define PROXY_EXCH_CLIENT_H1_H

#include "proxy/exch/client.h"
#include "proxy/http/h1.h"

/*
 * Takes over `c` and starts reading. `first` are bytes read already. `conf` and `app` must live
 * until `gone`. `number` tells this client from others of the worker, also across protocols and
 * after TLS.
 */
struct client_end *client_h1_new(struct conn *c, uint64_t number, const struct client_conf *conf,
                                 const struct client_app *app, void *app_conn, struct str first);

/*
 * For CONNECT, later than the app's request(): gives the connection away, unread bytes behind the
 * head in `rest` (which must be empty, with its pool set). The exchange is freed (its done() is
 * called); `gone` is not called.
 */
struct conn *client_h1_take(struct exch *ex, struct bytes *rest);

/* The connection under an exchange; borrowed. */
struct conn *client_h1_conn(const struct exch *ex);

#endif
