/* SPDX-License-Identifier: Apache-2.0 */
#include "common/ip.h"

#include <arpa/inet.h>
#include <string.h>

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static struct ip from_v4(const void *four)
{
    struct ip ip;
    memcpy(ip.byte, mapped, sizeof(mapped));
    memcpy(ip.byte + 12, four, 4);
    return ip;
}

struct ip ip_of_sockaddr(const struct sockaddr *sa)
{
    struct ip ip = {{0}};
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof(in));
        return from_v4(&in.sin_addr);
    }
    if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sa, sizeof(in6));
        memcpy(ip.byte, &in6.sin6_addr, 16);
    }
    return ip;
}

unsigned port_of_sockaddr(const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof(in));
        return ntohs(in.sin_port);
    }
    if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sa, sizeof(in6));
        return ntohs(in6.sin6_port);
    }
    return 0;
}

void ip_to_sockaddr(const struct ip *ip, unsigned port, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof(*out));
    if (ip_is_v4(ip)) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        memcpy(&in.sin_addr, ip->byte + 12, 4);
        memcpy(out, &in, sizeof(in));
    } else {
        struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
        memcpy(&in6.sin6_addr, ip->byte, 16);
        memcpy(out, &in6, sizeof(in6));
    }
}

bool ip_parse(struct str text, struct ip *out)
{
    char z[INET6_ADDRSTRLEN];
    if (text.len == 0 || text.len >= sizeof(z) || memchr(text.ptr, '\0', text.len) != NULL) {
        return false;
    }
    memcpy(z, text.ptr, text.len);
    z[text.len] = '\0';
    uint8_t four[4];
    if (inet_pton(AF_INET, z, four) == 1) {
        *out = from_v4(four);
        return true;
    }
    return inet_pton(AF_INET6, z, out->byte) == 1;
}

static bool bit(const struct ip *ip, unsigned at)
{
    return ip->byte[at / 8] >> (7 - at % 8) & 1;
}

bool ip_net_parse(struct str text, struct ip_net *out)
{
    struct str address;
    uint64_t bits;
    if (!str_cut(&text, '/', &address) || !ip_parse(address, &out->base)) {
        return false;
    }
    bool v4 = str_index(address, ':') < 0;
    if (text.ptr == NULL) {
        out->bits = 128;
        return true;
    }
    if (!str_u64(text, &bits) || bits > (v4 ? 32 : 128)) {
        return false;
    }
    out->bits = (unsigned)bits + (v4 ? 96 : 0);
    for (unsigned at = out->bits; at < 128; at++) {
        if (bit(&out->base, at)) {
            return false;
        }
    }
    return true;
}

bool ip_is_v4(const struct ip *ip)
{
    return memcmp(ip->byte, mapped, sizeof(mapped)) == 0;
}

bool ip_eq(const struct ip *a, const struct ip *b)
{
    return memcmp(a->byte, b->byte, sizeof(a->byte)) == 0;
}

bool ip_in(const struct ip *ip, const struct ip_net *net)
{
    unsigned whole = net->bits / 8, rest = net->bits % 8;
    if (memcmp(ip->byte, net->base.byte, whole) != 0) {
        return false;
    }
    return rest == 0 || (ip->byte[whole] ^ net->base.byte[whole]) >> (8 - rest) == 0;
}

bool ip_in_any(const struct ip *ip, const struct ip_nets *nets)
{
    for (size_t i = 0; i < nets->count; i++) {
        if (ip_in(ip, &nets->net[i])) {
            return true;
        }
    }
    return false;
}

bool ip_embedded_v4(const struct ip *ip, struct ip *out)
{
    static const uint8_t nat64[12] = {0, 0x64, 0xff, 0x9b};
    if (ip_is_v4(ip)) {
        *out = *ip;
        return true;
    }
    if (memcmp(ip->byte, nat64, 12) == 0) {
        *out = from_v4(ip->byte + 12);
        return true;
    }
    if (ip->byte[0] == 0x20 && ip->byte[1] == 0x02) {
        *out = from_v4(ip->byte + 2);
        return true;
    }
    return false;
}

/* IANA's special-purpose registries: https://www.iana.org/assignments/iana-ipv4-special-registry
 * and …-ipv6-… */
static const struct {
    const char *net, *what;
} specials[] = {
    {"0.0.0.0/8", "unspecified"},
    {"127.0.0.0/8", "loopback"},
    {"169.254.0.0/16", "link-local"}, /* the clouds' metadata service, 169.254.169.254, is in it */
    {"168.63.129.16", "metadata"},    /* Azure's host agent */
    {"100.100.100.200", "metadata"},  /* Alibaba */
    {"10.0.0.0/8", "private"},
    {"172.16.0.0/12", "private"},
    {"192.168.0.0/16", "private"},
    {"100.64.0.0/10", "private"}, /* carrier-grade NAT, RFC 6598 */
    {"192.0.0.0/24", "special-purpose"},
    {"198.18.0.0/15", "special-purpose"},
    {"224.0.0.0/4", "multicast"},
    {"240.0.0.0/4", "reserved"}, /* with the broadcast address */
    /* local NAT64 (RFC 8215): where in it the IPv4 address lies is the site's own affair */
    {"64:ff9b:1::/48", "private"},
    {"::ffff:0:0:0/96", "special-purpose"}, /* translated IPv4 (RFC 2765) */
    {"100::/64", "special-purpose"},        /* discarded (RFC 6666) */
    {"2001:2::/48", "special-purpose"},     /* benchmarking (RFC 5180) */
    {"5f00::/16", "special-purpose"},       /* segment routing (RFC 9602) */
    {"::/128", "unspecified"},
    {"::1/128", "loopback"},
    {"fd00:ec2::254", "metadata"}, /* AWS */
    {"fe80::/10", "link-local"},
    {"fc00::/7", "private"},
    {"fec0::/10", "private"}, /* site-local, deprecated */
    {"ff00::/8", "multicast"},
};

const char *ip_special(const struct ip *ip)
{
    struct ip v4;
    if (ip_embedded_v4(ip, &v4) && !ip_eq(ip, &v4)) {
        return ip_special(&v4); /* NAT64 and 6to4 lead where the address inside says */
    }
    for (size_t i = 0; i < ARRAY_LEN(specials); i++) {
        struct ip_net net;
        if (ip_net_parse(str_z(specials[i].net), &net) && ip_in(ip, &net)) {
            return specials[i].what;
        }
    }
    static const uint8_t compatible[12] = {0};
    return memcmp(ip->byte, compatible, 12) == 0
               ? "unspecified"
               : NULL; /* ::a.b.c.d, deprecated (RFC 4291, 2.5.5.1) */
}

void ip_put(struct buf *out, const struct ip *ip)
{
    char z[INET6_ADDRSTRLEN];
    bool v4 = ip_is_v4(ip);
    if (inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? ip->byte + 12 : ip->byte, z, sizeof(z)) != NULL) {
        buf_z(out, z);
    }
}

void ip_net_put(struct buf *out, const struct ip_net *net)
{
    bool v4 = ip_is_v4(&net->base) && net->bits >= 96;
    ip_put(out, &net->base);
    buf_char(out, '/');
    buf_u64(out, v4 ? net->bits - 96 : net->bits);
}

bool ip_port_parse(struct str text, struct ip *ip, unsigned *port)
{
    uint64_t n;
    struct str host;
    if (text.len > 0 && text.ptr[0] == '[') {
        ptrdiff_t close = str_index(text, ']');
        if (close < 0 || (size_t)close + 1 >= text.len || text.ptr[close + 1] != ':') {
            return false;
        }
        host = str_of(text.ptr + 1, (size_t)close - 1);
        text = str_skip(text, (size_t)close + 2);
        if (str_index(host, ':') < 0) {
            return false;
        }
    } else {
        if (!str_cut(&text, ':', &host) || text.ptr == NULL) {
            return false;
        }
    }
    if (!ip_parse(host, ip) || !str_u64(text, &n) || n == 0 || n > 65535) {
        return false;
    }
    *port = (unsigned)n;
    return true;
}
