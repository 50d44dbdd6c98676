/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names to addresses, by c-ares in the worker's own loop: a name server that does not answer holds
 * up nobody else. A and AAAA are asked apart, so that the slower one cannot delay the faster.
 * Answers are kept for their TTL.
 */
#ifndef PROXY_NET_DNS_H
#define PROXY_NET_DNS_H

#include "common/ip.h"
#include "proxy/net/worker.h"

enum {
    DNS_ADDRESSES_MAX = 16
}; /* of each family */

struct dns_conf {
    const char *servers; /* "127.0.0.1:53,[::1]:53,…"; NULL or empty: the system's */
    unsigned timeout_ms; /* of one try */
};

struct dns_answer {
    int err; /* 0; ERR_DNS: no such name, no address, or a fault of the server; ERR_DNS_TIMEOUT */
    const char *why; /* with err: for people, static */
    unsigned count;
    struct ip ip[DNS_ADDRESSES_MAX];
};

struct dns_lookup;

/* -errno. */
int dns_new(struct worker *w, const struct dns_conf *conf, struct dns **out) MUSTCHECK;

/* All lookups must be canceled. */
void dns_free(struct dns *d);

/* Takes other servers from now on and forgets what was learnt; what is being asked is asked anew.
 */
void dns_configure(struct dns *d, const struct dns_conf *conf);

/*
 * Looks up the addresses of `family` (AF_INET or AF_INET6) for `name`. `done` is called once from
 * the drain, never before this returns; after that, or after dns_cancel(), the lookup is gone.
 * `name` is copied.
 */
struct dns_lookup *dns_look_up(struct dns *d, struct str name, int family,
                               void (*done)(void *ctx, const struct dns_answer *answer), void *ctx);
void dns_cancel(struct dns_lookup *l);

#endif
