/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A listening socket of a worker. The sockets are opened by the supervisor, one per worker and
 * address with SO_REUSEPORT, and inherited: a restart of the network process loses no connection
 * that waits in their queues.
 */
#ifndef PROXY_NET_LISTEN_H
#define PROXY_NET_LISTEN_H

#include "common/ip.h"
#include "proxy/net/conn.h"

struct listener {
    uv_tcp_t tcp;
    struct worker *worker;
    void (*accepted)(struct listener *l, struct conn *c); /* the connection is the callee's */
    void *owner;
    bool open;
};

/*
 * A bound socket for the supervisor to hand down, close-on-exec, not listening yet: a descriptor or
 * -errno. `shared` sets SO_REUSEPORT, with which the kernel would also let a second proxy of the
 * same user in: open, and close again, one that is not shared first, to find out that the port is
 * taken.
 */
int listen_open(const struct ip *ip, unsigned port, bool shared) MUSTCHECK;

/* Starts accepting on `fd`, which is taken over. -errno. */
int listen_start(struct listener *l, struct worker *w, int fd,
                 void (*accepted)(struct listener *l, struct conn *c), void *owner) MUSTCHECK;

/* Accepts what queues on it, then closes it. */
void listen_drain(struct listener *l);

#endif
