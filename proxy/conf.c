/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf.h"

#include "common/err.h"
#include "common/file.h"
#include "proxy/conf_write.h"
#include "proxy/http/hop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define SECOND     1000
#define MINUTE     (60 * SECOND)
#define HOUR       (60 * MINUTE)
#define DAY        (24 * HOUR)
#define AT(member) offsetof(struct conf, member)

static struct schema_str set(const char *z)
{
    return (struct schema_str){.text = str_z(z)};
}

/* ---- readers of what is not a plain value ---- */

static void read_address(struct schema_reader *r, const struct toml_node *value,
                         struct conf_listener *l)
{
    if (!schema_string(r, value, &l->address)) {
        return;
    }
    if (!ip_port_parse(l->address.text, &l->ip, &l->port)) {
        diag_error(r->diag, l->address.at,
                   "\"%s\" is no address with port; write \"127.0.0.1:3128\" or \"[::1]:3128\"",
                   l->address.text.ptr);
    }
}

static void read_listener(struct schema_reader *r, const struct toml_node *value,
                          struct conf_listener *l)
{
    static const char *const auth[] = {"none", "optional", "require", NULL};
    static const struct schema_field fields[] = {
        {.key = "address",
         .kind = SCHEMA_STRING,
         .offset = offsetof(struct conf_listener, address)},
        {.key = "tls", .kind = SCHEMA_BOOL, .offset = offsetof(struct conf_listener, tls)},
        {.key = "auth",
         .kind = SCHEMA_ENUM,
         .offset = offsetof(struct conf_listener, auth),
         .names = auth},
        {.key = NULL},
    };
    if (value->kind == TOML_STRING) {
        read_address(r, value, l);
    } else if (value->kind != TOML_TABLE) {
        diag_error(r->diag, toml_at(r->doc, value),
                   "a listener is \"ip:port\" or a table { address, tls, auth }");
    } else if (schema_read(r, value, "proxy.listen", fields, l) == 0) {
        const struct toml_node *address = toml_get(value, "address");
        if (address != NULL) {
            read_address(r, address, l);
        } else {
            diag_error(r->diag, toml_at(r->doc, value), "a listener needs an address");
        }
    }
}

static void read_listen(struct schema_reader *r, const struct toml_node *value, void *member)
{
    struct conf_listeners *out = member;
    size_t count = 0;
    if (value->kind != TOML_ARRAY || value->child == NULL) {
        diag_error(r->diag, toml_at(r->doc, value),
                   "listen wants a list with at least one listener");
        return;
    }
    for (const struct toml_node *c = value->child; c != NULL; c = c->next) {
        count++;
    }
    *out = (struct conf_listeners){.item = arena_zalloc(r->arena, count * sizeof(*out->item))};
    for (const struct toml_node *c = value->child; c != NULL; c = c->next) {
        struct conf_listener *l = &out->item[out->count++];
        read_listener(r, c, l);
        for (size_t i = 0; i + 1 < out->count; i++) {
            if (l->port != 0 && l->port == out->item[i].port && ip_eq(&l->ip, &out->item[i].ip)) {
                diag_error(r->diag, toml_at(r->doc, c), "\"%s\" is listed twice",
                           l->address.text.ptr);
            }
        }
    }
}

static bool parse_port_range(const struct toml_node *c, unsigned *from, unsigned *to)
{
    uint64_t a, b;
    if (c->kind == TOML_INTEGER) {
        *from = *to = (unsigned)c->integer;
        return c->integer > 0 && c->integer <= 65535;
    }
    struct str rest = c->string, low;
    if (c->kind != TOML_STRING || !str_cut(&rest, '-', &low) || !str_u64(low, &a) ||
        !str_u64(rest, &b)) {
        return false;
    }
    *from = (unsigned)a;
    *to = (unsigned)b;
    return a > 0 && a <= b && b <= 65535;
}

static void read_ports(struct schema_reader *r, const struct toml_node *value, void *member)
{
    struct conf_ports *out = member;
    size_t count = 0;
    for (const struct toml_node *c = value->child; c != NULL; c = c->next) {
        count++;
    }
    out->count = 0;
    out->range = arena_zalloc(r->arena, count * sizeof(*out->range));
    if (value->kind != TOML_ARRAY) {
        diag_error(r->diag, toml_at(r->doc, value), "%s wants a list such as [443, \"8000-8999\"]",
                   value->key.ptr);
        return;
    }
    for (const struct toml_node *c = value->child; c != NULL; c = c->next) {
        if (parse_port_range(c, &out->range[out->count].from, &out->range[out->count].to)) {
            out->count++;
        } else {
            diag_error(r->diag, toml_at(r->doc, c),
                       "a port is a number from 1 to 65535, or a range such as \"8000-8999\"");
        }
    }
}

static void read_modes(struct schema_reader *r, const struct toml_node *value, void *member)
{
    struct conf_modes *out = member;
    size_t count = 0;
    for (const struct toml_node *c = value->child; c != NULL; c = c->next) {
        count++;
    }
    out->item = arena_zalloc(r->arena, count * sizeof(*out->item));
    out->count = 0;
    if (value->kind != TOML_TABLE) {
        diag_error(r->diag, toml_at(r->doc, value),
                   "mode_by_network wants a table such as { \"10.1.0.0/16\" = \"monitor\" }");
        return;
    }
    for (const struct toml_node *c = value->child; c != NULL; c = c->next) {
        struct ip_net net;
        bool enforce = c->kind == TOML_STRING && str_eq(c->string, STR("enforce"));
        bool monitor = c->kind == TOML_STRING && str_eq(c->string, STR("monitor"));
        if (!ip_net_parse(c->key, &net)) {
            diag_error(r->diag, toml_at_key(r->doc, c), "\"%s\" is no address or network",
                       c->key.ptr);
        } else if (!enforce && !monitor) {
            diag_error(r->diag, toml_at(r->doc, c), "a mode is \"enforce\" or \"monitor\"");
        } else {
            size_t at = out->count++;
            for (; at > 0 && out->item[at - 1].net.bits < net.bits; at--) {
                out->item[at] = out->item[at - 1];
            }
            out->item[at].net = net;
            out->item[at].mode = monitor ? MODE_MONITOR : MODE_ENFORCE;
        }
    }
}

/* One part of host:port:ip:port; IPv6 stands in brackets. */
static bool cut_part(struct str *rest, struct str *part)
{
    if (rest->len > 0 && rest->ptr[0] == '[') {
        ptrdiff_t close = str_index(*rest, ']');
        if (close < 0) {
            return false;
        }
        *part = str_of(rest->ptr + 1, (size_t)close - 1);
        *rest = str_skip(*rest, (size_t)close + 1);
        if (rest->len > 0) {
            if (rest->ptr[0] != ':') {
                return false;
            }
            *rest = str_skip(*rest, 1);
        }
        return true;
    }
    return str_cut(rest, ':', part);
}

static bool parse_port_or_any(struct str text, unsigned *port)
{
    uint64_t n = 0;
    if (text.len > 0 && (!str_u64(text, &n) || n == 0 || n > 65535)) {
        return false;
    }
    *port = (unsigned)n;
    return true;
}

static struct str lowered(struct arena *a, struct str s)
{
    char *z = arena_alloc(a, s.len + 1);
    for (size_t i = 0; i < s.len; i++) {
        z[i] = ascii_lower(s.ptr[i]);
    }
    z[s.len] = '\0';
    return str_of(z, s.len);
}

static void read_connect_to(struct schema_reader *r, const struct toml_node *value, void *member)
{
    struct conf_overrides *out = member;
    size_t count = 0;
    for (const struct toml_node *c = value->child; c != NULL; c = c->next) {
        count++;
    }
    out->item = arena_zalloc(r->arena, count * sizeof(*out->item));
    out->count = 0;
    if (value->kind != TOML_ARRAY) {
        diag_error(r->diag, toml_at(r->doc, value),
                   "connect_to wants a list of \"host:port:to:port\"");
        return;
    }
    for (const struct toml_node *c = value->child; c != NULL; c = c->next) {
        struct conf_override *o = &out->item[out->count];
        struct schema_str text;
        struct str host, port, to, to_port;
        if (!schema_string(r, c, &text)) {
            continue;
        }
        struct str rest = text.text;
        if (!cut_part(&rest, &host) || !cut_part(&rest, &port) || !cut_part(&rest, &to) ||
            !cut_part(&rest, &to_port) || rest.ptr != NULL || !parse_port_or_any(port, &o->port) ||
            !parse_port_or_any(to_port, &o->to_port)) {
            diag_error(r->diag, text.at,
                       "\"%s\" is not host:port:to:port; leave host or port empty for any, write "
                       "IPv6 in []",
                       text.text.ptr);
            continue;
        }
        o->host = lowered(r->arena, host);
        o->to = lowered(r->arena, to);
        out->count++;
    }
}

/* ---- the tables ---- */

static const char *const mode_names[] = {"enforce", "monitor", NULL};

#define TIME(name, member, low, high)                                                             \
    {                                                                                             \
        .key = (name), .kind = SCHEMA_DURATION, .offset = AT(member), .min = (low), .max = (high) \
    }
#define NUMBER(name, member, low, high)                                                      \
    {                                                                                        \
        .key = (name), .kind = SCHEMA_INT, .offset = AT(member), .min = (low), .max = (high) \
    }
#define SIZE(name, member, low, high)                                                         \
    {                                                                                         \
        .key = (name), .kind = SCHEMA_SIZE, .offset = AT(member), .min = (low), .max = (high) \
    }
#define VALUE(name, member, type)                           \
    {                                                       \
        .key = (name), .kind = (type), .offset = AT(member) \
    }
#define CHOICE(name, member, list)                                                \
    {                                                                             \
        .key = (name), .kind = SCHEMA_ENUM, .offset = AT(member), .names = (list) \
    }
#define CUSTOM(name, member, reader, writer, about)                                   \
    {                                                                                 \
        .key = (name), .kind = SCHEMA_CUSTOM, .offset = AT(member), .read = (reader), \
        .write = (writer), .what = (about)                                            \
    }
/* Inner tables are read with the whole conf as their object, so that all offsets are from its
 * start. */
#define TABLE(name, list)                                                  \
    {                                                                      \
        .key = (name), .kind = SCHEMA_TABLE, .offset = 0, .fields = (list) \
    }
#define END         \
    {               \
        .key = NULL \
    }

static const struct schema_field proxy_timeouts[] = {
    TIME("client_idle", proxy.timeouts.client_idle, SECOND, DAY),
    TIME("client_head", proxy.timeouts.client_head, SECOND, HOUR),
    TIME("client_body", proxy.timeouts.client_body, SECOND, HOUR),
    TIME("client_write", proxy.timeouts.client_write, SECOND, HOUR),
    TIME("client_tls", proxy.timeouts.client_tls, SECOND, HOUR),
    TIME("tunnel_idle", proxy.timeouts.tunnel_idle, SECOND, 7 * DAY),
    TIME("tunnel_half", proxy.timeouts.tunnel_half, SECOND, DAY),
    TIME("drain", proxy.timeouts.drain, 0, DAY),
    END,
};

static const struct schema_field proxy_limits[] = {
    NUMBER("connections", proxy.limits.connections, 1, 1000000),
    SIZE("head", proxy.limits.head, 4096, 1 << 20),
    SIZE("line", proxy.limits.line, 1024, 1 << 20),
    NUMBER("fields", proxy.limits.fields, 16, 10000),
    END,
};

static const struct schema_field proxy_fields[] = {
    CUSTOM("listen", proxy.listen, read_listen, conf_put_listen,
           "list of \"ip:port\" or { address, tls, auth }"),
    NUMBER("workers", proxy.workers, 0, 256),
    VALUE("http2", proxy.http2, SCHEMA_BOOL),
    VALUE("clients", proxy.clients, SCHEMA_NETS),
    CUSTOM("connect_ports", proxy.connect_ports, read_ports, conf_put_ports,
           "list of ports and \"from-to\""),
    CUSTOM("http_ports", proxy.http_ports, read_ports, conf_put_ports,
           "list of ports and \"from-to\""),
    VALUE("public_url", proxy.public_url, SCHEMA_STRING),
    CHOICE("mode", proxy.mode, mode_names),
    CUSTOM("mode_by_network", proxy.mode_by_network, read_modes, conf_put_modes,
           "table of network = \"enforce\" or \"monitor\""),
    VALUE("user", proxy.user, SCHEMA_STRING),
    VALUE("signer_user", proxy.signer_user, SCHEMA_STRING),
    TABLE("timeouts", proxy_timeouts),
    TABLE("limits", proxy_limits),
    END,
};

static const struct schema_field origin_timeouts[] = {
    TIME("connect", origin.timeouts.dial, 100, HOUR),
    TIME("tls", origin.timeouts.secure, 100, HOUR),
    TIME("head", origin.timeouts.head, 100, DAY),
    TIME("body", origin.timeouts.body, 100, DAY),
    TIME("send", origin.timeouts.send, 100, DAY),
    TIME("idle", origin.timeouts.idle, 100, DAY),
    TIME("age", origin.timeouts.age, 100, 7 * DAY),
    TIME("dns", origin.timeouts.dns, 100, MINUTE),
    END,
};

static const struct schema_field origin_fields[] = {
    VALUE("ca_file", origin.ca_file, SCHEMA_STRING),
    CUSTOM("connect_to", origin.connect_to, read_connect_to, conf_put_connect_to,
           "list of \"host:port:to:port\""),
    VALUE("allow_networks", origin.allow_networks, SCHEMA_NETS),
    VALUE("deny_networks", origin.deny_networks, SCHEMA_NETS),
    VALUE("dns_servers", origin.dns_servers, SCHEMA_STRING),
    NUMBER("idle_max", origin.idle_max, 1, 100000),
    NUMBER("connections_max", origin.conns_max, 1, 100000),
    TABLE("timeouts", origin_timeouts),
    END,
};

static const struct schema_field access_fields[] = {
    VALUE("allow", access.allow, SCHEMA_STRINGS),
    VALUE("deny", access.deny, SCHEMA_STRINGS),
    END,
};

static const struct schema_field certs_fields[] = {
    VALUE("dir", certs.dir, SCHEMA_STRING),
    TIME("leaf_life", certs.leaf_life, HOUR, 30 * (int64_t)DAY),
    END,
};

static const struct schema_field identity_fields[] = {
    VALUE("htpasswd", identity.htpasswd, SCHEMA_STRING),
    END,
};

static const char *const pac_hosts[] = {"inspected", "all", NULL};
static const char *const pac_fail[] = {"closed", "open", NULL};
static const struct schema_field pac_fields[] = {
    CHOICE("hosts", pac.hosts, pac_hosts),
    VALUE("proxies", pac.proxies, SCHEMA_STRINGS),
    VALUE("otherwise", pac.otherwise, SCHEMA_STRING),
    VALUE("direct", pac.direct, SCHEMA_STRINGS),
    CHOICE("fail", pac.fail, pac_fail),
    END,
};

static const char *const log_levels[] = {"error", "warn", "info", "debug",
                                         NULL};                  /* enum log_level */
static const char *const log_formats[] = {"text", "json", NULL}; /* enum log_format */
static const struct schema_field log_fields[] = {
    CHOICE("level", log.level, log_levels),
    CHOICE("format", log.format, log_formats),
    VALUE("access", log.access, SCHEMA_STRING),
    VALUE("block", log.block, SCHEMA_STRING),
    END,
};

static const struct schema_field ui_fields[] = {
    VALUE("organisation", ui.organisation, SCHEMA_STRING),
    VALUE("contact", ui.contact, SCHEMA_STRING),
    END,
};

static const struct {
    const char *name;
    const struct schema_field *fields; /* NULL: read by another floor, or photogate-admin's */
} sections[] = {
    {"proxy", proxy_fields},
    {"origin", origin_fields},
    {"access", access_fields},
    {"inspect", NULL},
    {"filters", NULL},
    {"certs", certs_fields},
    {"identity", identity_fields},
    {"admins", NULL},
    {"pac", pac_fields},
    {"log", log_fields},
    {"ui", ui_fields},
    {"tenant", NULL},
    {"lock", NULL},
    {"photos", NULL},
};

static void set_defaults(struct conf *c)
{
    static const struct conf_listener listener = {.address = {.text = STR_INIT("127.0.0.1:3128")},
                                                  .port = 3128};
    c->proxy.listen.item = arena_zalloc(&c->arena, sizeof(listener));
    c->proxy.listen.item[0] = listener;
    c->proxy.listen.count = 1;
    bool parsed = ip_parse(STR("127.0.0.1"), &c->proxy.listen.item[0].ip);
    (void)parsed;
    c->proxy.connect_ports.range =
        arena_zalloc(&c->arena, 2 * sizeof(*c->proxy.connect_ports.range));
    c->proxy.connect_ports.range[0].from = c->proxy.connect_ports.range[0].to = 443;
    c->proxy.connect_ports.range[1].from = c->proxy.connect_ports.range[1].to = 80;
    c->proxy.connect_ports.count = 2;
    /* As Squid's Safe_ports: the web's port and those anybody may open, not mail's or SSH's. */
    c->proxy.http_ports.range = arena_zalloc(&c->arena, 2 * sizeof(*c->proxy.http_ports.range));
    c->proxy.http_ports.range[0].from = c->proxy.http_ports.range[0].to = 80;
    c->proxy.http_ports.range[1].from = 1024;
    c->proxy.http_ports.range[1].to = 65535;
    c->proxy.http_ports.count = 2;
    c->proxy.user = set("photogate");
    c->proxy.signer_user = set("photogate-signer");
    c->proxy.timeouts.client_idle = 5 * MINUTE;
    c->proxy.timeouts.client_head = 30 * SECOND;
    c->proxy.timeouts.client_body = 2 * MINUTE;
    c->proxy.timeouts.client_write = 2 * MINUTE;
    c->proxy.timeouts.client_tls = 20 * SECOND;
    c->proxy.timeouts.tunnel_idle = HOUR;
    c->proxy.timeouts.tunnel_half = 2 * MINUTE;
    c->proxy.timeouts.drain = 30 * SECOND;
    c->proxy.limits.connections = 50000;
    c->proxy.limits.head = 128 << 10;
    c->proxy.limits.line = 32 << 10;
    c->proxy.limits.fields = 1000;
    c->proxy.http2 = true;
    c->origin.timeouts.dial = 10 * SECOND;
    c->origin.timeouts.secure = 10 * SECOND;
    c->origin.timeouts.head = 10 * MINUTE; /* Exchange holds some requests open for minutes */
    c->origin.timeouts.body = 10 * MINUTE;
    c->origin.timeouts.send = 2 * MINUTE;
    c->origin.timeouts.idle = 50 * SECOND;
    c->origin.timeouts.age = HOUR;
    c->origin.timeouts.dns = 2 * SECOND;
    c->origin.idle_max = 256;
    c->origin.conns_max = 4096;
    c->certs.dir = set("ca");
    c->certs.leaf_life = 48 * (uint64_t)HOUR;
    c->pac.otherwise = set("DIRECT");
    c->log.level = LOG_INFO;
    c->ui.organisation = set("your organisation");
    filters_conf_defaults(&c->filters);
}

/* ---- what only shows when all is read ---- */

static struct ip_nets loopback(struct arena *a)
{
    struct ip_nets nets = {.net = arena_zalloc(a, 2 * sizeof(*nets.net)), .count = 2};
    bool ok =
        ip_net_parse(STR("127.0.0.0/8"), &nets.net[0]) && ip_net_parse(STR("::1"), &nets.net[1]);
    (void)ok;
    return nets;
}

static bool is_loopback(const struct ip *ip)
{
    const char *what = ip_special(ip);
    return what != NULL && str_eq(str_z(what), STR("loopback"));
}

bool conf_has_public_name(const struct conf *c)
{
    struct ip ip;
    return !ip_parse(c->public_host, &ip) && str_index(c->public_host, '.') >= 0;
}

static void check_listeners(struct conf *c, struct diag *d)
{
    bool clients_given = c->proxy.clients.net != NULL;
    if (!clients_given) {
        c->proxy.clients = loopback(&c->arena);
    }
    for (size_t i = 0; i < c->proxy.listen.count; i++) {
        const struct conf_listener *l = &c->proxy.listen.item[i];
        if (l->port == 0) {
            continue; /* faulty, and said so */
        }
        if (!is_loopback(&l->ip) && !clients_given) {
            diag_error(d, l->address.at,
                       "listening beyond loopback would make an open proxy; name the networks that "
                       "may use it in [proxy] clients");
        }
        if (!is_loopback(&l->ip) && l->auth != AUTH_NONE && !l->tls) {
            diag_error(
                d, l->address.at,
                "passwords would cross the network in the clear; add tls = true to this listener");
        }
        if (l->auth != AUTH_NONE && c->identity.htpasswd.text.len == 0) {
            diag_error(d, l->address.at, "auth needs a password file; set [identity] htpasswd");
        }
        if (l->tls && !conf_has_public_name(c)) {
            diag_error(d, l->address.at,
                       "a TLS listener needs the proxy's full DNS name for its certificate; set "
                       "[proxy] public_url to http://proxy.your.domain:%u",
                       l->port);
        }
    }
}

static void check_public_url(struct conf *c, struct diag *d)
{
    struct schema_str url = c->proxy.public_url;
    if (url.text.len == 0) {
        return;
    }
    struct str rest = url.text;
    if (!str_starts(rest, STR("http://"))) {
        diag_error(d, url.at,
                   "public_url starts with http://; a certificate's revocation list is never "
                   "fetched by TLS");
        return;
    }
    rest = str_skip(rest, 7);
    if (rest.len > 0 && rest.ptr[rest.len - 1] == '/') {
        rest.len--;
    }
    if (!hop_authority(rest, &c->public_host, &c->public_port)) {
        diag_error(
            d, url.at,
            "public_url is http://name:port, the address under which clients reach this proxy");
        return;
    }
    c->public_host = lowered(&c->arena, c->public_host);
    if (str_ends(c->public_host, STR("."))) {
        c->public_host.len--;
    }
    if (c->public_port == 0) {
        c->public_port = 80;
    }
}

static void check_dns_servers(const struct conf *c, struct diag *d)
{
    struct str rest = c->origin.dns_servers.text, one;
    while (c->origin.dns_servers.text.len > 0 && str_cut(&rest, ',', &one)) {
        struct ip ip;
        unsigned port;
        if (!ip_parse(one, &ip) && !ip_port_parse(one, &ip, &port)) {
            diag_error(d, c->origin.dns_servers.at,
                       "dns_servers is \"ip\", \"ip:port\" or \"[ip6]:port\", several with commas "
                       "between; \"" STR_FMT "\" is none of these",
                       STR_ARG(one));
        }
    }
}

static void check_pac(struct conf *c, struct diag *d)
{
    c->pac_hosts = arena_zalloc(&c->arena, (c->pac.proxies.count + 1) * sizeof(*c->pac_hosts));
    for (size_t i = 0; i < c->pac.proxies.count; i++) {
        const struct schema_str *p = &c->pac.proxies.item[i];
        struct str rest = p->text, kind, host;
        unsigned port = 0;
        bool ok = str_cut(&rest, ' ', &kind) &&
                  (str_eq(kind, STR("PROXY")) || str_eq(kind, STR("HTTPS"))) &&
                  hop_authority(rest, &host, &port) && port != 0;
        if (!ok) {
            diag_error(d, p->at,
                       "\"%s\" is no proxy for a PAC file; write \"PROXY name:port\" or \"HTTPS "
                       "name:port\"",
                       p->text.ptr);
            continue;
        }
        c->pac_hosts[i] = lowered(&c->arena, host);
    }
    for (size_t i = 0; i < c->pac.otherwise.text.len; i++) {
        unsigned char ch = (unsigned char)c->pac.otherwise.text.ptr[i];
        if (ch < 0x20 || ch > 0x7e || ch == '"' || ch == '\\') {
            diag_error(d, c->pac.otherwise.at,
                       "otherwise is \"DIRECT\" or what a PAC file says for a proxy, such as "
                       "\"PROXY old:8080\"");
            break;
        }
    }
}

static void check_patterns(const struct schema_strs *list, struct diag *d)
{
    for (size_t i = 0; i < list->count; i++) {
        struct str s = list->item[i].text, host;
        unsigned port;
        if (str_starts(s, STR("*."))) {
            s = str_skip(s, 2);
        }
        if (!hop_authority(s, &host, &port) || port != 0 || str_index(s, '*') >= 0) {
            diag_error(d, list->item[i].at,
                       "\"%s\" is no host pattern; write \"name.example\" or \"*.example\"",
                       list->item[i].text.ptr);
        }
    }
}

/* What is faulty in what the PAC file is made of; names as the file wants them. */
static void check_pac_direct(struct conf *c, struct diag *d)
{
    struct schema_strs *list = &c->pac.direct;
    check_patterns(list, d);
    for (size_t i = 0; i < list->count; i++) {
        list->item[i].text = lowered(&c->arena, list->item[i].text);
    }
    if (list->count > 0 && c->pac.hosts != PAC_ALL) {
        diag_error(d, list->item[0].at,
                   "direct is for hosts = \"all\"; here only inspected hosts go through the proxy, "
                   "and [inspect] never takes one out");
    }
}

static void read_section(struct schema_reader *r, const struct toml_node *node, struct conf *c)
{
    const char *names[ARRAY_LEN(sections) + 1] = {NULL};
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        names[i] = sections[i].name;
        if (!str_eq(node->key, str_z(sections[i].name))) {
            continue;
        }
        if (node->kind != TOML_TABLE) {
            diag_error(r->diag, toml_at(r->doc, node),
                       "%s is a section: write [%s] on a line of its own", node->key.ptr,
                       node->key.ptr);
        } else if (sections[i].fields != NULL) {
            int ignored = schema_read(r, node, sections[i].name, sections[i].fields, c);
            (void)ignored; /* counted in r->diag */
        }
        return;
    }
    schema_unknown_key(r, node, "", names);
}

static const struct toml_node *table_of(const struct toml_node *root, const char *name)
{
    const struct toml_node *node = toml_get(root, name);
    return node != NULL && node->kind == TOML_TABLE ? node : NULL;
}

int conf_parse(struct str text, const char *path, int dir, struct conf **out, struct diag *d)
{
    struct toml_doc *doc = NULL;
    const unsigned before = d->errors;
    int err = toml_parse(text, path, &doc, d);
    if (err != 0) {
        return err;
    }
    struct conf *c = xnew(struct conf);
    c->path = xstrdup(path);
    c->dir = dir;
    set_defaults(c);
    c->filters.dir = dir;
    struct schema_reader r = {.doc = doc, .arena = &c->arena, .diag = d};
    const struct toml_node *root = toml_root(doc);
    for (const struct toml_node *n = root->child; n != NULL; n = n->next) {
        read_section(&r, n, c);
    }
    err = filters_conf_read(&c->filters, &r, table_of(root, "inspect"), table_of(root, "filters"),
                            table_of(root, "admins"));
    check_public_url(c, d);
    check_listeners(c, d);
    check_dns_servers(c, d);
    check_pac(c, d);
    check_pac_direct(c, d);
    check_patterns(&c->access.allow, d);
    check_patterns(&c->access.deny, d);
    toml_free(doc);
    if (err != 0 || d->errors > before) {
        conf_free(c);
        return ERR_CONFIG;
    }
    *out = c;
    return 0;
}

int conf_open_dir(const char *path, struct diag *d)
{
    const char *slash = strrchr(path, '/');
    char *dir = slash == NULL   ? xstrdup(".")
                : slash == path ? xstrdup("/")
                                : xstrndup(path, (size_t)(slash - path));
    int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    free(dir);
    return fd < 0 ? diag_error(d, DIAG_FILE(path), "cannot be read: %s", err_str(-errno)) : fd;
}

int conf_load(const char *path, int *dir_fd, struct conf **out, struct diag *d)
{
    struct buf text = {0};
    if (path == NULL) {
        return conf_parse(STR_NONE, "built-in defaults", AT_FDCWD, out, d);
    }
    if (*dir_fd < 0) {
        *dir_fd = conf_open_dir(path, d);
        if (*dir_fd < 0) {
            return ERR_CONFIG;
        }
    }
    const char *slash = strrchr(path, '/');
    int err = file_read(*dir_fd, slash != NULL ? slash + 1 : path, CONF_FILE_MAX, &text);
    if (err != 0) {
        buf_free(&text);
        return diag_error(d, DIAG_FILE(path), "cannot be read: %s",
                          err == ERR_LIMIT ? "it is larger than 4 MiB" : err_str(err));
    }
    err = conf_parse(buf_view(&text), path, *dir_fd, out, d);
    buf_free(&text);
    return err;
}

void conf_write(const struct conf *c, struct buf *out)
{
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        if (sections[i].fields != NULL) {
            buf_z(out, out->len > 0 ? "\n" : "");
            schema_write(out, sections[i].name, sections[i].fields, c);
        } else if (strcmp(sections[i].name, "inspect") ==
                   0) { /* the first of three of that floor */
            buf_char(out, '\n');
            filters_conf_write(&c->filters, out);
        }
    }
}

void conf_free(struct conf *c)
{
    if (c != NULL) {
        arena_free(&c->arena);
        free(c->path);
        free(c);
    }
}

char *conf_path(const struct conf *c, struct str name)
{
    const char *slash = strrchr(c->path, '/');
    struct buf b = {0};
    if (slash != NULL && name.len > 0 && name.ptr[0] != '/') {
        buf_put(&b, c->path, (size_t)(slash - c->path) + 1);
    }
    buf_str(&b, name);
    char *path = xstrndup(b.ptr, b.len);
    buf_free(&b);
    return path;
}

enum conf_mode conf_mode_for(const struct conf *c, const struct ip *ip)
{
    for (size_t i = 0; i < c->proxy.mode_by_network.count; i++) {
        if (ip_in(ip, &c->proxy.mode_by_network.item[i].net)) {
            return (enum conf_mode)c->proxy.mode_by_network.item[i].mode;
        }
    }
    return (enum conf_mode)c->proxy.mode;
}

bool conf_port_allowed(const struct conf_ports *ports, unsigned port)
{
    for (size_t i = 0; i < ports->count; i++) {
        if (port >= ports->range[i].from && port <= ports->range[i].to) {
            return true;
        }
    }
    return false;
}

bool conf_host_listed(const struct schema_strs *list, struct str host)
{
    for (size_t i = 0; i < list->count; i++) {
        struct str pattern = list->item[i].text;
        bool suffix = str_starts(pattern, STR("*."));
        struct str tail = suffix ? str_skip(pattern, 1) : pattern;
        if (host.len >= tail.len && str_ieq(str_skip(host, host.len - tail.len), tail) &&
            (suffix ? host.len > tail.len : host.len == tail.len)) {
            return true;
        }
    }
    return false;
}
