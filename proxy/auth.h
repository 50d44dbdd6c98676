/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Basic proxy authentication (RFC 7617). Hashing a password takes milliseconds by design, so it
 * happens on threads of its own, which share nothing with libuv's; what has been verified is
 * remembered for a while under a keyed digest.
 */
#ifndef PROXY_AUTH_H
#define PROXY_AUTH_H

#include "proxy/htpasswd.h"
#include "proxy/net/worker.h"

struct auth;      /* of the process: the threads */
struct auth_port; /* of a worker */
struct auth_ask;  /* one question under way */

struct auth *auth_start(unsigned threads);
void auth_stop(struct auth *a); /* all ports must be closed */

/* -errno. */
int auth_port_open(struct auth *a, struct worker *w, struct auth_port **out) MUSTCHECK;

/* Questions under way are not answered. Frees the port in a later turn of the loop. */
void auth_port_close(struct auth_port *p);

/*
 * Splits the value of Proxy-Authorization. `buf` receives the decoded text that the views point
 * into. False when it is not Basic or malformed.
 */
bool auth_parse_basic(struct str value, struct buf *buf, struct str *user, struct str *password);

enum auth_answer {
    AUTH_YES,
    AUTH_NO,
    AUTH_BUSY, /* too many are being checked already */
};

/*
 * Asks whether `user` has this password in `h`. `done` is called once, from the drain, never before
 * this returns. Strings are copied. Then, or after auth_cancel(), the ask is gone.
 */
struct auth_ask *auth_check(struct auth_port *p, const struct htpasswd *h, struct str user,
                            struct str password, void (*done)(void *ctx, enum auth_answer answer),
                            void *ctx);
void auth_cancel(struct auth_ask *ask);

#endif
