/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/snapshot.h"

#include "common/err.h"
#include "common/file.h"

#include <openssl/pem.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#define CA_FILE_MAX ((size_t)16 << 20)

static void free_egress(struct egress *e)
{
    free((void *)(uintptr_t)e->dial.override);
    free(e->dial.self);
    free(e->dial.allow.net);
    free(e->dial.deny.net);
    free(e->texts);
    origin_tls_unref(e->tls);
    free(e);
}

static struct ip_nets copy_nets(const struct ip_nets *from)
{
    return (struct ip_nets){.net = xmemdup(from->net, from->count * sizeof(*from->net)),
                            .count = from->count};
}

/* The overrides' strings live in one piece of memory that goes with the egress. */
static void copy_overrides(struct egress *e, const struct conf_overrides *from)
{
    size_t total = 0;
    for (size_t i = 0; i < from->count; i++) {
        total += from->item[i].host.len + from->item[i].to.len;
    }
    char *at = e->texts = xmalloc(total);
    struct dial_override *to = xcalloc(from->count, sizeof(*to));
    for (size_t i = 0; i < from->count; i++) {
        const struct conf_override *o = &from->item[i];
        struct str *texts[2] = {&to[i].host, &to[i].to};
        const struct str given[2] = {o->host, o->to};
        for (size_t k = 0; k < 2; k++) {
            memcpy(at, given[k].len > 0 ? given[k].ptr : "", given[k].len);
            *texts[k] = str_of(at, given[k].len);
            at += given[k].len;
        }
        to[i].port = o->port;
        to[i].to_port = o->to_port;
    }
    e->dial.override = to;
    e->dial.override_count = from->count;
}

static int build_egress(struct snapshot *s, struct diag *d)
{
    const struct conf *c = s->conf;
    struct buf pem = {0};
    struct origin_tls *tls;
    const struct schema_str *ca = &c->origin.ca_file;
    if (ca->text.len > 0) {
        int err = file_read(c->dir, ca->text.ptr, CA_FILE_MAX, &pem);
        if (err != 0) {
            buf_free(&pem);
            return diag_error(d, ca->at, "[origin] ca_file \"%s\" cannot be read: %s", ca->text.ptr,
                              err_str(err));
        }
    }
    int err = origin_tls_new(buf_view(&pem), ca->text.ptr, &tls, d);
    buf_free(&pem);
    if (err != 0) {
        return err;
    }
    struct egress *e = xnew(struct egress);
    atomic_init(&e->refs, 1);
    e->free = free_egress;
    e->tls = tls;
    e->dial.allow = copy_nets(&c->origin.allow_networks);
    e->dial.deny = copy_nets(&c->origin.deny_networks);
    copy_overrides(e, &c->origin.connect_to);
    e->dial.self = xcalloc(c->proxy.listen.count, sizeof(*e->dial.self));
    for (size_t i = 0; i < c->proxy.listen.count; i++) {
        e->dial.self[i].ip = c->proxy.listen.item[i].ip;
        e->dial.self[i].port = c->proxy.listen.item[i].port;
    }
    e->dial.self_count = c->proxy.listen.count;
    e->dial.timeout_ms = c->origin.timeouts.dial;
    e->limits = (struct h1_limits){.line = 64 << 10, .head = 256 << 10, .fields = 1000};
    e->secure_ms = c->origin.timeouts.secure;
    e->head_ms = c->origin.timeouts.head;
    e->body_ms = c->origin.timeouts.body;
    e->send_ms = c->origin.timeouts.send;
    e->idle_ms = c->origin.timeouts.idle;
    e->max_age_ms = c->origin.timeouts.age;
    e->idle_max = (unsigned)c->origin.idle_max;
    e->http2 = c->proxy.http2;
    e->conns_max = (unsigned)c->origin.conns_max;
    s->egress = e;
    return 0;
}

struct name_list {
    struct names *names;
    int err;
    struct diag *diag;
};

static void add_host(void *ctx, const struct host_entry *entry)
{
    struct name_list *list = ctx;
    int err = names_add(list->names, entry->name);
    if (err != 0 && list->err == 0) {
        list->err = diag_error(list->diag, DIAG_NOWHERE, "inspected host \"" STR_FMT "\": %s",
                               STR_ARG(entry->name),
                               err == ERR_LIMIT ? "a CA can be made for 1,024 names at most"
                                                : "no certificate can be made for this name");
    }
}

int snapshot_ca_names(const struct conf *conf, const struct filters *filters, struct names *out,
                      struct diag *d)
{
    struct name_list list = {.names = out, .diag = d};
    filters_each_host(filters, add_host, &list);
    if (list.err == 0 && conf_has_public_name(conf) && names_add(out, conf->public_host) != 0) {
        list.err = diag_error(d, conf->proxy.public_url.at,
                              "no certificate can be made for the name in public_url");
    }
    return list.err;
}

static int build_ca(struct snapshot *s, struct diag *d)
{
    const struct conf *c = s->conf;
    int err = snapshot_ca_names(c, s->filters, &s->ca_names, d);
    if (err == 0) {
        err = ca_load(c->dir, c->certs.dir.text.ptr, time(NULL), &s->ca, d);
    }
    if (err != 0) {
        return err;
    }
    struct diag_at at = c->certs.dir.at.file != NULL ? c->certs.dir.at : DIAG_FILE(c->path);
    err = ca_check_hosts(s->ca, &s->ca_names, at, d);
    if (err != 0) {
        return err;
    }
    unsigned char *der = NULL;
    int len = i2d_X509(s->ca->root, &der);
    BIO *bio = BIO_new(BIO_s_mem());
    if (len < 0 || bio == NULL || PEM_write_bio_X509(bio, s->ca->root) != 1) {
        abort(); /* out of memory: it has been parsed before */
    }
    buf_put(&s->ca_der, der, (size_t)len);
    OPENSSL_free(der);
    char *pem;
    long pem_len = BIO_get_mem_data(bio, &pem);
    buf_put(&s->ca_pem, pem, (size_t)pem_len);
    BIO_free(bio);
    return 0;
}

/* Of an HTTP/2 client: requests at once, and bytes of their bodies that wait for slow origins. */
#define H2_STREAMS 100
#define H2_HELD    ((size_t)4 << 20)

static void build_client(struct snapshot *s)
{
    const struct conf *c = s->conf;
    const struct h1_limits limits = {.line = c->proxy.limits.line,
                                     .head = c->proxy.limits.head,
                                     .fields = (unsigned)c->proxy.limits.fields};
    s->client = (struct client_conf){
        .limits = limits,
        .h2 = {.head = limits, .streams = H2_STREAMS, .held = H2_HELD},
        .idle_ms = c->proxy.timeouts.client_idle,
        .head_ms = c->proxy.timeouts.client_head,
        .body_ms = c->proxy.timeouts.client_body,
        .write_ms = c->proxy.timeouts.client_write,
    };
}

static int build_htpasswd(struct snapshot *s, struct diag *d)
{
    const struct schema_str *file = &s->conf->identity.htpasswd;
    return file->text.len > 0 ? htpasswd_load(s->conf->dir, file, &s->htpasswd, d) : 0;
}

static void watch(struct snapshot *s, struct str name)
{
    if (name.len > 0) {
        s->watched = xrealloc(s->watched, (s->watched_count + 1) * sizeof(*s->watched));
        s->watched[s->watched_count++] = str_of(xstrndup(name.ptr, name.len), name.len);
    }
}

static void list_watched(struct snapshot *s, const char *path)
{
    const struct conf *c = s->conf;
    char chain[CA_PATH_MAX];
    if (path == NULL) {
        return;
    }
    const char *slash = strrchr(path, '/');
    watch(s, str_z(slash != NULL ? slash + 1 : path));
    watch(s, c->origin.ca_file.text);
    watch(s, c->identity.htpasswd.text);
    watch(s, c->filters.admins.file.text);
    for (size_t i = 0; i < c->filters.filters.packs.count; i++) {
        watch(s, c->filters.filters.packs.item[i].text);
    }
    watch(s, str_z(ca_path(chain, c->certs.dir.text.ptr, CA_CHAIN)));
}

int snapshot_build(const char *path, int *dir_fd, struct snapshot **out, struct diag *d)
{
    struct snapshot *s = xnew(struct snapshot);
    atomic_init(&s->refs, 1);
    int err = conf_load(path, dir_fd, &s->conf, d);
    if (err == 0) {
        /* Go on after a fault: each part is independent, and one run shall show them all. */
        err = filters_build(&s->conf->filters, &s->filters, d);
        int other = build_egress(s, d);
        err = err != 0 ? err : other;
        other = build_htpasswd(s, d);
        err = err != 0 ? err : other;
        other = s->filters != NULL ? build_ca(s, d) : 0;
        err = err != 0 ? err : other;
        build_client(s);
        list_watched(s, path);
    }
    if (err != 0) {
        snapshot_unref(s);
        return ERR_CONFIG;
    }
    *out = s;
    return 0;
}

static bool same_listeners(const struct conf *a, const struct conf *b)
{
    if (a->proxy.listen.count != b->proxy.listen.count) {
        return false;
    }
    for (size_t i = 0; i < a->proxy.listen.count; i++) {
        const struct conf_listener *x = &a->proxy.listen.item[i], *y = &b->proxy.listen.item[i];
        if (!ip_eq(&x->ip, &y->ip) || x->port != y->port) {
            return false;
        }
    }
    return true;
}

static void check_same(bool same, const char *what, struct diag_at at, const struct conf *c,
                       struct diag *d)
{
    if (!same) {
        diag_error(d, at.file != NULL ? at : DIAG_FILE(c->path),
                   "%s has changed; restart photogate to change it", what);
    }
}

int snapshot_check_reload(const struct snapshot *now, const struct snapshot *fresh, struct diag *d)
{
    const struct conf *a = now->conf, *b = fresh->conf;
    const struct {
        const char *what;
        const struct schema_str *before, *after;
    } texts[] = {
        {"[proxy] user", &a->proxy.user, &b->proxy.user},
        {"[log] access", &a->log.access, &b->log.access},
        {"[log] block", &a->log.block, &b->log.block},
    };
    const unsigned before = d->errors;
    check_same(same_listeners(a, b), "[proxy] listen", b->proxy.listen.item[0].address.at, b, d);
    check_same(a->proxy.workers == b->proxy.workers, "[proxy] workers", DIAG_NOWHERE, b, d);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        check_same(str_eq(texts[i].before->text, texts[i].after->text), texts[i].what,
                   texts[i].after->at, b, d);
    }
    return d->errors > before ? ERR_CONFIG : 0;
}

struct snapshot *snapshot_ref(struct snapshot *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void snapshot_unref(struct snapshot *s)
{
    if (s == NULL || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (size_t i = 0; i < s->watched_count; i++) {
        free((char *)(uintptr_t)s->watched[i].ptr);
    }
    free(s->watched);
    htpasswd_free(s->htpasswd);
    egress_unref(s->egress);
    ca_unref(s->ca);
    names_free(&s->ca_names);
    filters_free(s->filters);
    buf_free(&s->ca_pem);
    buf_free(&s->ca_der);
    conf_free(s->conf);
    free(s);
}
