/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/judge.h"

#include "filters/glob.h"

#include <stdlib.h>

#define EVIDENCE_PATH 300 /* bytes of a path that evidence shows */

struct judging {
    struct judgement *out;
    const struct ruleset *rs;
    const struct hosts *hosts;
    const struct host_class *class;
    struct canon *c;
    unsigned depth;
    struct arena *arena;
};

/* What made a set of conditions fit. */
struct fit {
    const struct rule_cond *header, *query;
};

void judge_put_cut(struct buf *out, struct str s, size_t most)
{
    for (size_t i = 0; i < s.len && i < most; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        buf_char(out, c >= ' ' && c < 0x7f ? (char)c : '?');
    }
    if (s.len > most) {
        buf_z(out, "...");
    }
}

void judge_put_request(struct buf *out, const struct canon *c, const struct path *p)
{
    struct buf path = {0};
    judge_put_cut(out, c->method, 24);
    buf_char(out, ' ');
    path_put(&path, p);
    judge_put_cut(out, buf_view(&path), EVIDENCE_PATH);
    buf_free(&path);
    if (c->write_from != NULL) {
        buf_printf(out, ", made a write by %s", c->write_from);
    }
}

static bool methods_fit(const struct rule_when *w, const struct canon *c)
{
    switch (w->methods) {
    case METHODS_WRITE:
        return c->write;
    case METHODS_ANY:
        return !c->preflight;
    case METHODS_LIST:
        for (size_t i = 0; i < w->method.count; i++) {
            if (str_ieq(w->method.item[i].text, c->method)) {
                return true;
            }
        }
        return c->write_from != NULL;
    case METHODS_UNSET:
        break;
    }
    return false;
}

/* As it stands, or with percent-escapes decoded: some fields carry what else stands in a URL. */
static bool field_fits(struct str pattern, struct str value, struct arena *a)
{
    return glob_fits(pattern, value) ||
           (str_index(value, '%') >= 0 && glob_fits(pattern, path_decode_loose(value, false, a)));
}

static const struct rule_cond *header_fits(const struct rule_conds *conds, const struct canon *c,
                                           struct arena *a)
{
    for (size_t i = 0; i < conds->count; i++) {
        const struct filter_field *field;
        size_t at = 0;
        while ((field = canon_field(c->request, conds->item[i].name, &at)) != NULL) {
            if (field_fits(conds->item[i].pattern, str_trim(field->value), a)) {
                return &conds->item[i];
            }
        }
    }
    return NULL;
}

static const struct rule_cond *query_fits(const struct rule_conds *conds, const struct canon *c)
{
    for (size_t i = 0; i < conds->count; i++) {
        for (size_t k = 0; k < c->pairs; k++) {
            if (glob_fits(conds->item[i].name, str_trim(c->query[k].name)) &&
                glob_fits(conds->item[i].pattern, str_trim(c->query[k].value))) {
                return &conds->item[i];
            }
        }
    }
    return NULL;
}

static bool fits(const struct rule_when *w, const struct canon *c, const struct path *p,
                 struct fit *fit, struct arena *a)
{
    *fit = (struct fit){0};
    if (!methods_fit(w, c) || (w->owner != NULL && !owner_is_person(w->owner, p))) {
        return false;
    }
    if (w->header.count > 0 && (fit->header = header_fits(&w->header, c, a)) == NULL) {
        return false;
    }
    return w->query.count == 0 || (fit->query = query_fits(&w->query, c)) != NULL;
}

static struct str kept(struct judging *j, struct buf *b)
{
    struct str s = arena_str(j->arena, buf_view(b));
    buf_free(b);
    return s;
}

static struct str evidence_of(struct judging *j, const struct path *p, const struct fit *fit)
{
    struct buf b = {0};
    judge_put_request(&b, j->c, p);
    if (fit->header != NULL) {
        buf_printf(&b, ", header " STR_FMT ": " STR_FMT, STR_ARG(fit->header->name),
                   STR_ARG(fit->header->pattern));
    }
    if (fit->query != NULL) {
        buf_printf(&b, ", query " STR_FMT "=" STR_FMT, STR_ARG(fit->query->name),
                   STR_ARG(fit->query->pattern));
    }
    if (p != &j->c->path.reading[0]) {
        buf_z(&b, ", one of the ways to read it");
    }
    return kept(j, &b);
}

/* Of several rules that forbid it the first in the packs' order is named. */
static bool goes_first(const struct judgement *now, const struct rule *rule)
{
    return now->rule == NULL || rule->order < now->rule->order;
}

static void add_want(struct judging *j, const struct rule *rule, const struct canon *c)
{
    struct want **at = &j->out->want;
    while (*at != NULL && (*at)->rule->order < rule->order) {
        at = &(*at)->next;
    }
    for (const struct want *w = *at; w != NULL && w->rule == rule; w = w->next) {
        if (w->canon == c) {
            return; /* it fits another reading, too */
        }
    }
    struct want *want = arena_alloc(j->arena, sizeof(*want));
    *want = (struct want){.rule = rule, .canon = c, .next = *at};
    *at = want;
}

static void take_rule(struct judging *j, const struct rule *rule, const struct path *p,
                      const struct fit *fit)
{
    if (!ruleset_is_on(j->rs, rule)) {
        return;
    }
    if (rule->reader != NULL) {
        add_want(j, rule, j->c);
    } else if (goes_first(j->out, rule)) {
        j->out->rule = rule;
        j->out->evidence = evidence_of(j, p, fit);
    }
}

static void judge_relayed(struct judging *j, const struct relay *relay, struct str url,
                          struct str method)
{
    struct filter_request *inner = arena_alloc(j->arena, sizeof(*inner));
    *inner = *j->c->request;
    struct canon_url u = canon_cut_url(str_trim(url));
    if (u.authority.len > 0) { /* else a path on the relay itself */
        inner->scheme = u.scheme;
        inner->authority = u.authority;
    }
    inner->target = u.target;
    inner->method = method.len > 0 ? method : j->c->method;
    struct canon *c = arena_alloc(j->arena, sizeof(*c));
    canon_make(c, inner, j->arena);
    const struct host_entry *to = hosts_find(j->hosts, c->host);
    struct judgement found = {0};
    if (to == NULL && !str_eq(c->host, j->c->host)) {
        return;
    }
    const struct host_class *class = to != NULL ? to->scope : j->class;
    judge(&found, j->rs, j->hosts, class, c, j->depth + 1, j->arena);
    if (found.rule == NULL && c->write && c->path.faults != 0) {
        found.rule = j->rs->fact[FACT_UNREADABLE];
        found.evidence = STR("its URL cannot be read");
    }
    for (const struct want *w = found.want; w != NULL; w = w->next) {
        add_want(j, w->rule, w->canon);
    }
    if (found.rule != NULL && goes_first(j->out, found.rule)) {
        struct buf b = {0};
        buf_printf(&b, "relayed by " STR_FMT ": ", STR_ARG(relay->id.text));
        buf_str(&b, found.evidence);
        j->out->rule = found.rule;
        j->out->evidence = kept(j, &b);
    }
}

/* The part of "header: name" or "query: name" behind the colon, when it starts with `kind`. */
static struct str part_name(struct str spec, const char *kind)
{
    struct str head;
    return str_cut(&spec, ':', &head) && str_eq(str_trim(head), str_z(kind)) ? str_trim(spec)
                                                                             : STR_NONE;
}

/* Every value that `spec` names, one after the other. */
static bool next_part(const struct canon *c, struct str spec, size_t *at, struct str *value)
{
    struct str header = part_name(spec, "header"), query = part_name(spec, "query");
    if (header.len > 0) {
        const struct filter_field *field = canon_field(c->request, header, at);
        *value = field != NULL ? str_trim(field->value) : STR_NONE;
        return field != NULL;
    }
    while (query.len > 0 && *at < c->pairs) {
        const struct canon_pair *pair = &c->query[(*at)++];
        if (str_ieq(str_trim(pair->name), query)) {
            *value = pair->value;
            return true;
        }
    }
    return false;
}

static void judge_urls(struct judging *j, const struct relay *relay, struct str method)
{
    for (size_t i = 0; i < relay->url.count; i++) {
        struct str url;
        size_t at = 0;
        while (next_part(j->c, relay->url.item[i].text, &at, &url)) {
            judge_relayed(j, relay, url, method);
        }
    }
}

/* Each URL with each method that is named, or with the request's own when none is. */
static void take_relay(struct judging *j, const struct relay *relay)
{
    struct str method;
    size_t at = 0;
    bool named = false;
    if (j->depth >= JUDGE_DEPTH) {
        return;
    }
    while (next_part(j->c, relay->method.text, &at, &method)) {
        named = true;
        judge_urls(j, relay, method);
    }
    if (!named) {
        judge_urls(j, relay, STR_NONE);
    }
}

static void take_root(struct judging *j, uint32_t root)
{
    for (size_t i = 0; i < j->c->path.count; i++) {
        const struct path *p = &j->c->path.reading[i];
        struct trie_hits hits = {0};
        trie_match(j->rs->trie, root, p, &hits, j->arena);
        for (size_t k = 0; k < hits.count; k++) {
            const struct rule_when *w = j->rs->when[hits.value[k]];
            struct fit fit;
            if (!fits(w, j->c, p, &fit, j->arena)) {
                continue;
            }
            if (w->relay != NULL) {
                take_relay(j, w->relay);
            } else {
                take_rule(j, w->rule, p, &fit);
            }
        }
    }
}

void judge(struct judgement *j, const struct ruleset *rs, const struct hosts *hosts,
           const struct host_class *class, struct canon *c, unsigned depth, struct arena *a)
{
    struct judging now = {
        .out = j, .rs = rs, .hosts = hosts, .class = class, .c = c, .depth = depth, .arena = a};
    void *literal[HOSTMAP_MOST];
    *j = (struct judgement){0};
    if (class != NULL && class->drives) {
        for (size_t i = 0; i < c->path.count; i++) {
            path_mark_files(&c->path.reading[i]);
        }
    }
    if (class != NULL) {
        take_root(&now, class->root);
    }
    take_root(&now, rs->everywhere);
    size_t count = hostmap_find(&rs->literal, c->host, literal);
    for (size_t i = 0; i < count; i++) {
        take_root(&now, *(const uint32_t *)literal[i]);
    }
}
