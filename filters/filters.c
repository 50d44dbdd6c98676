/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/filters.h"

#include "common/err.h"
#include "common/file.h"
#include "filters/decide.h"
#include "filters/embedded.h"
#include "filters/vectors.h"

#include <jansson.h>

#include <stdlib.h>

struct filters {
    struct ruleset *rules;
    struct admins *admins;
    struct hosts hosts;
    struct ip_nets never;
    size_t vectors;
};

/* The embedded packs and the files that the configuration names. */
struct sources {
    struct pack_source *item;
    struct buf *file;
    size_t count, files;
};

static int open_sources(struct sources *s, const struct filters_conf *conf, struct diag *d)
{
    const struct schema_strs *names = &conf->filters.packs;
    int result = 0;
    *s = (struct sources){
        .item = xcalloc(embedded_count + names->count, sizeof(*s->item)),
        .file = xcalloc(names->count, sizeof(*s->file)),
    };
    for (; s->count < embedded_count; s->count++) {
        s->item[s->count] = embedded_pack(s->count);
    }
    for (; s->files < names->count; s->files++) {
        const char *name = names->item[s->files].text.ptr;
        int err = file_read(conf->dir, name, PACK_BYTES, &s->file[s->files]);
        if (err != 0) {
            diag_error(d, names->item[s->files].at, "cannot read %s: %s", name, err_str(err));
            result = err;
        }
        s->item[s->count++] = (struct pack_source){buf_view(&s->file[s->files]), name};
    }
    return result;
}

static void close_sources(struct sources *s)
{
    for (size_t i = 0; i < s->files; i++) {
        buf_free(&s->file[i]);
    }
    free(s->file);
    free(s->item);
}

static int switch_off(struct ruleset *rs, const struct schema_strs *ids, struct diag *d)
{
    int err = 0;
    for (size_t i = 0; i < ids->count; i++) {
        struct rule *rule = ruleset_rule(rs, ids->item[i].text);
        if (rule == NULL) {
            err = diag_error(d, ids->item[i].at,
                             "there is no rule \"%s\"; photogate rules list shows them",
                             ids->item[i].text.ptr);
        } else {
            rule->on = false;
        }
    }
    return err;
}

/* A rule for a host that is never opened would wait for ever. */
static void warn_unreached(const struct filters *f, struct diag *d)
{
    for (size_t i = 0; i < f->rules->packs; i++) {
        for (size_t k = 0; k < f->rules->pack[i].rules.count; k++) {
            const struct schema_strs *names = &f->rules->pack[i].rules.item[k].hosts;
            for (size_t n = 0; n < names->count; n++) {
                struct str name = names->item[n].text;
                name = str_starts(name, STR("*.")) ? str_skip(name, 2) : name;
                if (name.ptr[0] != '@' && hosts_find(&f->hosts, name) == NULL) {
                    diag_warn(d, names->item[n].at,
                              "%s is not on the inspect list, so this rule never applies; add it "
                              "to [inspect] extra",
                              names->item[n].text.ptr);
                }
            }
        }
    }
}

int filters_build(const struct filters_conf *conf, struct filters **out, struct diag *d)
{
    struct sources sources;
    struct filters *f = xnew(struct filters);
    json_object_seed(0); /* once, before threads parse tokens */
    int err = open_sources(&sources, conf, d);
    if (err == 0) {
        err = ruleset_build(&f->rules, sources.item, sources.count, d);
    }
    close_sources(&sources);
    if (err == 0) {
        err = vectors_run(f->rules, &f->vectors, d);
    }
    if (err == 0) {
        f->rules->portal = conf->filters.portal;
        ruleset_spare(f->rules, &conf->filters.groups);
    }
    if (err == 0) { /* each of these is checked, so that one run shows all faults */
        int off = switch_off(f->rules, &conf->filters.disable, d);
        int hosts = hosts_build(&f->hosts, f->rules, conf, d);
        int admins = admins_build(&f->admins, conf, d);
        err = off != 0 ? off : hosts != 0 ? hosts : admins;
    }
    if (err != 0) {
        filters_free(f);
        return err;
    }
    f->never.count = conf->inspect.never_networks.count;
    f->never.net = xcalloc(f->never.count, sizeof(*f->never.net));
    if (f->never.count > 0) {
        memcpy(f->never.net, conf->inspect.never_networks.net,
               f->never.count * sizeof(*f->never.net));
    }
    warn_unreached(f, d);
    *out = f;
    return 0;
}

void filters_free(struct filters *f)
{
    if (f != NULL) {
        hosts_free(&f->hosts);
        ruleset_free(f->rules);
        admins_free(f->admins);
        free(f->never.net);
        free(f);
    }
}

const struct host_entry *filters_host(const struct filters *f, struct str host)
{
    char folded[254];
    if (host.len > 0 && host.ptr[host.len - 1] == '.') {
        host.len--;
    }
    if (host.len == 0 || host.len >= sizeof(folded)) {
        return NULL;
    }
    for (size_t i = 0; i < host.len; i++) {
        folded[i] = ascii_lower(host.ptr[i]);
    }
    return hosts_find(&f->hosts, str_of(folded, host.len));
}

void filters_each_host(const struct filters *f,
                       void (*each)(void *ctx, const struct host_entry *entry), void *ctx)
{
    for (size_t i = 0; i < f->hosts.count; i++) {
        each(ctx, f->hosts.entry[i]);
    }
}

const struct ip_nets *filters_never_networks(const struct filters *f)
{
    return &f->never;
}

struct verdict filters_decide(const struct filters *f, const struct filter_request *r,
                              const struct actor *who, struct arena *arena)
{
    return decide(f->rules, &f->hosts, f->admins, r, who, arena);
}

struct filters_body {
    struct deciding *deciding;
};

struct filters_body *filters_body_new(const struct filters *f, const struct filter_request *r,
                                      const struct actor *who, struct arena *arena)
{
    struct filters_body *b = xnew(struct filters_body);
    b->deciding = deciding_new(f->rules, &f->hosts, f->admins, r, who, arena);
    return b;
}

void filters_body_free(struct filters_body *b)
{
    if (b != NULL) {
        deciding_free(b->deciding);
        free(b);
    }
}

struct verdict filters_body_feed(struct filters_body *b, struct str piece)
{
    return deciding_feed(b->deciding, piece);
}

struct verdict filters_body_end(struct filters_body *b)
{
    return deciding_end(b->deciding);
}

void filters_each_rule(const struct filters *f,
                       void (*each)(void *ctx, const struct rule_info *rule, bool on), void *ctx)
{
    for (size_t i = 0; i < f->rules->packs; i++) {
        for (size_t k = 0; k < f->rules->pack[i].rules.count; k++) {
            const struct rule *rule = &f->rules->pack[i].rules.item[k];
            each(ctx, &rule->info, ruleset_is_on(f->rules, rule));
        }
    }
}

struct filters_counts filters_count(const struct filters *f)
{
    return (struct filters_counts){.packs = f->rules->packs,
                                   .rules = f->rules->rules,
                                   .vectors = f->vectors,
                                   .hosts = f->hosts.count};
}
