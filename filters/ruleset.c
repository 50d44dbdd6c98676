/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/ruleset.h"

#include "common/err.h"
#include "filters/braces.h"

#include <stdlib.h>

struct compiler {
    struct ruleset *rs;
    struct diag *diag;
};

/* Names share one table; "class:graph" and "owner:photo" keep kinds apart. */
static struct str tagged(struct ruleset *rs, const char *tag, struct str name)
{
    struct buf b = {0};
    buf_printf(&b, "%s:" STR_FMT, tag, STR_ARG(name));
    struct str s = arena_str(&rs->arena, buf_view(&b));
    buf_free(&b);
    return s;
}

static void *named(const struct ruleset *rs, const char *tag, struct str name)
{
    void *found[HOSTMAP_MOST];
    char key[128];
    size_t len = strlen(tag) + 1 + name.len;
    if (len > sizeof(key)) {
        return NULL;
    }
    memcpy(key, tag, len - name.len - 1);
    key[len - name.len - 1] = ':';
    memcpy(key + len - name.len, name.ptr, name.len);
    return hostmap_find(&rs->names, str_of(key, len), found) > 0 ? found[0] : NULL;
}

const struct host_class *ruleset_class(const struct ruleset *rs, struct str name)
{
    return named(rs, "class", name);
}

struct rule *ruleset_rule(const struct ruleset *rs, struct str id)
{
    void *found[HOSTMAP_MOST];
    return hostmap_find(&rs->ids, id, found) > 0 ? found[0] : NULL;
}

static void fail_unknown(struct compiler *c, const struct schema_str *name, const char *what)
{
    diag_error(c->diag, name->at, "there is no %s \"%s\"", what, name->text.ptr);
}

static void take_class(struct compiler *c, const struct pack *pack, struct host_class *class)
{
    if (class->name.text.len == 0) {
        diag_error(c->diag, DIAG_FILE(pack->file), "a [[class]] has no name");
        return;
    }
    class->root = trie_root(c->rs->trie);
    if (hostmap_put(&c->rs->names, tagged(c->rs, "class", class->name.text), class) != NULL) {
        diag_error(c->diag, class->name.at, "class \"%s\" is there already", class->name.text.ptr);
    }
}

static void take_owner(struct compiler *c, const struct pack *pack, struct owner *owner)
{
    if (owner->name.len == 0 || owner->property.count == 0) {
        diag_error(c->diag, DIAG_FILE(pack->file), "an [[owner]] needs a name and its property");
        return;
    }
    if (hostmap_put(&c->rs->names, tagged(c->rs, "owner", owner->name), owner) != NULL) {
        diag_error(c->diag, DIAG_FILE(pack->file), "owner \"%s\" is there already",
                   owner->name.ptr);
    }
}

static void take_host(struct compiler *c, struct host_fact *host, const struct pack *pack)
{
    const struct schema_strs *lists[] = {&host->names, &host->no_tenant};
    host->class = ruleset_class(c->rs, host->class_name.text);
    if (host->class_name.text.len == 0) {
        diag_error(c->diag, DIAG_FILE(pack->file), "a [[host]] has no class");
    } else if (host->class == NULL) {
        fail_unknown(c, &host->class_name, "class");
    }
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        for (size_t k = 0; k < lists[i]->count; k++) {
            if (!hostmap_is_name(lists[i]->item[k].text)) {
                diag_error(c->diag, lists[i]->item[k].at,
                           "\"%s\" is no host; write a lower-case name or *.suffix",
                           lists[i]->item[k].text.ptr);
            }
        }
    }
}

/* The root that rules for `host` hang below: "@class", "@*" or a name. NONE with a fault. */
static bool root_of(struct compiler *c, const struct schema_str *host, uint32_t *root)
{
    struct str name = host->text;
    if (str_eq(name, STR("@*"))) {
        *root = c->rs->everywhere;
        return true;
    }
    if (str_starts(name, STR("@"))) {
        const struct host_class *class = ruleset_class(c->rs, str_skip(name, 1));
        if (class == NULL) {
            fail_unknown(c, host, "class");
            return false;
        }
        *root = class->root;
        return true;
    }
    if (!hostmap_is_name(name)) {
        diag_error(c->diag, host->at,
                   "\"%s\" is no host; write @class, a lower-case name or *.suffix", name.ptr);
        return false;
    }
    uint32_t *fresh = arena_zalloc(&c->rs->arena, sizeof(*fresh));
    uint32_t *there = hostmap_put(&c->rs->literal, name, fresh);
    if (there == NULL) {
        *fresh = trie_root(c->rs->trie);
        there = fresh;
    }
    *root = *there;
    return true;
}

/* Where patterns go. */
struct adding {
    struct trie *trie;
    uint32_t root, value;
    const char *why;
};

static int add_pattern(void *ctx, struct str pattern)
{
    struct adding *a = ctx;
    return trie_add(a->trie, a->root, pattern, a->value, &a->why);
}

static void take_when(struct compiler *c, const struct schema_strs *hosts, struct rule_when *when)
{
    struct ruleset *rs = c->rs;
    if (when->owner_name.text.len > 0) {
        when->owner = named(rs, "owner", when->owner_name.text);
        if (when->owner == NULL) {
            fail_unknown(c, &when->owner_name, "owner");
        }
    }
    if (rs->whens == rs->when_room) {
        rs->when_room = rs->when_room > 0 ? rs->when_room * 2 : 64;
        rs->when = xrealloc(rs->when, rs->when_room * sizeof(struct rule_when *));
    }
    rs->when[rs->whens++] = when;
    for (size_t h = 0; h < hosts->count; h++) {
        struct adding a = {.trie = rs->trie, .value = (uint32_t)(rs->whens - 1)};
        if (!root_of(c, &hosts->item[h], &a.root)) {
            continue;
        }
        for (size_t p = 0; p < when->path.count; p++) {
            const struct schema_str *path = &when->path.item[p];
            if (braces_each(path->text, add_pattern, &a, &a.why) != 0) {
                diag_error(c->diag, path->at, "\"%s\" is no path pattern: %s", path->text.ptr,
                           a.why);
            }
        }
    }
}

struct acts {
    struct ruleset *rs;
    struct schema_strs out;
};

static int add_act(void *ctx, struct str pattern)
{
    struct acts *a = ctx;
    a->out.item = xrealloc(a->out.item, (a->out.count + 1) * sizeof(*a->out.item));
    a->out.item[a->out.count++] = (struct schema_str){.text = arena_lower(&a->rs->arena, pattern)};
    return 0;
}

/* "{set,remove}-userphoto" is two patterns. */
static void take_acts(struct compiler *c, struct rule *rule)
{
    struct acts a = {.rs = c->rs};
    const char *why;
    for (size_t i = 0; i < rule->act.count; i++) {
        if (braces_each(rule->act.item[i].text, add_act, &a, &why) != 0) {
            diag_error(c->diag, rule->act.item[i].at, "\"%s\" is no pattern: %s",
                       rule->act.item[i].text.ptr, why);
        }
    }
    rule->act.count = a.out.count;
    rule->act.item = arena_alloc(&c->rs->arena, a.out.count * sizeof(*a.out.item));
    if (a.out.count > 0) {
        memcpy(rule->act.item, a.out.item, a.out.count * sizeof(*a.out.item));
    }
    free(a.out.item);
}

static void take_reader(struct compiler *c, struct rule *rule)
{
    rule->reader = reader_named(rule->inspect.text);
    if (rule->reader == NULL) {
        fail_unknown(c, &rule->inspect, "reader");
    } else if (rule->reader->items != (rule->act.count == 0)) {
        diag_error(c->diag, rule->inspect.at,
                   rule->reader->items ? "\"%s\" says no acts; leave act out"
                                       : "\"%s\" needs act: what it must say",
                   rule->inspect.text.ptr);
    } else {
        take_acts(c, rule);
    }
}

static void take_rule(struct compiler *c, struct rule *rule)
{
    struct ruleset *rs = c->rs;
    const struct rule *other = hostmap_put(&rs->ids, rule->id.text, rule);
    if (other != NULL) {
        diag_error(c->diag, rule->id.at, "rule \"%s\" is there already, at %s:%u",
                   rule->id.text.ptr, other->info.file, other->info.line);
        return;
    }
    rule->order = rs->rules++;
    if (rule->inspect.text.len > 0) {
        take_reader(c, rule);
    }
    if (rule->fact != FACT_NONE) {
        if (rs->fact[rule->fact] != NULL) {
            diag_error(c->diag, rule->id.at, "there is a rule about this fact already: %s",
                       rs->fact[rule->fact]->info.id);
        }
        rs->fact[rule->fact] = rule;
    }
    for (size_t i = 0; i < rule->whens; i++) {
        take_when(c, &rule->hosts, &rule->when[i]);
    }
}

static void take_relay(struct compiler *c, struct relay *relay, const struct pack *pack)
{
    if (relay->own.path.count == 0 || relay->url.count == 0 || relay->hosts.count == 0) {
        diag_error(c->diag, DIAG_FILE(pack->file), "a [[relay]] needs hosts, path and url");
        return;
    }
    relay->own.relay = relay;
    relay->own.methods = METHODS_ANY;
    take_when(c, &relay->hosts, &relay->own);
}

static void compile(struct compiler *c)
{
    struct ruleset *rs = c->rs;
    for (size_t i = 0; i < rs->packs; i++) {
        for (size_t k = 0; k < rs->pack[i].classes.count; k++) {
            take_class(c, &rs->pack[i], &rs->pack[i].classes.item[k]);
        }
        for (size_t k = 0; k < rs->pack[i].owners.count; k++) {
            take_owner(c, &rs->pack[i], &rs->pack[i].owners.item[k]);
        }
    }
    for (size_t i = 0; i < rs->packs; i++) {
        struct pack *p = &rs->pack[i];
        for (size_t k = 0; k < p->hosts.count; k++) {
            take_host(c, &p->hosts.item[k], p);
        }
        for (size_t k = 0; k < p->rules.count; k++) {
            take_rule(c, &p->rules.item[k]);
        }
        for (size_t k = 0; k < p->relays.count; k++) {
            take_relay(c, &p->relays.item[k], p);
        }
    }
}

bool ruleset_is_on(const struct ruleset *rs, const struct rule *rule)
{
    return rule->on && (rule->portal == 0 || (rule->portal >> rs->portal & 1) != 0);
}

void ruleset_spare(struct ruleset *rs, const struct schema_strs *groups)
{
    rs->groups.item = arena_zalloc(&rs->arena, groups->count * sizeof(*rs->groups.item));
    for (; rs->groups.count < groups->count; rs->groups.count++) {
        struct str name = groups->item[rs->groups.count].text;
        rs->groups.item[rs->groups.count].text = arena_lower(&rs->arena, str_trim(name));
    }
    for (size_t i = 0; i < rs->packs && groups->count > 0; i++) {
        for (size_t k = 0; k < rs->pack[i].rules.count; k++) {
            struct rule *rule = &rs->pack[i].rules.item[k];
            if (rule->spare.text.len > 0) {
                rule->reader = &reader_fields;
                rule->spares = true;
            }
        }
    }
}

int ruleset_build(struct ruleset **out, const struct pack_source *sources, size_t count,
                  struct diag *d)
{
    const unsigned before = d->errors;
    struct ruleset *rs = xnew(struct ruleset);
    rs->trie = trie_new();
    rs->everywhere = trie_root(rs->trie);
    rs->pack = arena_zalloc(&rs->arena, count * sizeof(*rs->pack));
    for (size_t i = 0; i < count; i++) {
        if (pack_read(&rs->pack[rs->packs], sources[i].text, sources[i].file, &rs->arena, d) == 0) {
            rs->packs++;
        }
    }
    if (d->errors == before) {
        struct compiler c = {.rs = rs, .diag = d};
        compile(&c);
    }
    if (d->errors > before) {
        ruleset_free(rs);
        return ERR_CONFIG;
    }
    *out = rs;
    return 0;
}

void ruleset_free(struct ruleset *rs)
{
    if (rs != NULL) {
        trie_free(rs->trie);
        hostmap_free(&rs->literal);
        hostmap_free(&rs->ids);
        hostmap_free(&rs->names);
        free(rs->when);
        arena_free(&rs->arena);
        free(rs);
    }
}
