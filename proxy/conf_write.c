/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf_write.h"

#include "proxy/conf.h"

void conf_put_listen(struct buf *out, const void *listeners)
{
    static const char *const auth[] = {"none", "optional", "require"};
    const struct conf_listeners *list = listeners;
    buf_char(out, '[');
    for (size_t i = 0; i < list->count; i++) {
        const struct conf_listener *l = &list->item[i];
        const bool plain = !l->tls && l->auth == AUTH_NONE;
        buf_z(out, i > 0 ? ", " : "");
        buf_z(out, plain ? "" : "{ address = ");
        buf_json(out, l->address.text);
        if (!plain) {
            buf_printf(out, ", tls = %s, auth = \"%s\" }", l->tls ? "true" : "false",
                       auth[l->auth]);
        }
    }
    buf_char(out, ']');
}

void conf_put_ports(struct buf *out, const void *ports)
{
    const struct conf_ports *list = ports;
    buf_char(out, '[');
    for (size_t i = 0; i < list->count; i++) {
        const unsigned from = list->range[i].from, to = list->range[i].to;
        buf_z(out, i > 0 ? ", " : "");
        if (from == to) {
            buf_u64(out, from);
        } else {
            buf_printf(out, "\"%u-%u\"", from, to);
        }
    }
    buf_char(out, ']');
}

void conf_put_modes(struct buf *out, const void *modes)
{
    const struct conf_modes *list = modes;
    buf_char(out, '{');
    for (size_t i = 0; i < list->count; i++) {
        buf_z(out, i > 0 ? ", \"" : " \"");
        ip_net_put(out, &list->item[i].net);
        buf_printf(out, "\" = \"%s\"", list->item[i].mode == MODE_MONITOR ? "monitor" : "enforce");
    }
    buf_z(out, list->count > 0 ? " }" : "}");
}

/* IPv6 stands in brackets there. */
static void put_host(struct buf *out, struct str host)
{
    const bool v6 = str_index(host, ':') >= 0;
    buf_z(out, v6 ? "[" : "");
    buf_str(out, host);
    buf_z(out, v6 ? "]" : "");
}

static void put_port(struct buf *out, unsigned port)
{
    if (port != 0) {
        buf_u64(out, port);
    }
}

void conf_put_connect_to(struct buf *out, const void *overrides)
{
    const struct conf_overrides *list = overrides;
    struct buf item = {0};
    buf_char(out, '[');
    for (size_t i = 0; i < list->count; i++) {
        const struct conf_override *o = &list->item[i];
        buf_clear(&item);
        put_host(&item, o->host);
        buf_char(&item, ':');
        put_port(&item, o->port);
        buf_char(&item, ':');
        put_host(&item, o->to);
        buf_char(&item, ':');
        put_port(&item, o->to_port);
        buf_z(out, i > 0 ? ", " : "");
        buf_json(out, buf_view(&item));
    }
    buf_char(out, ']');
    buf_free(&item);
}
