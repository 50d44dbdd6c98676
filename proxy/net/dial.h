/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a host and a port to a connected socket: overrides, name lookup, the guard against forbidden
 * targets, happy eyeballs (RFC 8305). The guard looks at the address that is really connected to,
 * so a name that resolves to something else the second time gains nothing.
 */
#ifndef PROXY_NET_DIAL_H
#define PROXY_NET_DIAL_H

#include "common/ip.h"
#include "proxy/net/conn.h"

/* `host:port` goes to `to:to_port`, as curl's --connect-to; an empty host or port 0 stands for any.
 */
struct dial_override {
    struct str host; /* lower case */
    unsigned port;
    struct str to; /* a name or an address; empty: the same host */
    unsigned to_port;
};

/* Where connections may go. Immutable; the owner outlives every dial that was started with it. */
struct dial_rules {
    struct ip_nets allow; /* special addresses that are allowed all the same */
    struct ip_nets deny;
    const struct dial_override *override;
    size_t override_count;
    struct {
        struct ip ip;
        unsigned port;
    } * self; /* our own listeners; an unspecified address stands for all of this machine */
    size_t self_count;
    uint64_t timeout_ms; /* for the whole of it */
};

struct dial;

/* What came of it. */
struct dial_result {
    int err; /* 0; ERR_DNS, ERR_DNS_TIMEOUT, ERR_TIMEOUT, ERR_DENIED or -errno of the last attempt
              */
    struct conn *conn; /* connected, unowned, not reading; the receiver's */
    char detail[120];  /* on failure, for people: "10.0.0.5 is private" */
};

/*
 * `private_ok`: the administrator named this host, so it may be on private ground (never loopback,
 * link-local, metadata). `done` is called once, from the drain, never before this returns.
 */
struct dial *dial_start(struct worker *w, const struct dial_rules *rules, struct str host,
                        unsigned port, bool private_ok,
                        void (*done)(void *ctx, const struct dial_result *result), void *ctx);

/* `done` is not called any more. */
void dial_cancel(struct dial *d);

/* Why the rules forbid `ip`:`port`, or NULL when they do not. Pure. An override's own target is
 * always allowed. */
const char *dial_forbids(const struct dial_rules *rules, const struct ip *ip, unsigned port,
                         bool private_ok);

#endif
