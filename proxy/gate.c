/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/gate.h"

#include "common/clock.h"
#include "common/err.h"
#include "common/log.h"
#include "common/mem.h"
#include "proxy/body.h"
#include "proxy/http/hop.h"
#include "proxy/tunnel.h"

#include <openssl/crypto.h>

#include <stdlib.h>

/* ---- the client's life ---- */

struct hold *hold_ref(struct hold *h)
{
    h->refs++;
    return h;
}

void hold_unref(struct hold *h)
{
    if (--h->refs == 0) {
        server_tls_unref(h->tls);
        snapshot_unref(h->snapshot);
        free(h);
    }
}

struct client *client_new(struct app *app, struct conn *conn, unsigned door)
{
    struct client *c = xnew(struct client);
    c->app = app;
    c->hold = hold_ref(app->hold);
    c->conn = conn;
    c->conn_ip = conn->peer_ip;
    c->number = ++app->last_number;
    c->door = door;
    c->host = xstrdup("");
    c->since_ns = clock_ns();
    list_append(&app->clients, &c->link);
    app->client_count++;
    app->count.connections++;
    return c;
}

static void bury(struct grave *g)
{
    struct client *c = CONTAINER_OF(g, struct client, grave);
    hold_unref(c->hold);
    client_log_out(c);
    free(c->host);
    free(c);
}

void client_log_out(struct client *c)
{
    free((char *)(uintptr_t)c->user.ptr);
    free((char *)(uintptr_t)c->user_hash.ptr);
    c->user = c->user_hash = STR_NONE;
}

void client_logged_in(struct client *c, struct str user, const struct htpasswd *by)
{
    struct str hash;
    client_log_out(c);
    if (htpasswd_find(by, user, &hash)) {
        c->user = str_of(xstrndup(user.ptr, user.len), user.len);
        c->user_hash = str_of(xstrndup(hash.ptr, hash.len), hash.len);
    }
}

bool client_login_stands(const struct client *c)
{
    const struct htpasswd *now = c->app->hold->snapshot->htpasswd;
    struct str hash;
    return c->user.len == 0 ||
           (now != NULL && htpasswd_find(now, c->user, &hash) && str_eq(hash, c->user_hash));
}

void client_free(struct client *c)
{
    list_drop(&c->link);
    c->app->client_count--;
    pool_client_gone(c->app->pool, c->number);
    worker_bury(&c->app->worker, &c->grave, bury);
}

void client_close(struct client *c)
{
    switch (c->stage) {
    case STAGE_OUTER:
    case STAGE_INNER:
        c->http->close(c->http);
        break;
    case STAGE_TUNNEL:
        tunnel_close(c->tunnel);
        break;
    case STAGE_OUTER_TLS:
    case STAGE_INNER_TLS:
        conn_close(c->conn);
        client_free(c);
        break;
    }
}

void client_start_http(struct client *c, const struct client_app *http_app)
{
    const struct client_conf *conf = &c->hold->snapshot->client;
    bool h2 = c->conn->top != NULL && str_eq(tls_alpn(c->conn->top), STR("h2"));
    c->http = h2 ? client_h2_new(c->conn, c->number, conf, http_app, c)
                 : client_h1_new(c->conn, c->number, conf, http_app, c, STR_NONE);
    if (c->app->draining) {
        c->http->drain(c->http);
    }
}

void gate_odd(void *app_conn, const struct client_oddities *o)
{
    struct client *c = app_conn;
    c->app->count.glitches += o->glitches;
    access_oddities(c->app, c, o);
}

void gate_gone(void *app_conn)
{
    client_free(app_conn);
}

/* ---- requests in the clear, or inside a TLS listener ---- */

void gate_ask_for_login(struct request *r, const char *detail, const char *text)
{
    r->verdict = REQUEST_REFUSED;
    r->detail = detail;
    answer_challenge(r->ex, text);
}

static void on_login(void *ctx, enum auth_answer answer)
{
    struct request *r = ctx;
    struct client *c = r->client;
    r->ask = NULL;
    switch (answer) {
    case AUTH_YES:
        client_logged_in(c, r->login, r->hold->snapshot->htpasswd);
        if (client_login_stands(c)) {
            r->admitted(r);
            return;
        }
        client_log_out(c); /* the password was changed while it was checked */
        break;
    case AUTH_NO:
        break;
    case AUTH_BUSY:
        request_refuse(r, 503, "proxy_internal_error",
                       "too many logins are being checked; try again in a moment");
        return;
    }
    gate_ask_for_login(r, "wrong user name or password",
                       "Wrong user name or password for the proxy.");
}

/*
 * Settles who asks, then goes on with `admitted`. A login is for one request (RFC 7617, 2), or for
 * what a CONNECT opens: who was there before on this connection does not count.
 */
static void admit(struct request *r, void (*admitted)(struct request *r))
{
    const struct snapshot *s = r->hold->snapshot;
    const struct conf_listeners *listeners = &s->conf->proxy.listen;
    struct client *c = r->client;
    int auth = c->door < listeners->count ? listeners->item[c->door].auth : AUTH_NONE;
    const struct field *login = msg_find(&r->ex->req, FIELD_PROXY_AUTHORIZATION);
    r->admitted = admitted;
    client_log_out(c);
    if (auth == AUTH_NONE || s->htpasswd == NULL || (auth == AUTH_OPTIONAL && login == NULL)) {
        admitted(r);
        return;
    }
    struct buf text = {0};
    struct str user, password;
    if (login == NULL) {
        gate_ask_for_login(r, "no login", "This proxy address asks for a user name and password.");
    } else if (msg_count(&r->ex->req, FIELD_PROXY_AUTHORIZATION) != 1 ||
               !auth_parse_basic(login->value, &text, &user, &password)) {
        gate_ask_for_login(r, "a login of another kind than Basic",
                           "This proxy address asks for a user name and password.");
    } else {
        r->login = arena_str(&r->ex->arena, user);
        r->ask = auth_check(c->app->auth, s->htpasswd, user, password, on_login, r);
    }
    if (text.ptr != NULL) {
        OPENSSL_cleanse(text.ptr, text.cap);
    }
    buf_free(&text);
}

static void forward_plain(struct request *r)
{
    const struct conf *c = request_conf(r);
    if (!conf_port_allowed(&c->proxy.http_ports, r->port)) {
        request_refuse(r, 403, "http_request_denied", "this port is not in [proxy] http_ports");
    } else if (conf_host_listed(&c->access.deny, r->host) ||
               (c->access.allow.count > 0 && !conf_host_listed(&c->access.allow, r->host))) {
        request_refuse(r, 403, "http_request_denied", "this host is not allowed by [access]");
    } else {
        request_judge(r);
    }
}

/*
 * absolute-form (RFC 9112, 3.2.2): the target says where to go, and a Host that says something else
 * is replaced. False when it is malformed.
 */
static bool split_absolute(struct request *r)
{
    struct msg *m = &r->ex->req;
    struct str rest = str_skip(m->target, 7), authority = rest, host;
    unsigned port;
    size_t end = 0;
    while (end < rest.len && rest.ptr[end] != '/' && rest.ptr[end] != '?' && rest.ptr[end] != '#') {
        end++;
    }
    authority.len = end;
    if (str_index(rest, '#') >= 0 || !hop_authority(authority, &host, &port) ||
        !request_set_host(r, host, port != 0 ? port : 80)) {
        return false;
    }
    m->authority = authority;
    m->path = str_skip(rest, end);
    if (m->path.len == 0) {
        m->path = method_is(m, "OPTIONS") ? STR("*") : STR("/"); /* RFC 9112, 3.2.4 */
    } else if (m->path.ptr[0] == '?') {
        char *path = arena_alloc(&r->ex->arena, m->path.len + 1);
        path[0] = '/';
        memcpy(path + 1, m->path.ptr, m->path.len);
        m->path = str_of(path, m->path.len + 1);
    }
    return true;
}

static void outer_request(struct exch *ex)
{
    struct request *r = request_new(ex);
    struct msg *m = &ex->req;
    if (!ip_in_any(&r->client->conn_ip, &request_conf(r)->proxy.clients)) {
        ex->close_client = true;
        request_refuse(r, 403, "http_request_denied",
                       "your address is not in [proxy] clients of this proxy");
    } else if (method_is(m, "CONNECT")) {
        if (connect_target(r)) {
            admit(r, connect_request);
        }
    } else if (m->target.ptr[0] == '/' || str_eq(m->target, STR("*"))) {
        m->path = m->target;
        local_request(r);
    } else if (str_istarts(m->target, STR("http://"))) {
        if (!split_absolute(r)) {
            ex->close_client = true;
            request_bad(ex, 400, "the request's target is not a usable address");
        } else if (local_is_own(r)) {
            local_request(r);
        } else {
            admit(r, forward_plain);
        }
    } else {
        ex->close_client = true;
        request_bad(ex, 400,
                    str_istarts(m->target, STR("https://"))
                        ? "to reach https:// addresses through this proxy use CONNECT"
                        : "the request's target is not an http:// address");
    }
}

static const struct client_app outer_app = {
    .exch =
        {
            .request = outer_request,
            .response = request_response,
            .held = body_more,
            .upgraded = tunnel_upgraded,
            .bad_request = request_bad,
            .bad_gateway = request_gateway,
            .done = request_done,
        },
    .gone = gate_gone,
};

static void start_requests(struct client *c)
{
    c->stage = STAGE_OUTER;
    client_start_http(c, &outer_app);
}

/* ---- a TLS listener ---- */

static void on_outer_secured(struct conn *conn, int err)
{
    struct client *c = conn->owner;
    timer_clear(&conn->timer);
    if (err == 0) {
        start_requests(c);
        return;
    }
    access_handshake(c->app, c, conn->top->detail);
    conn_linger(conn, 1000, 1000);
    client_free(c);
}

static void on_early_data(struct conn *conn, const uint8_t *p, size_t len)
{
    (void)conn;
    (void)p;
    (void)len; /* none comes before `secured` */
}

static void on_early_end(struct conn *conn)
{
    struct client *c = conn->owner;
    access_handshake(c->app, c, "the connection was closed during the TLS handshake");
    client_close(c);
}

static void on_early_failure(struct conn *conn, int err)
{
    (void)err;
    on_early_end(conn);
}

static const struct conn_ops outer_tls_ops = {.data = on_early_data,
                                              .eof = on_early_end,
                                              .failed = on_early_failure,
                                              .secured = on_outer_secured};

static void on_handshake_timeout(struct timer *t)
{
    struct client *c = CONTAINER_OF(t, struct conn, timer)->owner;
    access_handshake(c->app, c, "the client did not finish the TLS handshake in time");
    client_close(c);
}

void gate_accepted(struct listener *l, struct conn *conn)
{
    struct door *door = l->owner;
    struct app *app = door->app;
    const struct conf *conf = app->hold->snapshot->conf;
    if (app->client_count >= (unsigned)conf->proxy.limits.connections) {
        log_warn("too many connections, one is turned away",
                 L_NUM("limit", conf->proxy.limits.connections));
        conn_close(conn);
        return;
    }
    struct client *c = client_new(app, conn, door->index);
    bool tls = door->index < conf->proxy.listen.count && conf->proxy.listen.item[door->index].tls;
    if (!tls) {
        start_requests(c);
        return;
    }
    c->stage = STAGE_OUTER_TLS;
    conn_own(conn, &outer_tls_ops, c);
    tls_accept(conn, c->hold->tls, conf->public_host, ALPN_H1, SNI_ANY);
    timer_set(&app->worker.timers, &conn->timer, conf->proxy.timeouts.client_tls,
              on_handshake_timeout);
    conn_read(conn);
}
