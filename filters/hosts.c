/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/hosts.h"

#include "common/err.h"

#include <stdlib.h>

/* What is open: no conf means all of it. */
struct picker {
    struct hosts *hosts;
    const struct ruleset *rs;
    const struct filters_conf *conf;
    struct diag *diag;
    struct str *tenant;
    size_t tenants;
};

/* The cloud of a host that the configuration closes. */
static const char by_conf[] = "never";

/* An entry without a scope is a name that stays closed. */
static const struct host_entry *put(struct picker *p, struct str name,
                                    const struct host_class *class, const char *cloud, bool open)
{
    struct hosts *h = p->hosts;
    struct host_entry *e = arena_zalloc(&h->arena, sizeof(*e));
    *e = (struct host_entry){.name = arena_str(&h->arena, name),
                             .class = class != NULL ? class->name.text.ptr : "custom",
                             .cloud = cloud,
                             .photo = open && (class == NULL || class->photo),
                             .cookies = class == NULL || class->cookies,
                             .scope = open ? class : NULL};
    const struct host_entry *there = hostmap_put(&h->map, e->name, e);
    if (there != NULL) {
        return there;
    }
    if (!open) {
        e->class = NULL; /* what hosts_find() knows it by */
        return e;
    }
    if (h->count == h->room) {
        h->room = h->room > 0 ? h->room * 2 : 64;
        h->entry = xrealloc(h->entry, h->room * sizeof(struct host_entry *));
    }
    h->entry[h->count++] = e;
    return e;
}

static bool lists(const struct schema_strs *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (str_eq(list->item[i].text, str_z(name))) {
            return true;
        }
    }
    return false;
}

static bool is_picked(const struct picker *p, const struct host_fact *f)
{
    const struct filters_conf *c = p->conf;
    if (c == NULL) {
        return true;
    }
    if (c->inspect.packs.count > 0 && !lists(&c->inspect.packs, pack_clouds[f->cloud])) {
        return false;
    }
    if (f->portal != 0 && !(f->portal >> c->filters.portal & 1)) {
        return false;
    }
    if (f->optional.text.len > 0) {
        return lists(&c->inspect.optional, f->optional.text.ptr);
    }
    return c->inspect.profile == FILTERS_STANDARD || f->profile == FILTERS_LIGHT;
}

/* "{tenant}-my.sharepoint.com" with the tenant's name in it. */
static void put_tenant(struct picker *p, const struct host_fact *f, struct str form,
                       struct str tenant)
{
    const struct str mark = STR("{tenant}");
    ptrdiff_t at = str_find(form, mark);
    struct buf name = {0};
    if (at >= 0) {
        buf_str(&name, str_of(form.ptr, (size_t)at));
        buf_str(&name, tenant);
        buf_str(&name, str_skip(form, (size_t)at + mark.len));
        put(p, buf_view(&name), f->class, pack_clouds[f->cloud], f->open);
    }
    buf_free(&name);
}

static void pick(struct picker *p, const struct host_fact *f)
{
    if (!is_picked(p, f)) {
        return;
    }
    for (size_t i = 0; i < f->names.count; i++) {
        put(p, f->names.item[i].text, f->class, pack_clouds[f->cloud], f->open);
    }
    for (size_t i = 0; p->tenants == 0 && i < f->no_tenant.count; i++) {
        put(p, f->no_tenant.item[i].text, f->class, pack_clouds[f->cloud], f->open);
    }
    for (size_t t = 0; t < p->tenants; t++) {
        for (size_t i = 0; i < f->tenant.count; i++) {
            put_tenant(p, f, f->tenant.item[i].text, p->tenant[t]);
        }
    }
}

static void pick_all(struct picker *p)
{
    for (size_t i = 0; i < p->rs->packs; i++) {
        for (size_t k = 0; k < p->rs->pack[i].hosts.count; k++) {
            pick(p, &p->rs->pack[i].hosts.item[k]);
        }
    }
}

static struct str folded(struct picker *p, struct str name)
{
    if (name.len > 0 && name.ptr[name.len - 1] == '.') {
        name.len--;
    }
    return arena_lower(&p->hosts->arena, name);
}

static bool is_host(struct picker *p, const struct schema_str *name, struct str *out)
{
    *out = folded(p, name->text);
    if (!hostmap_is_name(*out)) {
        diag_error(p->diag, name->at,
                   "\"%s\" is no host; write a name such as mail.example.com, or *.example.com, "
                   "without scheme and port",
                   name->text.ptr);
        return false;
    }
    return true;
}

static void check_names(struct picker *p)
{
    const struct filters_conf *c = p->conf;
    for (size_t i = 0; i < c->inspect.packs.count; i++) {
        const struct schema_str *name = &c->inspect.packs.item[i];
        size_t k = 0;
        while (pack_clouds[k] != NULL && !str_eq(name->text, str_z(pack_clouds[k]))) {
            k++;
        }
        if (pack_clouds[k] == NULL) {
            diag_error(p->diag, name->at,
                       "there is no host pack \"%s\"; they are world, gcc-high, dod, china",
                       name->text.ptr);
        }
    }
    for (size_t i = 0; i < c->inspect.optional.count; i++) {
        const struct schema_str *name = &c->inspect.optional.item[i];
        bool known = false;
        for (size_t k = 0; k < p->rs->packs; k++) {
            for (size_t n = 0; n < p->rs->pack[k].hosts.count; n++) {
                known |= str_eq(p->rs->pack[k].hosts.item[n].optional.text, name->text);
            }
        }
        if (!known || name->text.len == 0) {
            diag_error(p->diag, name->at, "there is no optional group of hosts \"%s\"",
                       name->text.ptr);
        }
    }
}

static void take_tenants(struct picker *p)
{
    const struct schema_strs *named = &p->conf->inspect.tenants;
    p->tenant = arena_zalloc(&p->hosts->arena, named->count * sizeof(*p->tenant));
    for (size_t i = 0; i < named->count; i++) {
        struct str name = folded(p, named->item[i].text);
        if (!hostmap_is_name(name) || str_index(name, '.') >= 0 || name.len > 50) {
            diag_error(p->diag, named->item[i].at,
                       "\"%s\" is no tenant name; write the part before .sharepoint.com, such as "
                       "\"contoso\"",
                       named->item[i].text.ptr);
        } else {
            p->tenant[p->tenants++] = name;
        }
    }
}

static void put_extras(struct picker *p)
{
    const struct filters_extras *extra = &p->conf->inspect.extra;
    for (size_t i = 0; i < extra->count; i++) {
        struct str name;
        const struct schema_str *kind = &extra->item[i].class;
        const struct host_class *class = ruleset_class(p->rs, kind->text);
        if (class == NULL) {
            struct buf known = {0};
            for (size_t k = 0; k < p->rs->packs; k++) {
                for (size_t n = 0; n < p->rs->pack[k].classes.count; n++) {
                    buf_printf(&known, "%s%s", known.len > 0 ? ", " : "",
                               p->rs->pack[k].classes.item[n].name.text.ptr);
                }
            }
            diag_error(p->diag, kind->at, "there is no class of hosts \"%s\"; they are %s",
                       kind->text.ptr, buf_cstr(&known));
            buf_free(&known);
        } else if (is_host(p, &extra->item[i].host, &name)) {
            put(p, name, class, "extra", true);
        }
    }
}

static void put_closed(struct picker *p)
{
    for (size_t i = 0; i < p->conf->inspect.never.count; i++) {
        struct str name;
        if (is_host(p, &p->conf->inspect.never.item[i], &name)) {
            put(p, name, NULL, by_conf, false);
        }
    }
}

int hosts_build(struct hosts *h, const struct ruleset *rs, const struct filters_conf *conf,
                struct diag *d)
{
    const unsigned before = d->errors;
    struct picker p = {.hosts = h, .rs = rs, .conf = conf, .diag = d};
    *h = (struct hosts){0};
    check_names(&p);
    take_tenants(&p);
    put_closed(&p); /* first, so that nothing takes their places */
    put_extras(&p);
    pick_all(&p);
    return d->errors > before ? ERR_CONFIG : 0;
}

void hosts_build_all(struct hosts *h, const struct ruleset *rs)
{
    struct picker p = {.hosts = h, .rs = rs};
    *h = (struct hosts){0};
    pick_all(&p);
    for (size_t i = 0; i < rs->packs; i++) {
        for (size_t k = 0; k < rs->pack[i].rules.count; k++) {
            const struct schema_strs *names = &rs->pack[i].rules.item[k].hosts;
            for (size_t n = 0; n < names->count; n++) {
                if (names->item[n].text.ptr[0] != '@') {
                    put(&p, names->item[n].text, NULL, "rule", true);
                }
            }
        }
    }
}

void hosts_free(struct hosts *h)
{
    hostmap_free(&h->map);
    free(h->entry);
    arena_free(&h->arena);
    *h = (struct hosts){0};
}

const struct host_entry *hosts_find(const struct hosts *h, struct str host)
{
    void *found[HOSTMAP_MOST];
    size_t count = hostmap_find(&h->map, host, found);
    for (size_t i = 0; i < count; i++) {
        const struct host_entry *e = found[i];
        if (e->cloud == by_conf) { /* however wide it is written */
            return NULL;
        }
    }
    const struct host_entry *first = count > 0 ? found[0] : NULL;
    return first != NULL && first->class != NULL ? first : NULL;
}
