/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this floor knows of one exchange (ex->app_data), and the parts of struct exch_app that are
 * the same whatever the request is for.
 */
#ifndef PROXY_REQUEST_H
#define PROXY_REQUEST_H

#include "proxy/access.h"
#include "proxy/answer.h"

/* In the exchange's arena. Whatever is under way is let go of in request_done(). */
struct request {
    struct exch *ex;
    struct client *client;
    struct hold *hold; /* the snapshot that judges it */
    const char *scheme;
    struct str host; /* canonical: lower case, no trailing dot, no brackets */
    unsigned port;
    bool inspected; /* `host` is on the inspect list */

    struct auth_ask *ask;
    struct str login;                    /* the user whose password is being checked */
    void (*admitted)(struct request *r); /* called once the login is settled */
    struct body *body;                   /* being judged */
    struct pool_wait verify;
    struct dial *dial;

    enum request_verdict verdict;
    const struct rule_info *rule;
    struct str evidence, bypass, user;
    struct incident incident;
    const char *detail;
};

struct request *request_new(struct exch *ex);
struct request *request_of(const struct exch *ex);
const struct conf *request_conf(const struct request *r);

/*
 * Lower case, one trailing dot dropped, into the arena. False when it has letters that no host name
 * or address has.
 */
bool request_set_host(struct request *r, struct str host, unsigned port);

/* Refused by the proxy itself. `proxy_error` is a name of RFC 9209, 2.3. */
void request_refuse(struct request *r, unsigned status, const char *proxy_error, const char *what);

/*
 * Judges the request in ex->req by the rules, as a request to r->host, and either answers it or
 * sends it on its way to r->host:r->port; at once, or when enough of its body is there.
 */
void request_judge(struct request *r);

/* For struct exch_app. */
void request_response(struct exch *ex);
void request_bad(struct exch *ex, unsigned status, const char *why);
void request_gateway(struct exch *ex, int err, const char *detail);
void request_done(struct exch *ex);

#endif
