/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/decide.h"

struct deciding {
    const struct ruleset *rs;
    const struct hosts *hosts;
    const struct host_entry *entry;
    struct canon canon;
    struct arena *arena;
};

static void found(struct deciding *d, struct judgement *j, enum rule_fact fact, struct str evidence)
{
    const struct rule *rule = d->rs->fact[fact];
    if (rule != NULL && rule->on) {
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
    if (j->rule == NULL || j->need_body) {
        judge_readable(d, j);
    }
}

struct verdict decide(const struct ruleset *rs, const struct hosts *hosts,
                      const struct admins *admins, const struct filter_request *r,
                      const struct actor *who, struct arena *a)
{
    struct deciding d; /* canon_make() fills what is large */
    struct judgement j = {0};
    struct verdict v = {.kind = VERDICT_PASS};
    d.rs = rs;
    d.hosts = hosts;
    d.arena = a;
    canon_make(&d.canon, r, a);
    d.entry = hosts_find(hosts, d.canon.host);
    judge_all(&d, &j);
    if (j.rule == NULL) {
        return v;
    }
    v.rule = &j.rule->info;
    v.evidence = j.evidence;
    if (j.need_body) {
        v.kind = VERDICT_NEED_BODY;
        v.need = (size_t)j.rule->hold;
        return v;
    }
    const struct host_class *class = d.entry != NULL ? d.entry->scope : NULL;
    enum class_bearer bearer = class != NULL ? (enum class_bearer) class->bearer : BEARER_NO;
    bool through = admins != NULL && j.rule->bypass &&
                   admins_pass(admins, who, &d.canon, bearer, &v.bypass, a);
    v.kind = through ? VERDICT_BYPASS : VERDICT_BLOCK;
    return v;
}
