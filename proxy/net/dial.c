/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/net/dial.h"

#include "common/err.h"
#include "common/mem.h"
#include "proxy/net/dns.h"

#include <stdio.h>
#include <stdlib.h>

/* RFC 8305, sections 3 and 5. */
#define WAIT_FOR_V6_MS   50  /* an IPv4 answer waits this long for the IPv6 one */
#define BETWEEN_TRIES_MS 250 /* then the next address is tried beside the last */
#define CANDIDATES_MAX   (2 * DNS_ADDRESSES_MAX)
/* Attempts under way; for one more the oldest, then 1.5 s old, is given up. The last ones have all
 * the time there is. */
#define AT_ONCE_MAX 6

static const char this_proxy[] = "this proxy itself";

struct attempt {
    struct dial *dial;
    struct conn *conn;
    uv_connect_t req;
};

struct dial {
    struct worker *worker;
    const struct dial_rules *rules;
    void (*done)(void *ctx, const struct dial_result *result);
    void *ctx;
    char *host;
    unsigned port;
    bool private_ok, overridden;
    struct dns_lookup *lookup[2]; /* IPv6, IPv4 */
    struct dns_answer answer[2];
    bool answered[2];
    bool connecting; /* candidates are made */
    bool over;
    struct ip candidate[CANDIDATES_MAX];
    unsigned candidate_count, next;
    struct attempt *attempt[AT_ONCE_MAX]; /* oldest first */
    unsigned attempts;
    struct timer deadline, step;
    struct ready ready; /* for a result that is known at once */
    struct grave grave;
    struct dial_result result;
};

static const int family_of[2] = {AF_INET6, AF_INET};

const char *dial_forbids(const struct dial_rules *rules, const struct ip *ip, unsigned port,
                         bool private_ok)
{
    struct ip inside = *ip;
    (void)ip_embedded_v4(ip, &inside);
    const char *special = ip_special(ip);
    for (size_t i = 0; i < rules->self_count; i++) {
        bool any = ip_special(&rules->self[i].ip) != NULL &&
                   str_eq(str_z(ip_special(&rules->self[i].ip)), STR("unspecified"));
        bool here = ip_eq(ip, &rules->self[i].ip) ||
                    (any && special != NULL && str_eq(str_z(special), STR("loopback")));
        if (here && port == rules->self[i].port) {
            return this_proxy;
        }
    }
    if (ip_in_any(ip, &rules->deny) || ip_in_any(&inside, &rules->deny)) {
        return "in [origin] deny_networks";
    }
    if (special == NULL || ip_in_any(ip, &rules->allow) || ip_in_any(&inside, &rules->allow)) {
        return NULL;
    }
    return private_ok && str_eq(str_z(special), STR("private")) ? NULL : special;
}

static void bury(struct grave *g)
{
    struct dial *d = CONTAINER_OF(g, struct dial, grave);
    free(d->host);
    free(d);
}

static void remove_attempt(struct dial *d, const struct attempt *a)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < d->attempts; i++) {
        if (d->attempt[i] != a) {
            d->attempt[kept++] = d->attempt[i];
        }
    }
    d->attempts = kept;
}

static void give_up_oldest(struct dial *d)
{
    struct attempt *a = d->attempt[0];
    remove_attempt(d, a);
    a->dial = NULL;
    conn_close(a->conn); /* its callback comes with ECANCELED and frees the attempt */
}

/* Lets go of everything but the result. */
static void wind_up(struct dial *d)
{
    d->over = true;
    timer_clear(&d->deadline);
    timer_clear(&d->step);
    worker_not_ready(&d->ready);
    for (int i = 0; i < 2; i++) {
        if (d->lookup[i] != NULL) {
            dns_cancel(d->lookup[i]);
            d->lookup[i] = NULL;
        }
    }
    while (d->attempts > 0) {
        give_up_oldest(d);
    }
    worker_bury(d->worker, &d->grave, bury);
}

static void finish(struct dial *d, int err)
{
    if (err != 0) {
        d->result.err = err;
        if (d->result.detail[0] == '\0') {
            snprintf(d->result.detail, sizeof(d->result.detail), "%s", err_str(err));
        }
    } else {
        d->result.err = 0;
    }
    wind_up(d);
    d->done(d->ctx, &d->result);
}

void dial_cancel(struct dial *d)
{
    if (!d->over) {
        wind_up(d);
    }
}

static void on_deadline(struct timer *t)
{
    struct dial *d = CONTAINER_OF(t, struct dial, deadline);
    snprintf(d->result.detail, sizeof(d->result.detail),
             d->connecting ? "no answer within %g s" : "name lookup took over %g s",
             (double)d->rules->timeout_ms / 1000);
    finish(d, d->connecting ? ERR_TIMEOUT : ERR_DNS_TIMEOUT);
}

static void try_next(struct dial *d);

/*
 * Why the connection that stands is one that we do not want, or NULL. Where the kernel has taken us
 * may be another address than it was given (0.0.0.0 is this machine); and a listener on all
 * addresses can be reached by each of them: then both ends of the connection are the same.
 */
static const char *forbids_peer(const struct dial *d, struct conn *c)
{
    struct sockaddr_storage at;
    int len = sizeof(at);
    if (d->overridden) {
        return NULL;
    }
    if (uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&at, &len) != 0) {
        return "gone again";
    }
    c->peer_ip = ip_of_sockaddr((struct sockaddr *)&at);
    len = sizeof(at);
    if (uv_tcp_getsockname(&c->tcp, (struct sockaddr *)&at, &len) != 0) {
        return "gone again";
    }
    struct ip here = ip_of_sockaddr((struct sockaddr *)&at);
    for (size_t i = 0; i < d->rules->self_count; i++) {
        if (d->rules->self[i].port == d->port && ip_eq(&here, &c->peer_ip)) {
            return this_proxy;
        }
    }
    return dial_forbids(d->rules, &c->peer_ip, d->port, d->private_ok);
}

/* Notes why nothing comes of `ip`. */
static void explain(struct dial *d, const struct ip *ip, int err, const char *forbidden)
{
    struct buf b = {0};
    ip_put(&b, ip);
    if (forbidden != NULL) {
        snprintf(d->result.detail, sizeof(d->result.detail), "%s is %s", buf_cstr(&b), forbidden);
    } else {
        snprintf(d->result.detail, sizeof(d->result.detail), "%s port %u: %s", buf_cstr(&b),
                 d->port, err_str(err));
    }
    buf_free(&b);
    d->result.err = err;
}

static void on_connected(uv_connect_t *req, int status)
{
    struct attempt *a = req->data;
    struct dial *d = a->dial;
    struct conn *c = a->conn;
    struct worker *w = c->worker;
    if (d == NULL) {
        free(a);
        return; /* canceled, the connection is closing */
    }
    remove_attempt(d, a);
    free(a);
    const char *forbidden = status == 0 ? forbids_peer(d, c) : NULL;
    if (status == 0 && forbidden == NULL) {
        d->result.conn = c;
        finish(d, 0);
    } else {
        explain(d, &c->peer_ip, status != 0 ? status : ERR_DENIED, forbidden);
        conn_close(c);
        try_next(d);
    }
    worker_drain(w);
}

/* Starts one attempt; false when that address cannot be tried at all. */
static bool start_attempt(struct dial *d, const struct ip *ip)
{
    struct sockaddr_storage to;
    const char *forbidden =
        d->overridden ? NULL : dial_forbids(d->rules, ip, d->port, d->private_ok);
    if (forbidden != NULL) {
        explain(d, ip, ERR_DENIED, forbidden);
        return false;
    }
    struct attempt *a = xnew(struct attempt);
    ip_to_sockaddr(ip, d->port, &to);
    int err = conn_new(d->worker, to.ss_family, &a->conn);
    if (err == 0) {
        a->dial = d;
        a->req.data = a;
        a->conn->peer_ip = *ip;
        a->conn->peer_port = (uint16_t)d->port;
        err = uv_tcp_connect(&a->req, &a->conn->tcp, (struct sockaddr *)&to, on_connected);
        if (err != 0) {
            conn_close(a->conn);
        }
    }
    if (err != 0) {
        explain(d, ip, err, NULL);
        free(a);
        return false;
    }
    if (d->attempts == AT_ONCE_MAX) {
        give_up_oldest(d);
    }
    d->attempt[d->attempts++] = a;
    return true;
}

static void on_step(struct timer *t)
{
    try_next(CONTAINER_OF(t, struct dial, step));
}

static void try_next(struct dial *d)
{
    while (d->next < d->candidate_count) {
        if (start_attempt(d, &d->candidate[d->next++])) {
            if (d->next < d->candidate_count) {
                timer_clear(&d->step);
                timer_set(&d->worker->timers, &d->step, BETWEEN_TRIES_MS, on_step);
            }
            return;
        }
    }
    bool asking = d->lookup[0] != NULL || d->lookup[1] != NULL;
    if (d->attempts == 0 && !asking) {
        finish(d, d->result.err != 0 ? d->result.err : ERR_DNS);
    }
}

/* IPv6 first, then in turns (RFC 8305, 4). */
static void make_candidates(struct dial *d)
{
    d->connecting = true;
    for (unsigned i = 0; i < DNS_ADDRESSES_MAX; i++) {
        for (int f = 0; f < 2; f++) {
            if (i < d->answer[f].count) {
                d->candidate[d->candidate_count++] = d->answer[f].ip[i];
            }
        }
    }
    if (d->candidate_count == 0) { /* IPv4's answer says why: it is the one that most names have */
        snprintf(d->result.detail, sizeof(d->result.detail), "%s", d->answer[1].why);
        finish(d, d->answer[1].err);
        return;
    }
    try_next(d);
}

static void on_waited_for_v6(struct timer *t)
{
    struct dial *d = CONTAINER_OF(t, struct dial, step);
    if (!d->connecting) {
        make_candidates(d);
    }
}

static void on_name(struct dial *d, int f, const struct dns_answer *answer)
{
    d->lookup[f] = NULL;
    d->answered[f] = true;
    if (d->connecting) { /* late: its addresses stand behind the others */
        for (unsigned i = 0; i < answer->count && d->candidate_count < CANDIDATES_MAX; i++) {
            d->candidate[d->candidate_count++] = answer->ip[i];
        }
        if (d->attempts == 0) {
            try_next(d);
        } else if (!timer_is_set(&d->step)) {
            timer_set(&d->worker->timers, &d->step, BETWEEN_TRIES_MS, on_step);
        }
        return;
    }
    d->answer[f] = *answer;
    if (d->answered[0] && d->answered[1]) {
        timer_clear(&d->step);
        make_candidates(d);
    } else if (answer->count > 0 && f == 0) {
        make_candidates(d); /* IPv6 waits for nobody */
    } else if (answer->count > 0) {
        timer_set(&d->worker->timers, &d->step, WAIT_FOR_V6_MS, on_waited_for_v6);
    }
}

static void on_v6(void *ctx, const struct dns_answer *answer)
{
    on_name(ctx, 0, answer);
}

static void on_v4(void *ctx, const struct dns_answer *answer)
{
    on_name(ctx, 1, answer);
}

static void on_literal(struct ready *r)
{
    try_next(CONTAINER_OF(r, struct dial, ready));
}

/* The first override that fits wins, as with curl. */
static void apply_override(struct dial *d, struct str host, unsigned port)
{
    struct str to = host;
    d->port = port;
    for (size_t i = 0; i < d->rules->override_count; i++) {
        const struct dial_override *o = &d->rules->override[i];
        if ((o->host.len == 0 || str_eq(o->host, host)) && (o->port == 0 || o->port == port)) {
            to = o->to.len > 0 ? o->to : host;
            d->port = o->to_port != 0 ? o->to_port : port;
            d->overridden = o->to.len > 0;
            break;
        }
    }
    d->host = xstrndup(to.ptr, to.len);
}

struct dial *dial_start(struct worker *w, const struct dial_rules *rules, struct str host,
                        unsigned port, bool private_ok,
                        void (*done)(void *ctx, const struct dial_result *result), void *ctx)
{
    struct dial *d = xnew(struct dial);
    d->worker = w;
    d->rules = rules;
    d->private_ok = private_ok;
    d->done = done;
    d->ctx = ctx;
    apply_override(d, host, port);
    timer_set(&w->timers, &d->deadline, rules->timeout_ms, on_deadline);
    if (ip_parse(str_z(d->host), &d->candidate[0])) {
        d->candidate_count = 1;
        d->connecting = true;
        worker_ready(w, &d->ready, on_literal);
        return d;
    }
    void (*on_answer[2])(void *ctx, const struct dns_answer *answer) = {on_v6, on_v4};
    for (int f = 0; f < 2; f++) {
        d->lookup[f] = dns_look_up(w->dns, str_z(d->host), family_of[f], on_answer[f], d);
    }
    return d;
}
