/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The proxy's part of a worker and of a client's connection: what the files of this floor share.
 * One `app` a worker; a `client` is one connection from a browser, through all its stages: requests
 * in the clear, CONNECT, TLS, tunnel.
 */
#ifndef PROXY_APP_H
#define PROXY_APP_H

#include "proxy/auth.h"
#include "proxy/exch/client_h1.h"
#include "proxy/exch/client_h2.h"
#include "proxy/net/listen.h"
#include "proxy/net/tls_server.h"
#include "proxy/snapshot.h"

struct app;

/* A worker's hold on a snapshot: connections that began under it count on it without touching other
 * threads. */
struct hold {
    struct snapshot *snapshot;
    struct app *app;
    struct server_tls *tls; /* for this snapshot's CA */
    unsigned refs;
};

/* One accept address of a worker. */
struct door {
    struct listener listener;
    struct app *app;
    unsigned index; /* in conf->proxy.listen */
};

struct app {
    struct worker worker;
    unsigned index;
    struct hold *hold; /* the current one */
    struct pool *pool;
    struct leaves *leaves;
    struct auth_port *auth;
    struct door *doors;
    size_t door_count;
    struct list clients; /* struct client */
    unsigned client_count;
    uint64_t last_number;
    struct buf crl; /* of the issuing CA in DER, from the signer; empty until it has answered */
    struct timer crl_timer;
    struct logring *access_log, *block_log;
    struct buf line;  /* for log lines, reused */
    size_t body_held; /* bytes that wait for a verdict: body.c */
    bool draining;
    const uint8_t *tickets;
    struct {
        uint64_t connections, requests, tunnels, blocked, bypassed, would_block, tls_failed,
            glitches;
    } count;
};

enum client_stage {
    STAGE_OUTER_TLS, /* handshake of a TLS listener */
    STAGE_OUTER,     /* requests to the proxy itself */
    STAGE_INNER_TLS, /* handshake after CONNECT */
    STAGE_INNER,     /* requests to the origin that CONNECT named */
    STAGE_TUNNEL,
};

/* Owned by its worker's list; freed by client_free() when its connection is gone. */
struct client {
    struct list link;
    struct app *app;
    struct hold
        *hold; /* the snapshot that its connection began under; requests are judged by app->hold */
    struct conn *conn;
    struct ip conn_ip;
    uint64_t number;  /* unique in the worker */
    size_t body_held; /* bytes that wait for a verdict: body.c */
    enum client_stage stage;
    unsigned door;
    struct str user;      /* authenticated; empty: nobody. Owned */
    struct str user_hash; /* the line in the password file that this rests on. Owned */

    struct client_end *http; /* OUTER, INNER */
    struct tunnel *tunnel;   /* TUNNEL */
    char *host; /* what CONNECT named: lower case, no trailing dot; empty before. Owned */
    unsigned port;
    uint64_t since_ns;
    struct grave grave;
};

struct app_conf {
    unsigned index, listeners;
    const int *listener;
    int channel;
    struct snapshot *snapshot;
    const struct leafkey *leafkey;
    const uint8_t *tickets;
    struct auth *auth;
    struct logring *access_log, *block_log; /* NULL: not written */
};

/* Opens everything and starts accepting as soon as the loop runs; takes a reference to the
 * snapshot. -errno. */
int app_init(struct app *app, const struct app_conf *conf) MUSTCHECK;

/* From now on `s` (whose reference it takes) holds for new connections and requests. */
void app_publish(struct app *app, struct snapshot *s);

/* No new connections; those that are idle end, those at work end after it. Tunnels stay until
 * app_close_clients(). */
void app_drain(struct app *app);
void app_close_clients(struct app *app);

/* Ends everything; the loop is run until it is empty. */
void app_close(struct app *app);

struct hold *hold_ref(struct hold *h);
void hold_unref(struct hold *h);

static inline const struct conf *client_conf(const struct client *c)
{
    return c->hold->snapshot->conf;
}

/* A client for a connection that was accepted at `door`. */
struct client *client_new(struct app *app, struct conn *conn, unsigned door);

/* `user` is who asks, as the password file `by` says. */
void client_logged_in(struct client *c, struct str user, const struct htpasswd *by);
void client_log_out(struct client *c);

/* False when the user's password was changed, or the user removed, since the login. */
bool client_login_stands(const struct client *c);

/* Its connection is gone, or someone else's to close. */
void client_free(struct client *c);

/* Starts reading requests; when the worker is draining, one is the last. */
void client_start_http(struct client *c, const struct client_app *http_app);

/* Closes whatever stage it is in. */
void client_close(struct client *c);

#endif
