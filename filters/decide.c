/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/decide.h"

#include "filters/inspect.h"

#include <stdlib.h>

struct deciding {
    const struct ruleset *rs;
    const struct hosts *hosts;
    const struct admins *admins;
    const struct host_entry *entry;
    struct actor who;
    struct canon canon;
    struct arena *arena;
    struct inspect_rules rules;
    struct inspect *inspect; /* NULL: the head settles it */
    struct judgement judgement;
    uint64_t need, fed;
};

static void found(struct deciding *d, struct judgement *j, enum rule_fact fact, struct str evidence)
{
    const struct rule *rule = d->rs->fact[fact];
    if (rule != NULL && ruleset_is_on(d->rs, rule)) {
        *j = (struct judgement){.rule = rule, .evidence = evidence};
    }
}

static struct str says(struct deciding *d, const char *what, struct str name)
{
    struct buf b = {0};
    buf_printf(&b, "%s ", what);
    for (size_t i = 0; i < name.len && i < 253; i++) {
        buf_char(&b, name.ptr[i] > ' ' && name.ptr[i] < 0x7f ? name.ptr[i] : '?');
    }
    struct str s = arena_str(d->arena, buf_view(&b));
    buf_free(&b);
    return s;
}

/*
 * The names of the connection: where CONNECT went, the SNI, Host. All must be one, or a request
 * could be judged for one host and reach another on the same front door. Only connections that have
 * to do with an inspected host are held to it.
 */
static void judge_names(struct deciding *d, struct judgement *j)
{
    const struct filter_request *r = d->canon.request;
    struct str connect = STR_NONE, sni = STR_NONE;
    unsigned port = 0;
    bool readable = !(d->canon.path.faults & PATH_AUTHORITY);
    if (r->connect.len > 0 && !canon_authority(r->connect, &connect, &port, d->arena)) {
        readable = false;
    }
    if (r->sni.len > 0 && !canon_authority(r->sni, &sni, &port, d->arena)) {
        readable = false;
    }
    bool inspected = d->entry != NULL || hosts_find(d->hosts, connect) != NULL ||
                     hosts_find(d->hosts, sni) != NULL ||
                     hosts_find(d->hosts, d->canon.target_host) != NULL;
    if (!inspected) {
        return;
    }
    if (sni.len > 0 && connect.len > 0 && !str_eq(sni, connect)) {
        found(d, j, FACT_SNI, says(d, "the ClientHello names", sni));
    } else if (connect.len > 0 && !str_eq(connect, d->canon.host)) {
        found(d, j, FACT_HOST, says(d, "the connection goes to", connect));
    } else if (sni.len > 0 && !str_eq(sni, d->canon.host)) {
        found(d, j, FACT_HOST, says(d, "the ClientHello names", sni));
    } else if (!readable) {
        found(d, j, FACT_HOST, STR("Host and target do not agree"));
    }
}

static void judge_port(struct deciding *d, struct judgement *j)
{
    unsigned wanted = d->canon.tls ? 443 : 80, port = wanted;
    struct str ignored;
    if (d->entry == NULL) {
        return;
    }
    if (d->canon.request->connect.len == 0 ||
        !canon_authority(d->canon.request->connect, &ignored, &port, d->arena) || port == wanted) {
        port = d->canon.port;
    }
    if (port != wanted) {
        struct buf b = {0};
        buf_printf(&b, "port %u", port);
        found(d, j, FACT_PORT, arena_str(d->arena, buf_view(&b)));
        buf_free(&b);
    }
}

static void judge_readable(struct deciding *d, struct judgement *j)
{
    if (d->canon.write && d->canon.path.faults != 0 && d->entry->photo) {
        struct buf b = {0};
        buf_printf(&b, "the path holds %s", path_fault_text(d->canon.path.faults));
        found(d, j, FACT_UNREADABLE, arena_str(d->arena, buf_view(&b)));
        buf_free(&b);
    }
}

static void judge_all(struct deciding *d, struct judgement *j)
{
    judge_names(d, j);
    if (j->rule == NULL) {
        judge_port(d, j);
    }
    if (j->rule != NULL || d->entry == NULL) {
        return;
    }
    judge(j, d->rs, d->hosts, d->entry->scope, &d->canon, 0, d->arena);
    if (j->rule == NULL) {
        judge_readable(d, j);
    }
}

/* What becomes of a request that `rule` forbids, or nothing. */
static struct verdict settle(struct deciding *d, const struct rule *rule, struct str evidence)
{
    struct verdict v = {.kind = VERDICT_PASS};
    if (rule == NULL) {
        return v;
    }
    v.rule = &rule->info;
    v.evidence = evidence;
    const struct host_class *class = d->entry != NULL ? d->entry->scope : NULL;
    enum class_bearer bearer = class != NULL ? (enum class_bearer) class->bearer : BEARER_NO;
    bool through = d->admins != NULL && rule->bypass &&
                   admins_pass(d->admins, &d->who, &d->canon, bearer, &v.bypass, d->arena);
    v.kind = through ? VERDICT_BYPASS : VERDICT_BLOCK;
    return v;
}

static bool wants_body(const struct deciding *d)
{
    return d->judgement.rule == NULL && d->judgement.want != NULL;
}

static void open_inspect(struct deciding *d)
{
    d->inspect = inspect_new(&d->rules, d->judgement.want, d->canon.request, false);
}

static struct verdict need_body(const struct deciding *d)
{
    return (struct verdict){.kind = VERDICT_NEED_BODY,
                            .rule = &d->judgement.want->rule->info,
                            .need = (size_t)(d->need - MIN(d->fed, d->need))};
}

static struct verdict verdict_now(struct deciding *d)
{
    if (d->inspect == NULL) {
        return settle(d, d->judgement.rule, d->judgement.evidence);
    }
    const struct inspect_found *found = inspect_found(d->inspect);
    if (found->more) {
        return need_body(d);
    }
    struct verdict v = settle(d, found->rule, found->evidence);
    v.item = found->item;
    return v;
}

static void judge_head(struct deciding *d, const struct ruleset *rs, const struct hosts *hosts,
                       const struct admins *admins, const struct filter_request *r,
                       const struct actor *who, struct arena *a)
{
    d->rs = rs;
    d->hosts = hosts;
    d->admins = admins;
    d->who = *who;
    d->arena = a;
    d->rules = (struct inspect_rules){rs, hosts, a};
    d->inspect = NULL;
    d->judgement = (struct judgement){0};
    d->need = d->fed = 0;
    canon_make(&d->canon, r, a);
    d->entry = hosts_find(hosts, d->canon.host);
    judge_all(d, &d->judgement);
    for (const struct want *w = d->judgement.want; w != NULL; w = w->next) {
        d->need = MAX(d->need, w->rule->hold + 1); /* the last shows that there is more */
    }
}

struct deciding *deciding_new(const struct ruleset *rs, const struct hosts *hosts,
                              const struct admins *admins, const struct filter_request *r,
                              const struct actor *who, struct arena *a)
{
    struct deciding *d = xmalloc(sizeof(*d)); /* canon_make() fills what is large */
    judge_head(d, rs, hosts, admins, r, who, a);
    if (wants_body(d)) {
        open_inspect(d);
    }
    return d;
}

void deciding_free(struct deciding *d)
{
    if (d != NULL) {
        inspect_free(d->inspect);
        free(d);
    }
}

struct verdict deciding_feed(struct deciding *d, struct str piece)
{
    if (d->inspect != NULL) {
        d->fed += piece.len;
        inspect_feed(d->inspect, piece);
    }
    return verdict_now(d);
}

struct verdict deciding_end(struct deciding *d)
{
    if (d->inspect != NULL) {
        inspect_end(d->inspect);
    }
    return verdict_now(d);
}

struct verdict decide(const struct ruleset *rs, const struct hosts *hosts,
                      const struct admins *admins, const struct filter_request *r,
                      const struct actor *who, struct arena *a)
{
    struct deciding d;
    judge_head(&d, rs, hosts, admins, r, who, a);
    if (!wants_body(&d)) {
        return verdict_now(&d);
    }
    if (!r->body_complete) {
        return need_body(&d);
    }
    open_inspect(&d);
    inspect_feed(d.inspect, r->body);
    inspect_end(d.inspect);
    struct verdict v = verdict_now(&d);
    inspect_free(d.inspect);
    return v;
}
