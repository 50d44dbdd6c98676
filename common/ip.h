/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IP addresses and networks. Both families are kept in one form, 16 bytes, IPv4 mapped into
 * ::ffff:0:0/96 (RFC 4291, 2.5.5.2), so that one comparison serves both and a mapped address is the
 * address it maps.
 */
#ifndef COMMON_IP_H
#define COMMON_IP_H

#include "common/buf.h"

#include <netinet/in.h>

struct ip {
    uint8_t byte[16];
};

struct ip_net {
    struct ip base;
    unsigned bits; /* of 128; an IPv4 /8 is 104 */
};

struct ip_nets {
    struct ip_net *net;
    size_t count;
};

struct ip ip_of_sockaddr(const struct sockaddr *sa);
unsigned port_of_sockaddr(const struct sockaddr *sa);

/* Fills `out` for connect(); an IPv4 address becomes AF_INET. */
void ip_to_sockaddr(const struct ip *ip, unsigned port, struct sockaddr_storage *out);

/*
 * "192.0.2.1", "2001:db8::1"; no brackets, zones, octal, hex or short forms. False when it is none.
 */
bool ip_parse(struct str text, struct ip *out);

/* An address, or address/prefix with no bits set behind the prefix ("10.0.0.1/8" is a mistake, not
 * a network). */
bool ip_net_parse(struct str text, struct ip_net *out);

bool ip_is_v4(const struct ip *ip);
bool ip_eq(const struct ip *a, const struct ip *b);
bool ip_in(const struct ip *ip, const struct ip_net *net);
bool ip_in_any(const struct ip *ip, const struct ip_nets *nets);

/*
 * The IPv4 address inside `ip` when it is one of the forms that carry one: mapped, NAT64
 * (64:ff9b::/96, RFC 6052), 6to4 (2002::/16). False otherwise.
 */
bool ip_embedded_v4(const struct ip *ip, struct ip *out);

/* Why `ip` is no place for a client to be taken to ("loopback", "link-local", "private", …); NULL
 * when it is public. */
const char *ip_special(const struct ip *ip);

/* Appends the usual text form (RFC 5952); IPv4 as dotted quad. */
void ip_put(struct buf *out, const struct ip *ip);
void ip_net_put(struct buf *out, const struct ip_net *net);

/* "ip:port" or "[ip6]:port". False when it is neither or the port is 0. */
bool ip_port_parse(struct str text, struct ip *ip, unsigned *port);

#endif
