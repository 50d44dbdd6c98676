/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front door: who may come in, requests to the proxy itself, absolute-form requests, logins.
 * CONNECT goes on in connect.c.
 */
#ifndef PROXY_GATE_H
#define PROXY_GATE_H

#include "proxy/request.h"

/* For listen_start(): the owner of the listener is a struct door. */
void gate_accepted(struct listener *l, struct conn *c);

/* 407: a login is wanted, and why for the log. */
void gate_ask_for_login(struct request *r, const char *detail, const char *text);

/* connect.c: reads where a CONNECT wants to go; false when it was answered as malformed. */
bool connect_target(struct request *r);

/* connect.c: a CONNECT whose client may use the proxy. */
void connect_request(struct request *r);

/* local.c: a request for the proxy's own pages. */
void local_request(struct request *r);

/* local.c: does the request name this proxy, by its public name or an address it listens on? */
bool local_is_own(const struct request *r);

/* local.c: the PAC file for clients of this door who reached us at `ip`; `ip` may be NULL. */
void local_pac(struct buf *out, const struct snapshot *s, unsigned door, const struct ip *ip);

/* inspect.c: the requests inside an intercepted connection. */
extern const struct client_app inspect_app;

/* What an HTTP/2 connection was like goes to the log. */
void gate_odd(void *app_conn, const struct client_oddities *o);

/* The app of a connection's requests is over: `app_conn` is the client. */
void gate_gone(void *app_conn);

#endif
