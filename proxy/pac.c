/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/pac.h"

/* A JavaScript string literal: JSON is one but for what old engines make of U+2028, which
 * buf_json() escapes. */
static void put_literal(struct buf *out, struct str s)
{
    buf_json(out, s);
}

/* The object literal {"a":1,…} of the names that are suffixes, or are not. */
static void put_set(struct buf *out, const struct pac_names *names, bool suffixes)
{
    bool first = true;
    buf_char(out, '{');
    for (size_t i = 0; i < names->count; i++) {
        bool suffix = str_starts(names->item[i], STR("*."));
        if (suffix != suffixes) {
            continue;
        }
        buf_z(out, first ? "\n  " : ",\n  ");
        put_literal(out, suffix ? str_skip(names->item[i], 2) : names->item[i]);
        buf_z(out, ": 1");
        first = false;
    }
    buf_z(out, first ? "}" : "\n}");
}

static void put_names(struct buf *out, const char *variable, const struct pac_names *names)
{
    buf_printf(out, "var %s = [", variable);
    put_set(out, names, false);
    buf_z(out, ", ");
    put_set(out, names, true);
    buf_z(out, "];\n");
}

static void put_route(struct buf *out, const struct pac *p)
{
    struct buf route = {0};
    for (size_t i = 0; i < p->proxy_count; i++) {
        buf_z(&route, i > 0 ? "; " : "");
        buf_str(&route, p->proxy[i]);
    }
    if (p->fail_open || p->proxy_count == 0) {
        buf_z(&route, p->proxy_count > 0 ? "; DIRECT" : "DIRECT");
    }
    buf_z(out, "var gate = ");
    put_literal(out, buf_view(&route));
    buf_z(out, ";\n");
    buf_free(&route);
}

static const char functions[] =
    "function has(set, name) {\n"
    "  return Object.prototype.hasOwnProperty.call(set, name);\n"
    "}\n"
    "function covers(names, host) {\n"
    "  if (has(names[0], host)) { return true; }\n"
    "  for (var dot = host.indexOf(\".\"); dot >= 0; dot = host.indexOf(\".\", dot + 1)) {\n"
    "    if (has(names[1], host.substring(dot + 1))) { return true; }\n"
    "  }\n"
    "  return false;\n"
    "}\n";

/* Plain names, and addresses that are never to be reached through a proxy: loopback, link-local,
 * private (RFC 1918, RFC 4193), which the proxy does not connect to. */
static const char is_local[] =
    "function isLocal(host) {\n"
    "  if (host.indexOf(\":\") >= 0) { return /^(::1$|f[cd]..:|fe[89ab].:)/.test(host); }\n"
    "  return host.indexOf(\".\") < 0 || /\\.(local|localhost)$/.test(host) ||\n"
    "    /^(127|10|192\\.168|169\\.254|172\\.(1[6-9]|2[0-9]|3[01]))(\\.[0-9]+)+$/.test(host);\n"
    "}\n";

void pac_write(struct buf *out, const struct pac *p)
{
    buf_z(out, "// Made by photogate. Hosts that can change a profile photo go through it");
    buf_z(out, p->all ? ", and so does all else that is not local.\n" : "; the rest does not.\n");
    put_route(out, p);
    put_names(out, "own", &p->own);
    put_names(out, "inspected", &p->inspected);
    if (p->all) {
        put_names(out, "direct", &p->direct);
    } else {
        buf_z(out, "var otherwise = ");
        put_literal(out, p->otherwise);
        buf_z(out, ";\n");
    }
    buf_z(out, functions);
    buf_z(out, p->all ? is_local : "");
    buf_z(out, "function FindProxyForURL(url, host) {\n"
               "  host = host.toLowerCase().replace(/^\\[|\\]$|\\.$/g, \"\");\n"
               "  if (covers(own, host)) { return \"DIRECT\"; }\n"
               "  if (covers(inspected, host)) { return gate; }\n");
    buf_z(out, p->all ? "  return isLocal(host) || covers(direct, host) ? \"DIRECT\" : gate;\n}\n"
                      : "  return otherwise;\n}\n");
}
