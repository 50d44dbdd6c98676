/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/access.h"

#include "common/clock.h"

static const char *const verdict_name[] = {"pass", "block", "bypass", "would-block", "refused"};

static void put_string(struct buf *b, const char *key, struct str value)
{
    buf_printf(b, ",\"%s\":", key);
    buf_json(b, value);
}

static void put_number(struct buf *b, const char *key, uint64_t value)
{
    buf_printf(b, ",\"%s\":", key);
    buf_u64(b, value);
}

static void begin(struct app *app, const struct client *c, const char *event)
{
    struct buf *b = &app->line;
    buf_clear(b);
    buf_z(b, "{\"time\":\"");
    clock_now_rfc3339(b);
    buf_printf(b, "\",\"event\":\"%s\",\"id\":\"%u-%llu\",\"client\":\"", event, app->index,
               (unsigned long long)c->number);
    ip_put(b, &c->conn_ip);
    buf_char(b, '"');
}

static void finish(struct buf *b, struct logring *ring)
{
    buf_z(b, "}\n");
    (void)logring_put(ring, buf_view(b)); /* counted there when it does not fit */
}

/* The path alone: a query may hold a token. */
static struct str path_of(const struct msg *req)
{
    struct str path = req->path, rest;
    rest = path;
    struct str head;
    return str_cut(&rest, '?', &head) ? head : path;
}

static const char *outcome_name(enum exch_outcome outcome)
{
    switch (outcome) {
    case EXCH_CLIENT_GONE:
        return "client gone";
    case EXCH_ORIGIN_BROKE:
        return "origin broke off";
    case EXCH_TIMED_OUT:
        return "timed out";
    case EXCH_OPEN:
    case EXCH_COMPLETE:
        break;
    }
    return NULL;
}

static void put_request(struct app *app, const struct access_request *r, const char *event)
{
    struct buf *b = &app->line;
    const struct exch *ex = r->ex;
    begin(app, r->client, event);
    put_string(b, "method", ex->req.method);
    put_string(b, "scheme", str_z(r->scheme));
    put_string(b, "host", r->host);
    put_string(b, "path", path_of(&ex->req));
    put_number(b, "status", ex->res_started ? ex->res.status : 0);
    if (r->verdict != REQUEST_PASS) {
        put_string(b, "verdict", str_z(verdict_name[r->verdict]));
    }
    if (r->rule != NULL) {
        put_string(b, "rule", str_z(r->rule->id));
    }
    if (r->incident != NULL) {
        put_string(b, "incident", str_z(r->incident));
    }
    const char *outcome = outcome_name(ex->outcome);
    if (outcome != NULL) {
        put_string(b, "outcome", str_z(outcome));
    }
    if (r->detail != NULL) {
        put_string(b, "detail", str_z(r->detail));
    }
}

void access_request(struct app *app, const struct access_request *r)
{
    struct buf *b = &app->line;
    const struct exch *ex = r->ex;
    if (app->access_log != NULL) {
        uint64_t now = clock_ns(), us = ex->started_ns != 0 ? (now - ex->started_ns) / 1000 : 0;
        put_request(app, r, "request");
        put_number(b, "in", ex->req_bytes);
        put_number(b, "out", ex->res_bytes);
        buf_printf(b, ",\"ms\":%llu.%03u", (unsigned long long)(us / 1000), (unsigned)(us % 1000));
        finish(b, app->access_log);
    }
    if (r->rule != NULL && app->block_log != NULL) {
        put_request(app, r, verdict_name[r->verdict]);
        if (r->user.len > 0) {
            put_string(b, "user", r->user);
        }
        put_string(b, "why", str_z(r->rule->why));
        if (r->evidence.len > 0) {
            put_string(b, "evidence", r->evidence);
        }
        if (r->bypass.len > 0) {
            put_string(b, "bypass", r->bypass);
        }
        buf_printf(b, ",\"source\":\"%s:%u\"", r->rule->file, r->rule->line);
        finish(b, app->block_log);
    }
}

void access_tunnel(struct app *app, const struct access_tunnel *t)
{
    struct buf *b = &app->line;
    if (app->access_log == NULL) {
        return;
    }
    begin(app, t->client, "tunnel");
    put_string(b, "host", str_z(t->client->host));
    put_number(b, "port", t->client->port);
    if (t->sni != NULL && t->sni[0] != '\0' && !str_eq(str_z(t->sni), str_z(t->client->host))) {
        put_string(b, "sni", str_z(t->sni));
    }
    put_string(b, "result", str_z(t->result));
    put_number(b, "in", t->in);
    put_number(b, "out", t->out);
    put_number(b, "ms", (clock_ns() - t->client->since_ns) / 1000000);
    finish(b, app->access_log);
}

void access_oddities(struct app *app, const struct client *client, const struct client_oddities *o)
{
    struct buf *b = &app->line;
    if (app->access_log == NULL) {
        return;
    }
    begin(app, client, "http2");
    put_string(b, "host", str_z(client->host));
    put_number(b, "glitches", o->glitches);
    put_number(b, "heads_aborted", o->aborted_heads);
    if (o->fault != NULL) {
        put_string(b, "result", str_z(o->fault));
    }
    finish(b, app->access_log);
}

void access_handshake(struct app *app, const struct client *client, const char *why)
{
    struct buf *b = &app->line;
    app->count.tls_failed++;
    if (app->access_log == NULL) {
        return;
    }
    begin(app, client, "handshake");
    put_string(b, "host", str_z(client->host));
    put_string(b, "result", str_z(why));
    finish(b, app->access_log);
}
