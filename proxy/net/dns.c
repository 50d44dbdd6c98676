/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/net/dns.h"

#include "common/err.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/mem.h"

#include <ares.h>

#include <assert.h>
#include <netdb.h>
#include <stdlib.h>

enum {
    CACHE_MAX = 2048,
    BUCKETS = 1024
};
#define TTL_MAX_S 3600 /* an address is asked for again within the hour, whatever its TTL says */
/* How often a name is asked for. Each try waits twice as long as the one before, first for the
 * configured time. From 1.32 on c-ares starts at a quarter of a second where the server has been
 * quick so far, too little for a name that takes it a while; more tries, none longer than the
 * configured time, come to about as much in all. */
#if ARES_VERSION >= 0x012000
#define TRIES 6
#else
#define TRIES 3
#endif
#define NEGATIVE_TTL_S 10 /* a name that does not exist is asked for again after this */

/* One name and family: being asked for, or known until `until_ms`. */
struct record {
    struct list link; /* in its bucket */
    struct list age;  /* least recently used first */
    struct dns *dns;
    char *name;
    size_t len;
    int family;
    bool asking;
    uint64_t until_ms;
    struct list waiting; /* struct dns_lookup */
    struct dns_answer answer;
};

struct dns_lookup {
    struct list link;
    struct ready ready;
    struct dns *dns;
    struct dns_answer answer;
    void (*done)(void *ctx, const struct dns_answer *answer);
    void *ctx;
};

/* A socket of c-ares in our loop. */
struct watch {
    struct list link;
    uv_poll_t poll;
    struct dns *dns;
    ares_socket_t fd;
};

struct dns {
    struct worker *worker;
    ares_channel channel;
    struct timer timer;
    struct list watches;
    struct list bucket[BUCKETS];
    struct list ages;
    unsigned count;
    uint64_t epoch; /* counts dns_configure(); an answer from an earlier one is not kept */
};

static void arm_timer(struct dns *d);

static void on_timer(struct timer *t)
{
    struct dns *d = CONTAINER_OF(t, struct dns, timer);
    ares_process_fd(d->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    arm_timer(d);
}

static void arm_timer(struct dns *d)
{
    struct timeval tv;
    if (ares_timeout(d->channel, NULL, &tv) == NULL) {
        timer_clear(&d->timer);
        return;
    }
    timer_clear(&d->timer);
    timer_set(&d->worker->timers, &d->timer,
              (uint64_t)tv.tv_sec * 1000 + (uint64_t)tv.tv_usec / 1000 + 1, on_timer);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct watch *watch = poll->data;
    struct dns *d = watch->dns;
    bool in = status < 0 || (events & UV_READABLE), out = status < 0 || (events & UV_WRITABLE);
    ares_process_fd(d->channel, in ? watch->fd : ARES_SOCKET_BAD,
                    out ? watch->fd : ARES_SOCKET_BAD);
    arm_timer(d);
    worker_drain(d->worker);
}

static void on_watch_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void drop_watch(struct watch *watch)
{
    list_drop(&watch->link);
    (void)uv_poll_stop(&watch->poll);
    uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
}

/* c-ares wants to hear of `fd` (or no more: both false; it closes it after this returns). */
static void on_socket(void *ctx, ares_socket_t fd, int readable, int writable)
{
    struct dns *d = ctx;
    struct watch *watch = NULL;
    LIST_EACH (it, &d->watches) {
        if (LIST_OF(it, struct watch, link)->fd == fd) {
            watch = LIST_OF(it, struct watch, link);
        }
    }
    if (!readable && !writable) {
        if (watch != NULL) {
            drop_watch(watch);
        }
        return;
    }
    if (watch == NULL) {
        watch = xnew(struct watch);
        watch->dns = d;
        watch->fd = fd;
        watch->poll.data = watch;
        if (uv_poll_init(&d->worker->loop, &watch->poll, (int)fd) != 0) {
            free(watch); /* the query times out */
            return;
        }
        list_append(&d->watches, &watch->link);
    }
    (void)uv_poll_start(&watch->poll, (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0),
                        on_poll);
}

static int open_channel(struct dns *d, const struct dns_conf *conf)
{
    /* Names are asked for as they are: the rules judge the name that the client gave, and a search
     * list (here an empty one) would make another of it. */
    struct ares_options options = {.flags = ARES_FLAG_NOALIASES,
                                   .timeout = (int)conf->timeout_ms,
                                   .tries = TRIES,
                                   .sock_state_cb = on_socket,
                                   .sock_state_cb_data = d};
    int mask = ARES_OPT_FLAGS | ARES_OPT_SOCK_STATE_CB | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
               ARES_OPT_DOMAINS;
#ifdef ARES_OPT_MAXTIMEOUTMS
    options.maxtimeout = (int)conf->timeout_ms;
    mask |= ARES_OPT_MAXTIMEOUTMS;
#endif
    int r = ares_init_options(&d->channel, &options, mask);
    if (r == ARES_SUCCESS && conf->servers != NULL && conf->servers[0] != '\0') {
        r = ares_set_servers_ports_csv(d->channel, conf->servers);
        if (r != ARES_SUCCESS) {
            ares_destroy(d->channel);
        }
    }
    return r == ARES_SUCCESS ? 0 : r == ARES_ENOMEM ? -ENOMEM : -EINVAL;
}

int dns_new(struct worker *w, const struct dns_conf *conf, struct dns **out)
{
    if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) {
        return -ENOMEM;
    }
    struct dns *d = xnew(struct dns);
    d->worker = w;
    list_init(&d->watches);
    list_init(&d->ages);
    for (unsigned i = 0; i < BUCKETS; i++) {
        list_init(&d->bucket[i]);
    }
    int err = open_channel(d, conf);
    if (err != 0) {
        free(d);
        return err;
    }
    *out = d;
    return 0;
}

static void drop_record(struct record *r)
{
    list_drop(&r->link);
    list_drop(&r->age);
    r->dns->count--;
    free(r->name);
    free(r);
}

static void forget_all(struct dns *d)
{
    LIST_EACH_SAFE (it, &d->ages) {
        struct record *r = LIST_OF(it, struct record, age);
        if (!r->asking && list_is_empty(&r->waiting)) {
            drop_record(r);
        }
    }
}

static void ask(struct dns *d, struct record *r);

/* Those who waited for an answer of the old servers. */
static void ask_again(struct dns *d)
{
    LIST_EACH (it, &d->ages) {
        struct record *r = LIST_OF(it, struct record, age);
        if (!r->asking && !list_is_empty(&r->waiting)) {
            ask(d, r);
        }
    }
}

void dns_configure(struct dns *d, const struct dns_conf *conf)
{
    ares_channel old = d->channel;
    d->epoch++;
    ares_destroy(old); /* those who wait go on waiting: see on_answer() */
    forget_all(d);
    if (open_channel(d, conf) != 0) {
        log_error("dns servers not usable", L_Z("servers", conf->servers));
        struct dns_conf system = *conf;
        system.servers = NULL;
        if (open_channel(d, &system) != 0) {
            abort(); /* out of memory */
        }
    }
    ask_again(d);
}

void dns_free(struct dns *d)
{
    d->epoch++;
    ares_destroy(d->channel);
    timer_clear(&d->timer);
    forget_all(d);
    free(d);
    ares_library_cleanup();
}

static void on_ready(struct ready *ready)
{
    struct dns_lookup *l = CONTAINER_OF(ready, struct dns_lookup, ready);
    void (*done)(void *ctx, const struct dns_answer *answer) = l->done;
    list_drop(&l->link);
    done(l->ctx, &l->answer);
    free(l);
}

static void answer(struct dns_lookup *l, const struct dns_answer *with)
{
    l->answer = *with;
    list_drop(&l->link);
    worker_ready(l->dns->worker, &l->ready, on_ready);
}

static unsigned collect(const struct ares_addrinfo *info, int family, struct dns_answer *out)
{
    unsigned ttl = TTL_MAX_S;
    for (const struct ares_addrinfo_node *n = info->nodes; n != NULL; n = n->ai_next) {
        if (n->ai_family == family && out->count < DNS_ADDRESSES_MAX) {
            out->ip[out->count++] = ip_of_sockaddr(n->ai_addr);
            ttl = n->ai_ttl >= 0 && (unsigned)n->ai_ttl < ttl ? (unsigned)n->ai_ttl : ttl;
        }
    }
    for (const struct ares_addrinfo_cname *c = info->cnames; c != NULL; c = c->next) {
        ttl = c->ttl >= 0 && (unsigned)c->ttl < ttl ? (unsigned)c->ttl : ttl;
    }
    return ttl;
}

/* The question with the epoch it was asked in: c-ares answers it exactly once, also when the
 * channel goes. */
struct question {
    struct record *record;
    uint64_t epoch;
};

/* What an answer without addresses means; for how long it is kept. A fault of the moment is not. */
static unsigned explain(int status, struct dns_answer *a)
{
    switch (status) {
    case ARES_SUCCESS:
    case ARES_ENODATA:
        a->err = ERR_DNS;
        a->why = "the name has no address";
        return NEGATIVE_TTL_S;
    case ARES_ENOTFOUND:
        a->err = ERR_DNS;
        a->why = "there is no such name";
        return NEGATIVE_TTL_S;
    case ARES_ETIMEOUT:
        a->err = ERR_DNS_TIMEOUT;
        a->why = err_str(ERR_DNS_TIMEOUT);
        return 0;
    default:
        a->err = ERR_DNS;
        a->why = ares_strerror(status);
        return 0;
    }
}

static void on_answer(void *ctx, int status, int timeouts, struct ares_addrinfo *info)
{
    (void)timeouts;
    struct question *q = ctx;
    struct record *r = q->record;
    struct dns *d = r->dns;
    struct dns_answer a = {0};
    unsigned ttl = 0;
    if (status == ARES_SUCCESS && info != NULL) {
        ttl = collect(info, r->family, &a);
    }
    if (info != NULL) {
        ares_freeaddrinfo(info);
    }
    if (a.count == 0) {
        ttl = explain(status, &a);
    }
    bool old = q->epoch != d->epoch; /* the channel goes: who waits gets the next one's answer */
    r->asking = false;
    r->answer = a;
    r->until_ms = old ? 0 : worker_now_ms(d->worker) + (uint64_t)ttl * 1000;
    while (!old && !list_is_empty(&r->waiting)) {
        answer(LIST_OF(r->waiting.next, struct dns_lookup, link), &a);
    }
    free(q);
}

static struct record *find(struct dns *d, struct str name, int family)
{
    struct list *bucket = &d->bucket[(hash_str(name) + (unsigned)family) % BUCKETS];
    LIST_EACH (it, bucket) {
        struct record *r = LIST_OF(it, struct record, link);
        if (r->family == family && str_eq(str_of(r->name, r->len), name)) {
            return r;
        }
    }
    if (d->count >= CACHE_MAX) {
        LIST_EACH (it, &d->ages) {
            struct record *oldest = LIST_OF(it, struct record, age);
            if (!oldest->asking) {
                drop_record(oldest);
                break;
            }
        }
    }
    struct record *r = xnew(struct record);
    r->dns = d;
    r->name = xstrndup(name.ptr, name.len);
    r->len = name.len;
    r->family = family;
    list_init(&r->waiting);
    list_append(bucket, &r->link);
    list_append(&d->ages, &r->age);
    d->count++;
    return r;
}

/*
 * RFC 6761, 6.3: these names are never asked for, they are this machine. (c-ares would know too,
 * but 1.18 leaks each such answer.)
 */
static bool is_localhost(const struct record *r)
{
    struct str name = str_of(r->name, r->len), last = STR("localhost");
    if (name.len > 0 && name.ptr[name.len - 1] == '.') {
        name.len--;
    }
    if (name.len > last.len && name.ptr[name.len - last.len - 1] == '.') {
        name = str_of(name.ptr + name.len - last.len, last.len);
    }
    return str_ieq(name, last);
}

static void answer_localhost(struct record *r)
{
    struct dns_answer a = {.count = 1};
    bool known = ip_parse(r->family == AF_INET6 ? STR("::1") : STR("127.0.0.1"), &a.ip[0]);
    assert(known);
    (void)known;
    r->answer = a;
    r->until_ms = UINT64_MAX;
    while (!list_is_empty(&r->waiting)) {
        answer(LIST_OF(r->waiting.next, struct dns_lookup, link), &a);
    }
}

static void ask(struct dns *d, struct record *r)
{
    if (is_localhost(r)) {
        answer_localhost(r);
        return;
    }
    struct ares_addrinfo_hints hints = {
        .ai_family = r->family, .ai_socktype = SOCK_STREAM, .ai_flags = ARES_AI_NOSORT};
    struct question *q = xnew(struct question);
    *q = (struct question){.record = r, .epoch = d->epoch};
    r->asking = true;
    ares_getaddrinfo(d->channel, r->name, NULL, &hints, on_answer,
                     q); /* may answer before it returns */
    arm_timer(d);
}

struct dns_lookup *dns_look_up(struct dns *d, struct str name, int family,
                               void (*done)(void *ctx, const struct dns_answer *answer), void *ctx)
{
    struct dns_lookup *l = xnew(struct dns_lookup);
    l->dns = d;
    l->done = done;
    l->ctx = ctx;
    list_init(&l->link);
    struct record *r = find(d, name, family);
    list_drop(&r->age);
    list_append(&d->ages, &r->age);
    if (!r->asking && worker_now_ms(d->worker) < r->until_ms) {
        answer(l, &r->answer);
        return l;
    }
    list_append(&r->waiting, &l->link);
    if (!r->asking) {
        ask(d, r);
    }
    return l;
}

void dns_cancel(struct dns_lookup *l)
{
    list_drop(&l->link);
    worker_not_ready(&l->ready);
    free(l);
}
