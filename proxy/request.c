/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/request.h"

#include "common/err.h"
#include "common/mem.h"
#include "proxy/body.h"

#include <time.h>

struct request *request_of(const struct exch *ex)
{
    return ex->app_data;
}

const struct conf *request_conf(const struct request *r)
{
    return r->hold->snapshot->conf;
}

struct request *request_new(struct exch *ex)
{
    struct request *r = arena_zalloc(&ex->arena, sizeof(*r));
    r->ex = ex;
    r->client = ex->app_conn;
    r->hold = hold_ref(r->client->app->hold);
    r->scheme = "http";
    ex->app_data = r;
    r->client->app->count.requests++;
    return r;
}

bool request_set_host(struct request *r, struct str host, unsigned port)
{
    if (host.len > 1 && host.ptr[host.len - 1] == '.') {
        host.len--;
    }
    char *z = arena_alloc(&r->ex->arena, host.len + 1);
    for (size_t i = 0; i < host.len; i++) {
        unsigned char c = (unsigned char)host.ptr[i];
        bool good = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
                    c == '-' || c == '.' || c == '_' || c == ':';
        if (!good || c >= 0x80) {
            return false;
        }
        z[i] = ascii_lower((char)c);
    }
    z[host.len] = '\0';
    r->host = str_of(z, host.len);
    r->port = port;
    r->inspected =
        filters_host(r->hold->snapshot->filters, r->host) != NULL &&
        !ip_in_any(&r->client->conn_ip, filters_never_networks(r->hold->snapshot->filters));
    return host.len > 0 && host.len <= 253;
}

void request_refuse(struct request *r, unsigned status, const char *proxy_error, const char *what)
{
    r->verdict = REQUEST_REFUSED;
    r->detail = what;
    answer_refusal(r->ex, request_conf(r), r->host, status, proxy_error, what);
}

/* The request as the filters want it. */
static struct filter_request describe(const struct request *r)
{
    const struct msg *m = &r->ex->req;
    struct filter_field *fields = arena_alloc(&r->ex->arena, m->field_count * sizeof(*fields));
    unsigned count = 0;
    for (unsigned i = 0; i < m->field_count; i++) {
        if (!m->fields[i].hop) { /* what stays behind is not judged either */
            fields[count++] =
                (struct filter_field){.name = m->fields[i].name, .value = m->fields[i].value};
        }
    }
    bool inside = r->client->stage == STAGE_INNER;
    return (struct filter_request){
        .method = m->method,
        .scheme = str_z(r->scheme),
        .authority = m->authority,
        .target = m->path,
        .field = fields,
        .fields = count,
        .http = r->ex->client->version == 20 ? 20 : 10 + m->minor,
        .connect = inside ? r->host : STR_NONE,
        .sni = inside ? r->host : STR_NONE,
        .body_complete = m->body == BODY_NONE,
        .now = time(NULL),
    };
}

static void note(struct request *r, enum request_verdict verdict, const struct verdict *v)
{
    r->verdict = verdict;
    r->rule = v->rule;
    r->evidence = arena_str(&r->ex->arena, v->evidence);
    r->bypass = arena_str(&r->ex->arena, v->bypass);
    r->user = arena_str(&r->ex->arena, r->client->user); /* a reload may end the login meanwhile */
    incident_new(&r->incident);
}

static void forward(struct request *r)
{
    struct origin_key key = {
        .host = r->host,
        .port = r->port,
        .tls = r->scheme[4] == 's',
        .private_ok = r->inspected,
        .egress = r->hold->snapshot->egress,
    };
    r->ex->req.scheme = str_z(r->scheme);
    exch_forward(r->ex, r->client->app->pool, &key);
}

/* What becomes of it, once no byte of the body can change that. */
static void settle(struct request *r, const struct verdict *v)
{
    struct app *app = r->client->app;
    if (v->kind == VERDICT_PASS) {
        forward(r);
    } else if (v->kind == VERDICT_BYPASS) {
        app->count.bypassed++;
        note(r, REQUEST_BYPASS, v);
        forward(r);
    } else if (conf_mode_for(request_conf(r), &r->client->conn_ip) == MODE_MONITOR) {
        app->count.would_block++;
        note(r, REQUEST_WOULD_BLOCK, v);
        forward(r);
    } else {
        app->count.blocked++;
        note(r, REQUEST_BLOCK, v);
        answer_block(r->ex, r->hold->snapshot, v->rule, r->host, &r->incident);
    }
}

static void on_body_read(struct request *r, const struct verdict *v)
{
    if (v != NULL) {
        settle(r, v);
        return;
    }
    r->client->app->count.blocked++;
    request_refuse(r, 503, "proxy_internal_error",
                   "too many bodies are being read at once; try again in a moment");
}

void request_judge(struct request *r)
{
    if (!r->inspected) {
        forward(r);
        return;
    }
    struct filter_request asked = describe(r);
    struct actor who = {.user = r->client->user, .ip = r->client->conn_ip, .has_ip = true};
    struct verdict v = filters_decide(r->hold->snapshot->filters, &asked, &who, &r->ex->arena);
    if (v.kind == VERDICT_NEED_BODY) {
        body_begin(r, &asked, &who, on_body_read);
    } else {
        settle(r, &v);
    }
}

/*
 * Alt-Svc would send the browser to HTTP/3, past this proxy (RFC 7838, 2): on hosts that are
 * inspected it is dropped.
 */
void request_response(struct exch *ex)
{
    const struct request *r = request_of(ex);
    for (unsigned i = 0; r->inspected && i < ex->res.field_count; i++) {
        struct field *f = &ex->res.fields[i];
        f->hop |= f->id == FIELD_ALT_SVC;
    }
}

/* Ends what has been asked for on the request's behalf. */
static void give_up(struct request *r)
{
    if (r->ask != NULL) {
        auth_cancel(r->ask);
        r->ask = NULL;
    }
    if (r->dial != NULL) {
        dial_cancel(r->dial);
        r->dial = NULL;
    }
    pool_cancel(&r->verify);
    body_cancel(r);
}

void request_bad(struct exch *ex, unsigned status, const char *why)
{
    struct request *r = ex->app_data != NULL ? request_of(ex) : request_new(ex);
    give_up(r);
    r->verdict = REQUEST_REFUSED;
    r->detail = why;
    answer_text(ex, status, why);
}

void request_gateway(struct exch *ex, int err, const char *detail)
{
    struct request *r = request_of(ex);
    r->detail = arena_strz(&ex->arena, str_z(detail));
    answer_gateway(ex, request_conf(r), r->host, err, r->detail);
}

void request_done(struct exch *ex)
{
    struct request *r = request_of(ex);
    if (r == NULL) {
        return; /* the connection ended before a head was there */
    }
    give_up(r);
    if (!method_is(&ex->req, "CONNECT") || ex->res_started) {
        const struct access_request line = {
            .client = r->client,
            .ex = ex,
            .scheme = r->scheme,
            .host = r->host,
            .verdict = r->verdict,
            .rule = r->rule,
            .evidence = r->evidence,
            .bypass = r->bypass,
            .user = r->user,
            .incident = r->rule != NULL ? r->incident.id : NULL,
            .detail = r->detail,
        };
        access_request(r->client->app, &line);
    }
    hold_unref(r->hold);
    ex->app_data = NULL;
}
