/* SPDX-License-Identifier: Apache-2.0 */
/* CONNECT: to be tunnelled, to be opened, or to be refused (docs/architecture.md, "One request's
 * way"). */
#include "common/err.h"
#include "common/mem.h"
#include "proxy/gate.h"
#include "proxy/http/hop.h"
#include "proxy/tunnel.h"

#include <stdlib.h>
#include <sys/uio.h>

static const char established[] = "HTTP/1.1 200 Connection established\r\n\r\n";

/* The exchange is over, the connection goes on as something else. */
static struct client *take(struct request *r, struct bytes *rest)
{
    struct client *c = r->client;
    struct exch *ex = r->ex;
    free(c->host);
    c->host = xstrndup(r->host.ptr, r->host.len);
    c->port = r->port;
    c->http = NULL;
    rest->pool = &c->app->worker.chunks;
    c->conn = client_h1_take(ex, rest);
    conn_write(c->conn, established, sizeof(established) - 1);
    return c;
}

/* Names and handshakes take a while: the password may have been changed meanwhile. */
static bool login_stands(struct request *r)
{
    if (client_login_stands(r->client)) {
        return true;
    }
    gate_ask_for_login(r, "the login was ended", "The password was changed; log in again.");
    return false;
}

/* ---- tunnel ---- */

static void on_dialed(void *ctx, const struct dial_result *result)
{
    struct request *r = ctx;
    r->dial = NULL;
    if (result->err != 0) {
        request_gateway(r->ex, result->err, result->detail);
        return;
    }
    if (!login_stands(r)) {
        conn_close(result->conn);
        return;
    }
    const struct snapshot *now = r->client->app->hold->snapshot;
    if (now != r->hold->snapshot && tunnel_forbidden(now, r->client, r->host, r->port)) {
        /* decided before a reload, and no tunnel is made any more that it would have closed */
        conn_close(result->conn);
        request_refuse(r, 503, "proxy_configuration_error",
                       "the proxy's configuration has just changed; try again");
        return;
    }
    struct bytes rest = {0};
    struct client *c = take(r, &rest);
    tunnel_start(c, result->conn, &rest);
}

static void start_tunnel(struct request *r)
{
    const struct egress *e = r->hold->snapshot->egress;
    r->dial =
        dial_start(&r->client->app->worker, &e->dial, r->host, r->port, r->inspected, on_dialed, r);
}

/* ---- inspect ---- */

static void on_handshake_over(struct client *c, const char *why)
{
    access_handshake(c->app, c, why);
    conn_linger(c->conn, 1000, 1000); /* the alert still has to leave */
    client_free(c);
}

static void on_secured(struct conn *conn, int err)
{
    struct client *c = conn->owner;
    timer_clear(&conn->timer);
    if (err != 0) {
        on_handshake_over(c, conn->top->detail);
        return;
    }
    c->stage = STAGE_INNER;
    client_start_http(c, &inspect_app);
}

static void on_data(struct conn *conn, const uint8_t *p, size_t len)
{
    (void)conn;
    (void)p;
    (void)len; /* none comes before `secured` */
}

static void on_eof(struct conn *conn)
{
    on_handshake_over(conn->owner, "the connection was closed during the TLS handshake");
}

static void on_failed(struct conn *conn, int err)
{
    on_handshake_over(conn->owner, err_str(err));
}

static const struct conn_ops securing_ops = {
    .data = on_data, .eof = on_eof, .failed = on_failed, .secured = on_secured};

static void on_timeout(struct timer *t)
{
    on_handshake_over(CONTAINER_OF(t, struct conn, timer)->owner,
                      "the client did not finish the TLS handshake in time");
}

static struct origin_key key_of(const struct request *r)
{
    return (struct origin_key){
        .host = r->host,
        .port = r->port,
        .tls = true,
        .private_ok = true,
        .client = r->client->number,
        .egress = r->hold->snapshot->egress,
    };
}

static void on_verified(struct pool_wait *wait, int err, const char *detail)
{
    struct request *r = CONTAINER_OF(wait, struct request, verify);
    if (err != 0) {
        request_gateway(r->ex, err, detail);
        return;
    }
    if (!login_stands(r)) {
        return;
    }
    /* The client is offered what the origin speaks: it then does what it would without us. */
    const struct origin_key key = key_of(r);
    struct str alpn = pool_speaks_h2(r->client->app->pool, &key) ? ALPN_H2_H1 : ALPN_H1;
    struct bytes rest = {0};
    struct client *c = take(r, &rest);
    struct conn *conn = c->conn;
    c->stage = STAGE_INNER_TLS;
    conn_own(conn, &securing_ops, c);
    tls_accept(conn, c->hold->tls, str_z(c->host), alpn, SNI_MUST_MATCH);
    timer_set(&c->app->worker.timers, &conn->timer, client_conf(c)->proxy.timeouts.client_tls,
              on_timeout);
    conn_read(conn);
    while (rest.len > 0 && !conn->closed && !conn->linger) {
        struct iovec iov;
        bytes_peek(&rest, &iov, 1);
        tls_feed(conn->top, iov.iov_base, iov.iov_len);
        bytes_drop(&rest, iov.iov_len);
    }
    bytes_free(&rest);
    if (conn->eof && c->stage == STAGE_INNER_TLS && !conn->closed && !conn->linger) {
        on_eof(conn); /* it went while the origin was being reached */
    }
}

static void start_inspect(struct request *r)
{
    const struct origin_key key = key_of(r);
    r->verify.told = on_verified;
    pool_verify(r->client->app->pool, &r->verify, &key);
}

/* ---- the decision ---- */

static bool is_own_name(const struct request *r)
{
    const struct conf *c = request_conf(r);
    return c->public_host.len > 0 && str_eq(r->host, c->public_host);
}

bool connect_target(struct request *r)
{
    struct str host;
    unsigned port;
    /* The target comes from the request line, never from Host: clients differ in what they put
     * there. */
    bool good = hop_authority(r->ex->req.target, &host, &port) && port != 0 &&
                request_set_host(r, host, port);
    r->ex->req.path = STR_NONE;
    if (!good) {
        r->ex->close_client = true;
        request_bad(r->ex, 400, "CONNECT wants host:port");
    }
    return good;
}

void connect_request(struct request *r)
{
    const struct conf *c = request_conf(r);
    if (is_own_name(r)) {
        request_refuse(r, 403, "proxy_loop_detected", "this is the proxy itself");
    } else if (!conf_port_allowed(&c->proxy.connect_ports, r->port)) {
        request_refuse(r, 403, "http_request_denied", "this port is not in [proxy] connect_ports");
    } else if (conf_host_listed(&c->access.deny, r->host) ||
               (c->access.allow.count > 0 && !conf_host_listed(&c->access.allow, r->host))) {
        request_refuse(r, 403, "http_request_denied", "this host is not allowed by [access]");
    } else if (!r->inspected) {
        start_tunnel(r);
    } else if (r->port == INSPECTED_PORT) {
        start_inspect(r);
    } else if (conf_mode_for(c, &r->client->conn_ip) == MODE_MONITOR) {
        start_tunnel(r);
    } else {
        request_refuse(
            r, 403, "http_request_denied",
            "this host may be reached on port 443 only, where its requests can be judged");
    }
}
