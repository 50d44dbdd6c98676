/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/tunnel.h"

#include "common/clock.h"
#include "common/err.h"
#include "common/mem.h"
#include "proxy/access.h"
#include "proxy/exch/relay.h"
#include "proxy/peek.h"
#include "proxy/request.h"

#include <stdlib.h>

struct tunnel {
    struct client *client;
    struct conn *origin;
    struct relay *relay; /* NULL while the first bytes are looked at */
    struct buf first;
    uint64_t from_origin; /* sent on before the relay began */
    char *sni;
    bool upgraded; /* what follows a 101: its request has been judged */
    struct grave grave;
};

static void bury(struct grave *g)
{
    struct tunnel *t = CONTAINER_OF(g, struct tunnel, grave);
    buf_free(&t->first);
    free(t->sni);
    free(t);
}

static void finish(struct tunnel *t, const char *result, uint64_t in, uint64_t out)
{
    struct client *c = t->client;
    const struct access_tunnel line = {
        .client = c, .sni = t->sni, .result = result, .in = in, .out = out + t->from_origin};
    access_tunnel(c->app, &line);
    worker_bury(&c->app->worker, &t->grave, bury);
    client_free(c);
}

static void on_relay_done(void *ctx, const struct relay_end *end)
{
    finish(ctx, end->err == 0 ? "closed" : err_str(end->err), end->from_client, end->from_origin);
}

static void begin_relay(struct tunnel *t, struct bytes *to_origin)
{
    const struct conf *conf = client_conf(t->client);
    t->relay = relay_start(t->client->conn, t->origin, to_origin, STR_NONE,
                           conf->proxy.timeouts.tunnel_idle, conf->proxy.timeouts.tunnel_half,
                           on_relay_done, t);
}

static void end_early(struct tunnel *t, const char *result)
{
    conn_close(t->client->conn);
    conn_close(t->origin);
    finish(t, result, t->first.len, 0);
}

/* TLS clients are told by an alert, so that a browser says "refused" and not "broken"; HTTP clients
 * by a 403. */
static void refuse(struct tunnel *t, const char *why)
{
    static const uint8_t access_denied[] = {21, 3, 3, 0,
                                            2,  2, 49}; /* RFC 8446, 6.2: fatal access_denied */
    struct conn *client = t->client->conn;
    if (t->first.len > 0 && t->first.ptr[0] >= 20 && t->first.ptr[0] <= 24) { /* a record's type */
        conn_write(client, access_denied, sizeof(access_denied));
    } else {
        struct buf answer = {0};
        buf_printf(&answer,
                   "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: "
                   "%zu\r\nConnection: close\r\n\r\n%s\n",
                   strlen(why) + 1, why);
        conn_write(client, answer.ptr, answer.len);
        buf_free(&answer);
    }
    conn_close(t->origin);
    conn_linger(client, 2000, 2000);
    finish(t, why, t->first.len, 0);
}

static bool watches_only(const struct snapshot *s, const struct client *c)
{
    return conf_mode_for(s->conf, &c->conn_ip) == MODE_MONITOR ||
           ip_in_any(&c->conn_ip, filters_never_networks(s->filters));
}

static void look(struct tunnel *t)
{
    struct client *c = t->client;
    const struct snapshot *s = c->app->hold->snapshot;
    struct peek seen;
    peek_judge(s->filters, str_z(c->host), c->port, buf_view(&t->first), &seen);
    if (seen.verdict == PEEK_MORE) {
        return;
    }
    if (seen.hello.sni[0] != '\0') {
        t->sni = xstrdup(seen.hello.sni);
    }
    if (seen.verdict == PEEK_REFUSE) {
        if (!watches_only(s, c)) {
            c->app->count.blocked++;
            refuse(t, seen.why);
            return;
        }
        c->app->count.would_block++;
    }
    struct bytes first = {.pool = &c->app->worker.chunks};
    bytes_append(&first, t->first.ptr, t->first.len);
    buf_free(&t->first);
    begin_relay(t, &first);
}

static void on_client_data(struct conn *conn, const uint8_t *p, size_t len)
{
    struct tunnel *t = conn->owner;
    buf_put(&t->first, p, len);
    look(t);
}

static void on_client_eof(struct conn *conn)
{
    struct tunnel *t = conn->owner;
    if (t->first.len > 0) {
        end_early(t, "closed before its first message was complete");
        return;
    }
    struct bytes none = {.pool = &conn->worker->chunks};
    begin_relay(t, &none); /* it only wants to listen: there is nothing to look at */
}

static void on_silence(struct timer *timer)
{
    end_early(CONTAINER_OF(timer, struct conn, timer)->owner, "timed out");
}

/* A server that speaks first (no web server does) is heard; the client's first bytes are looked at
 * all the same. */
static void on_origin_data(struct conn *conn, const uint8_t *p, size_t len)
{
    struct tunnel *t = conn->owner;
    t->from_origin += len;
    conn_write_now(t->client->conn, p, len);
    if (conn_is_full(t->client->conn)) {
        conn_stop(conn, PAUSE_NO_ROOM);
    }
}

static void on_origin_eof(struct conn *conn)
{
    const struct tunnel *t = conn->owner;
    struct client *c = t->client;
    conn_finish(c->conn);
    timer_set(&c->app->worker.timers, &c->conn->timer, client_conf(c)->proxy.timeouts.tunnel_half,
              on_silence);
}

static void on_client_room(struct conn *conn)
{
    conn_go_on(((struct tunnel *)conn->owner)->origin, PAUSE_NO_ROOM);
}

static void on_failed(struct conn *conn, int err)
{
    end_early(conn->owner, err_str(err));
}

static const struct conn_ops client_ops = {
    .data = on_client_data, .eof = on_client_eof, .room = on_client_room, .failed = on_failed};
static const struct conn_ops origin_ops = {
    .data = on_origin_data, .eof = on_origin_eof, .failed = on_failed};

void tunnel_start(struct client *c, struct conn *origin, struct bytes *rest)
{
    struct tunnel *t = xnew(struct tunnel);
    t->client = c;
    t->origin = origin;
    c->stage = STAGE_TUNNEL;
    c->tunnel = t;
    c->app->count.tunnels++;
    conn_own(c->conn, &client_ops, t);
    conn_own(origin, &origin_ops, t);
    timer_set(&c->app->worker.timers, &c->conn->timer, client_conf(c)->proxy.timeouts.tunnel_idle,
              on_silence);
    conn_read(c->conn);
    conn_read(origin);
    if (rest->len > 0) {
        bytes_copy(rest, buf_room(&t->first, rest->len), rest->len);
        t->first.len = rest->len;
        bytes_drop(rest, rest->len);
        look(t);
    }
    if (c->conn->eof && t->relay == NULL && !c->conn->closed && !c->conn->linger) {
        on_client_eof(c->conn); /* it came before the tunnel stood */
    }
}

void tunnel_upgraded(struct exch *ex, struct str rest)
{
    struct client *c = ex->app_conn;
    const struct request *r = request_of(ex);
    struct tunnel *t = xnew(struct tunnel);
    struct bytes ahead = {.pool = &c->app->worker.chunks};
    t->client = c;
    t->upgraded = true;
    free(c->host);
    c->host = xstrndup(r->host.ptr, r->host.len);
    c->port = r->port;
    t->origin = exch_take_origin(ex);
    c->conn = client_h1_take(ex, &ahead);
    c->stage = STAGE_TUNNEL;
    c->tunnel = t;
    const struct conf *conf = client_conf(c);
    t->relay = relay_start(c->conn, t->origin, &ahead, rest, conf->proxy.timeouts.tunnel_idle,
                           conf->proxy.timeouts.tunnel_half, on_relay_done, t);
}

void tunnel_close(struct tunnel *t)
{
    if (t->relay != NULL) {
        relay_close(t->relay);
    } else {
        end_early(t, "closed by the proxy");
    }
}

bool tunnel_forbidden(const struct snapshot *s, const struct client *c, struct str host,
                      unsigned port)
{
    if (ip_in_any(&c->conn_ip, filters_never_networks(s->filters)) ||
        filters_host(s->filters, host) == NULL) {
        return false;
    }
    return port == INSPECTED_PORT || conf_mode_for(s->conf, &c->conn_ip) != MODE_MONITOR;
}

bool tunnel_must_end(const struct tunnel *t, const struct snapshot *s)
{
    const struct client *c = t->client;
    if (t->upgraded) {
        return false;
    }
    return tunnel_forbidden(s, c, str_z(c->host), c->port) ||
           (t->sni != NULL && !watches_only(s, c) &&
            filters_host(s->filters, str_z(t->sni)) != NULL);
}
