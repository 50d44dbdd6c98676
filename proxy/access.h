/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients did, one JSON object a line. The access log has every request and tunnel, without
 * user names; the block log has refusals and bypasses, with who and why. Never bodies, tokens,
 * cookies or query strings. Both go through the log sink: a disk that does not keep up costs lines,
 * which are counted, and never a connection.
 */
#ifndef PROXY_ACCESS_H
#define PROXY_ACCESS_H

#include "proxy/app.h"

enum request_verdict {
    REQUEST_PASS,
    REQUEST_BLOCK,       /* answered here, by a rule */
    REQUEST_BYPASS,      /* a rule would refuse it, but an administrator asks */
    REQUEST_WOULD_BLOCK, /* the same, but the proxy only watches (mode = "monitor") */
    REQUEST_REFUSED,     /* by the proxy's own limits: a port, a denied address, a login */
};

/* What is known of a request for the logs. Strings live in the exchange's arena or longer. */
struct access_request {
    const struct client *client;
    const struct exch *ex;
    const char *scheme;
    struct str host;
    enum request_verdict verdict;
    const struct rule_info *rule; /* NULL with PASS and REFUSED */
    struct str evidence, bypass, user;
    const char *incident; /* NULL: none */
    const char *detail;   /* why it failed or was refused; NULL: nothing to say */
};

/* Writes the access line and, unless it passed, the block line. */
void access_request(struct app *app, const struct access_request *r);

struct access_tunnel {
    const struct client *client;
    const char *sni;    /* what the ClientHello named; NULL or empty: nothing */
    const char *result; /* "closed", or why it ended or was refused */
    uint64_t in, out;   /* bytes from the client, from the origin */
};

void access_tunnel(struct app *app, const struct access_tunnel *t);

/* An HTTP/2 connection that sent what no sound client sends. */
void access_oddities(struct app *app, const struct client *client, const struct client_oddities *o);

/* A connection that was opened but whose handshake with the client failed. */
void access_handshake(struct app *app, const struct client *client, const char *why);

#endif
