/* SPDX-License-Identifier: Apache-2.0 */
/* Requests inside an intercepted connection: each must be for the host that CONNECT named, and
 * passes the rules. */
#include "proxy/body.h"
#include "proxy/gate.h"
#include "proxy/http/hop.h"
#include "proxy/tunnel.h"

/* RFC 9110, 7.4: a request that is not for this connection. */
static void misdirected(struct request *r, const char *what)
{
    r->client->app->count.blocked++;
    request_refuse(r, 421, "http_request_error", what);
}

/*
 * origin-form, "*", or absolute-form that says the same as everything else. Sets ex->req.path;
 * false when it was answered.
 */
static bool read_target(struct request *r)
{
    struct msg *m = &r->ex->req;
    struct str target = m->target;
    if (target.ptr[0] == '/' || (str_eq(target, STR("*")) && method_is(m, "OPTIONS"))) {
        m->path = target;
        return true;
    }
    if (str_istarts(target, STR("https://"))) {
        struct str rest = str_skip(target, 8), authority = rest, host;
        unsigned port;
        size_t end = 0;
        while (end < rest.len && rest.ptr[end] != '/' && rest.ptr[end] != '?' &&
               rest.ptr[end] != '#') {
            end++;
        }
        authority.len = end;
        if (hop_authority(authority, &host, &port) && end < rest.len && rest.ptr[end] == '/') {
            m->authority = authority;
            m->path = str_skip(rest, end);
            return true;
        }
    }
    r->ex->close_client = true;
    request_bad(r->ex, 400, "the request's target is not a path");
    return false;
}

static bool same_host(const struct request *r, struct str authority)
{
    struct str host;
    unsigned port;
    if (!hop_authority(authority, &host, &port)) {
        return false;
    }
    if (host.len > 1 && host.ptr[host.len - 1] == '.') {
        host.len--;
    }
    return str_ieq(host, r->host) && (port == 0 || port == r->port);
}

static void inner_request(struct exch *ex)
{
    struct request *r = request_new(ex);
    const struct client *c = r->client;
    struct msg *m = &ex->req;
    r->scheme = "https";
    m->path = m->target;
    if (m->scheme.len > 0 && !str_ieq(m->scheme, STR("https"))) { /* HTTP/2 has it in the head */
        request_bad(ex, 400, "the request's scheme is not https");
        return;
    }
    if (!request_set_host(r, str_z(c->host), c->port)) {
        request_bad(ex, 400, "no host");
        return;
    }
    /* It was inspected when the connection began: it stays so whatever a reload says. */
    r->inspected = true;
    if (method_is(m, "CONNECT")) {
        ex->close_client = true;
        request_bad(ex, 400, "CONNECT inside an inspected connection");
        return;
    }
    if (!read_target(r)) {
        return;
    }
    if (m->authority.len == 0 && m->minor == 0 && msg_count(m, FIELD_HOST) == 0) {
        m->authority = r->host; /* HTTP/1.0 needs no Host: the connection names it */
    }
    if (m->authority.len == 0 || !same_host(r, m->authority) ||
        (msg_count(m, FIELD_HOST) > 0 && !same_host(r, msg_find(m, FIELD_HOST)->value))) {
        misdirected(r, "the request names another host than the connection was made for");
    } else {
        request_judge(r);
    }
}

const struct client_app inspect_app = {
    .exch =
        {
            .request = inner_request,
            .response = request_response,
            .held = body_more,
            .upgraded = tunnel_upgraded,
            .bad_request = request_bad,
            .bad_gateway = request_gateway,
            .done = request_done,
        },
    .odd = gate_odd,
    .gone = gate_gone,
};
