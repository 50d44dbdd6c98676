/* SPDX-License-Identifier: Apache-2.0 */
/* The proxy's own pages: PAC file, certificates to trust, CRLs, health, and what a refused page
 * looks like. */
#include "common/err.h"
#include "common/mem.h"
#include "proxy/gate.h"
#include "proxy/pac.h"
#include "proxy/template.h"

#include <stdlib.h>

/* Lists that a PAC file is made of. */
struct name_list {
    struct str *item;
    size_t count;
};

static void add_name(struct name_list *list, struct str name)
{
    list->item = xrealloc(list->item, (list->count + 1) * sizeof(*list->item));
    list->item[list->count++] = name;
}

static void add_host(void *ctx, const struct host_entry *entry)
{
    add_name(ctx, entry->name);
}

static bool is_any(const struct ip *ip)
{
    return str_eq(str_z(ip_special(ip)), STR("unspecified"));
}

static void put_authority(struct buf *out, struct str host, unsigned port)
{
    bool v6 = str_index(host, ':') >= 0;
    buf_printf(out, v6 ? "[" STR_FMT "]:%u" : STR_FMT ":%u", STR_ARG(host), port);
}

/* How clients of this door reach the proxy, as a PAC file says it. */
static void put_own_route(struct buf *out, const struct conf *c, const struct conf_listener *l,
                          const struct ip *reached_at)
{
    struct buf address = {0};
    ip_put(&address, is_any(&l->ip) && reached_at != NULL ? reached_at : &l->ip);
    buf_z(out, l->tls ? "HTTPS " : "PROXY ");
    put_authority(out, c->public_host.len > 0 ? c->public_host : buf_view(&address), l->port);
    buf_free(&address);
}

/* [pac] proxies are for the first listener and those like it; one with a login or TLS of its own
 * (for administrators, say) is its own way in. */
static bool has_listed_proxies(const struct conf *c, const struct conf_listener *l)
{
    const struct conf_listener *first = &c->proxy.listen.item[0];
    return c->pac.proxies.count > 0 && l->tls == first->tls && l->auth == first->auth;
}

void local_pac(struct buf *out, const struct snapshot *s, unsigned door,
               const struct ip *reached_at)
{
    const struct conf *c = s->conf;
    const struct conf_listener *l = &c->proxy.listen.item[door < c->proxy.listen.count ? door : 0];
    struct name_list inspected = {0}, own = {0}, direct = {0}, proxies = {0};
    struct buf own_route = {0};
    filters_each_host(s->filters, add_host, &inspected);
    for (size_t i = 0; i < c->pac.direct.count; i++) {
        add_name(&direct, c->pac.direct.item[i].text);
    }
    if (c->public_host.len > 0) {
        add_name(&own, c->public_host);
    }
    for (size_t i = 0; i < c->pac.proxies.count; i++) {
        if (has_listed_proxies(c, l)) {
            add_name(&proxies, c->pac.proxies.item[i].text);
        }
        add_name(&own, c->pac_hosts[i]);
    }
    if (proxies.count == 0) {
        put_own_route(&own_route, c, l, reached_at);
        add_name(&proxies, buf_view(&own_route));
    }
    const struct pac pac = {
        .own = {own.item, own.count},
        .inspected = {inspected.item, inspected.count},
        .all = c->pac.hosts == PAC_ALL,
        .direct = {direct.item, direct.count},
        .proxy = proxies.item,
        .proxy_count = proxies.count,
        .otherwise = c->pac.otherwise.text,
        .fail_open = c->pac.fail == PAC_OPEN,
    };
    pac_write(out, &pac);
    free(inspected.item);
    free(own.item);
    free(direct.item);
    free(proxies.item);
    buf_free(&own_route);
}

static bool get_reached_at(const struct request *r, struct ip *out)
{
    struct sockaddr_storage at;
    int len = sizeof(at);
    if (uv_tcp_getsockname(&r->client->conn->tcp, (struct sockaddr *)&at, &len) != 0) {
        return false;
    }
    *out = ip_of_sockaddr((struct sockaddr *)&at);
    return true;
}

bool local_is_own(const struct request *r)
{
    const struct conf *c = request_conf(r);
    struct ip ip, reached_at;
    bool named = c->public_host.len > 0 && str_eq(r->host, c->public_host);
    if (named && r->port == c->public_port) {
        return true;
    }
    if (!named && !ip_parse(r->host, &ip)) {
        return false;
    }
    for (size_t i = 0; i < c->proxy.listen.count; i++) {
        const struct conf_listener *l = &c->proxy.listen.item[i];
        if (r->port == l->port &&
            (named || ip_eq(&ip, &l->ip) ||
             (is_any(&l->ip) && get_reached_at(r, &reached_at) && ip_eq(&ip, &reached_at)))) {
            return true;
        }
    }
    return false;
}

static void send_pac(struct request *r)
{
    struct buf text = {0};
    struct ip ip;
    bool known = get_reached_at(r, &ip);
    local_pac(&text, r->hold->snapshot, r->client->door, known ? &ip : NULL);
    answer_begin(r->ex, 200);
    answer_end(r->ex, "application/x-ns-proxy-autoconfig", buf_view(&text));
    buf_free(&text);
}

static void send_file(struct request *r, const char *type, struct str body)
{
    answer_begin(r->ex, 200);
    answer_end(r->ex, type, body);
}

/* Each door has a PAC file of its own, so the address is this door's. */
static void put_pac_url(struct buf *out, const struct request *r)
{
    const struct conf *c = request_conf(r);
    const struct conf_listeners *all = &c->proxy.listen;
    const struct conf_listener *l = &all->item[r->client->door < all->count ? r->client->door : 0];
    bool public_door = r->client->door == 0 || l->port == c->public_port;
    struct buf address = {0};
    struct ip ip = l->ip;
    (void)(is_any(&l->ip) && get_reached_at(r, &ip));
    ip_put(&address, &ip);
    buf_z(out, l->tls ? "https://" : "http://");
    put_authority(out, c->public_host.len > 0 ? c->public_host : buf_view(&address),
                  c->public_host.len > 0 && public_door && !l->tls ? c->public_port : l->port);
    buf_z(out, "/proxy.pac");
    buf_free(&address);
}

static void send_index(struct request *r)
{
    struct buf page = {0}, pac = {0};
    const struct conf *c = request_conf(r);
    put_pac_url(&pac, r);
    const struct template_value values[] = {
        {.name = "style", .value = page_style(), .raw = true},
        {.name = "organisation", .value = c->ui.organisation.text},
        {.name = "from", .value = answer_letterhead(c)},
        {.name = "pac", .value = buf_view(&pac)},
        {.name = NULL},
    };
    template_fill(&page, page_index(), values);
    answer_begin(r->ex, 200);
    answer_field(r->ex, "Content-Security-Policy",
                 STR("default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'"));
    answer_end(r->ex, "text/html; charset=utf-8", buf_view(&page));
    buf_free(&page);
    buf_free(&pac);
}

static bool is_crl_of(struct str name, const struct key_id *id)
{
    return str_ends(name, STR(".crl")) && str_ieq(str_of(name.ptr, name.len - 4), str_z(id->hex));
}

static void send_crl(struct request *r, struct str name)
{
    const struct ca *ca = r->hold->snapshot->ca;
    const struct app *app = r->client->app;
    if (is_crl_of(name, &ca->id) && app->crl.len > 0) {
        send_file(r, "application/pkix-crl", buf_view(&app->crl));
    } else if (is_crl_of(name, &ca->above) && ca->crl.len > 0) {
        send_file(r, "application/pkix-crl", buf_view(&ca->crl));
    } else if (is_crl_of(name, &ca->id)) {
        answer_text(r->ex, 503,
                    "the signer has not made the revocation list yet; try again in a moment");
    } else {
        answer_text(r->ex, 404, "no revocation list of this name");
    }
}

void local_request(struct request *r)
{
    struct msg *m = &r->ex->req;
    struct str path = m->path, rest = path, head;
    if (str_cut(&rest, '?', &head)) {
        path = head;
    }
    if (!method_is(m, "GET") && !method_is(m, "HEAD")) {
        answer_begin(r->ex, 405);
        answer_field(r->ex, "Allow", STR("GET, HEAD"));
        answer_end(r->ex, "text/plain; charset=utf-8",
                   STR("these pages are for reading; to use the proxy, send CONNECT or a full "
                       "http:// address\n"));
        return;
    }
    const struct snapshot *s = r->hold->snapshot;
    if (str_eq(path, STR("/proxy.pac")) || str_eq(path, STR("/wpad.dat"))) {
        send_pac(r);
    } else if (str_eq(path, STR("/ca.pem"))) {
        send_file(r, "application/x-pem-file", buf_view(&s->ca_pem));
    } else if (str_eq(path, STR("/ca.der"))) {
        send_file(r, "application/pkix-cert", buf_view(&s->ca_der));
    } else if (str_starts(path, STR("/crl/"))) {
        send_crl(r, str_skip(path, 5));
    } else if (str_eq(path, STR("/healthz"))) {
        answer_text(r->ex, r->client->app->draining ? 503 : 200,
                    r->client->app->draining ? "draining" : "ok");
    } else if (str_eq(path, STR("/block-page"))) {
        answer_sample_page(r->ex, s->conf);
    } else if (str_eq(path, STR("/"))) {
        send_index(r);
    } else {
        answer_text(r->ex, 404, "photogate has no such page; / lists what it has");
    }
}
