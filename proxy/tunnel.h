/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that pass unread: CONNECT to a host that is not inspected, and what follows a 101. The
 * first bytes of a tunnel are looked at all the same (peek.h).
 */
#ifndef PROXY_TUNNEL_H
#define PROXY_TUNNEL_H

#include "proxy/app.h"

struct tunnel;

/* Takes over both connections; the client is freed when the tunnel ends. `rest` is what came behind
 * CONNECT. */
void tunnel_start(struct client *c, struct conn *origin, struct bytes *rest);

/* The same for an exchange whose 101 has gone to the client: no look at the first bytes. */
void tunnel_upgraded(struct exch *ex, struct str rest);

void tunnel_close(struct tunnel *t);

/* Is a CONNECT of this client to `host`:`port` opened or refused under `s`, rather than
 * tunnelled? */
bool tunnel_forbidden(const struct snapshot *s, const struct client *c, struct str host,
                      unsigned port);

/* After a reload: would the tunnel not be made under `s`? */
bool tunnel_must_end(const struct tunnel *t, const struct snapshot *s);

#define INSPECTED_PORT 443

#endif
