/* SPDX-License-Identifier: Apache-2.0 */
#include "filters/admins.h"

#include "common/err.h"
#include "common/file.h"
#include "filters/hostmap.h"

#include <jansson.h>

#include <stdlib.h>

/* A set of names, ASCII case folded. */
struct name_set {
    struct str *item; /* sorted once filled */
    size_t count, room;
};

struct admins {
    struct arena arena;
    struct name_set users, oids, apps, roles;
    struct ip_nets networks;
    struct str tenant;
};

struct reader {
    struct admins *ad;
    struct diag *diag;
};

static void set_put(struct reader *r, struct name_set *set, struct str name)
{
    if (set->count == set->room) {
        set->room = set->room > 0 ? set->room * 2 : 16;
        set->item = xrealloc(set->item, set->room * sizeof(*set->item));
    }
    set->item[set->count++] = arena_lower(&r->ad->arena, name);
}

static int compare(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static void set_sort(struct name_set *set)
{
    if (set->count > 1) {
        qsort(set->item, set->count, sizeof(*set->item), compare);
    }
}

/* str_cmp() of a folded name with one that is not. */
static int compare_folded(struct str folded, struct str name)
{
    for (size_t i = 0; i < folded.len && i < name.len; i++) {
        int d = (unsigned char)folded.ptr[i] - (unsigned char)ascii_lower(name.ptr[i]);
        if (d != 0) {
            return d;
        }
    }
    return folded.len < name.len ? -1 : folded.len > name.len;
}

static bool set_has(const struct name_set *set, struct str name)
{
    size_t low = 0, high = set->count;
    while (name.len > 0 && low < high) {
        size_t middle = low + (high - low) / 2;
        int d = compare_folded(set->item[middle], name);
        if (d == 0) {
            return true;
        }
        if (d < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return false;
}

static bool is_guid(struct str s)
{
    if (s.len != 36) {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        char c = ascii_lower(s.ptr[i]);
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? c != '-' : !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
            return false;
        }
    }
    return true;
}

static void take_guids(struct reader *r, const struct schema_strs *list, struct name_set *set,
                       const char *what)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct schema_str *s = &list->item[i];
        if (!is_guid(s->text)) {
            diag_error(r->diag, s->at,
                       "\"%s\" is no %s; it looks like 62e90394-69f5-4237-9190-012177145e10",
                       s->text.ptr, what);
        } else {
            set_put(r, set, s->text);
        }
    }
}

/* Roles that nearly every token carries: naming one would let everybody through. */
static void take_roles(struct reader *r, const struct schema_strs *list)
{
    static const char *const common[] = {
        "b79fbf4d-3ef9-4689-8143-76b194e85509", /* every user */
        "10dae51f-b6af-4016-8d66-8c2a99b929b3", /* guests */
        "2af84b1e-32c8-42b7-82bc-daa82404023b", /* restricted guests */
    };
    take_guids(r, list, &r->ad->roles, "role template id");
    for (size_t i = 0; i < list->count; i++) {
        for (size_t k = 0; k < ARRAY_LEN(common); k++) {
            if (str_ieq(list->item[i].text, str_z(common[k]))) {
                diag_error(r->diag, list->item[i].at,
                           "this role is in every user's token and would let everybody through; "
                           "remove it");
            }
        }
    }
}

static void take_users(struct reader *r, const struct schema_strs *list)
{
    for (size_t i = 0; i < list->count; i++) {
        struct str name = list->item[i].text;
        bool plain = name.len > 0;
        for (size_t k = 0; k < name.len; k++) {
            plain &= name.ptr[k] > ' ' && name.ptr[k] < 0x7f;
        }
        if (!plain) {
            diag_error(r->diag, list->item[i].at,
                       "\"%s\" is no user; write a login or UPN in ASCII, or list the oid",
                       name.ptr);
        } else {
            set_put(r, &r->ad->users, name);
        }
    }
}

static struct str json_text(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_string(value) ? str_of(json_string_value(value), json_string_length(value))
                                 : STR_NONE;
}

static void take_json(struct reader *r, const json_t *root, struct diag_at at)
{
    const json_t *version = json_object_get(root, "version");
    struct str tenant = json_text(root, "tenant_id");
    if (!json_is_integer(version) || json_integer_value(version) != 1) {
        diag_error(r->diag, at,
                   "is not an export of version 1; write it again with "
                   "photogate-admin export-admins");
        return;
    }
    if (!is_guid(tenant) || (r->ad->tenant.len > 0 && !str_ieq(tenant, r->ad->tenant))) {
        diag_error(r->diag, at, "is of another tenant than [admins] tenant_id");
        return;
    }
    if (r->ad->tenant.len == 0) {
        r->ad->tenant = arena_str(&r->ad->arena, tenant);
    }
    const json_t *admins = json_object_get(root, "admins"), *apps = json_object_get(root, "apps");
    for (size_t i = 0; i < json_array_size(admins); i++) {
        const json_t *one = json_array_get(admins, i);
        struct str upn = json_text(one, "upn"), oid = json_text(one, "oid");
        if (upn.len > 0) {
            set_put(r, &r->ad->users, upn);
        }
        if (is_guid(oid)) {
            set_put(r, &r->ad->oids, oid);
        }
    }
    for (size_t i = 0; i < json_array_size(apps); i++) {
        struct str app = json_text(json_array_get(apps, i), "appid");
        if (is_guid(app)) {
            set_put(r, &r->ad->apps, app);
        }
    }
}

static int take_file(struct reader *r, int dir, const struct schema_str *name)
{
    struct buf text = {0};
    json_error_t fault;
    struct diag_at at = DIAG_FILE(name->text.ptr);
    int err = file_read(dir, name->text.ptr, ADMINS_FILE, &text);
    if (err != 0) {
        diag_error(r->diag, name->at, "cannot read %s: %s", name->text.ptr, err_str(err));
        buf_free(&text);
        return err;
    }
    json_t *root =
        json_loadb(text.ptr != NULL ? text.ptr : "", text.len, JSON_REJECT_DUPLICATES, &fault);
    buf_free(&text);
    if (root == NULL) {
        at.line = (unsigned)MAX(fault.line, 0);
        at.column = (unsigned)MAX(fault.column, 0);
        return diag_error(r->diag, at, "%s", fault.text);
    }
    take_json(r, root, at);
    json_decref(root);
    return 0;
}

static void copy_networks(struct admins *ad, const struct ip_nets *nets)
{
    ad->networks.net = arena_alloc(&ad->arena, (nets->count + 1) * sizeof(*nets->net));
    ad->networks.count = nets->count;
    if (nets->count > 0) {
        memcpy(ad->networks.net, nets->net, nets->count * sizeof(*nets->net));
    }
}

int admins_build(struct admins **out, const struct filters_conf *conf, struct diag *d)
{
    const unsigned before = d->errors;
    struct admins *ad = xnew(struct admins);
    struct reader r = {.ad = ad, .diag = d};
    const struct schema_str *tenant = &conf->admins.tenant_id;
    if (tenant->text.len > 0 && !is_guid(tenant->text)) {
        diag_error(d, tenant->at, "\"%s\" is no tenant id; the Entra admin center shows it",
                   tenant->text.ptr);
    }
    ad->tenant = arena_str(&ad->arena, tenant->text);
    take_users(&r, &conf->admins.users);
    take_guids(&r, &conf->admins.oids, &ad->oids, "object id");
    take_guids(&r, &conf->admins.apps, &ad->apps, "application id");
    take_roles(&r, &conf->admins.roles);
    copy_networks(ad, &conf->admins.networks);
    if (conf->admins.groups.count > 0) {
        diag_error(d, conf->admins.groups.item[0].at,
                   "groups need LDAP, which this build does not have; list users, oids or roles");
    }
    if (conf->admins.file.text.len > 0) {
        int err = take_file(&r, conf->dir, &conf->admins.file);
        (void)err; /* counted in the diag */
    }
    if ((ad->oids.count > 0 || ad->apps.count > 0 || ad->roles.count > 0) && ad->tenant.len == 0) {
        diag_error(d, DIAG_NOWHERE,
                   "[admins] oids, apps and roles need tenant_id: a token of another tenant must "
                   "not count");
    }
    set_sort(&ad->users);
    set_sort(&ad->oids);
    set_sort(&ad->apps);
    set_sort(&ad->roles);
    if (d->errors > before) {
        admins_free(ad);
        return ERR_CONFIG;
    }
    *out = ad;
    return 0;
}

void admins_free(struct admins *ad)
{
    if (ad != NULL) {
        free(ad->users.item);
        free(ad->oids.item);
        free(ad->apps.item);
        free(ad->roles.item);
        arena_free(&ad->arena);
        free(ad);
    }
}

static bool let(struct str *entry, struct arena *a, const char *list, struct str name)
{
    struct buf b = {0};
    buf_printf(&b, "%s: " STR_FMT, list, STR_ARG(name));
    *entry = arena_str(a, buf_view(&b));
    buf_free(&b);
    return true;
}

static bool claims_pass(const struct admins *ad, const struct claims *c, int64_t now,
                        struct str *entry, struct arena *a)
{
    if (ad->tenant.len == 0 || !str_ieq(c->tid, ad->tenant) || c->exp <= now) {
        return false;
    }
    if (set_has(&ad->oids, c->oid)) {
        return let(entry, a, "oids", c->oid);
    }
    if (c->app_only) {
        return set_has(&ad->apps, c->app) && let(entry, a, "apps", c->app);
    }
    if (set_has(&ad->users, c->upn)) {
        return let(entry, a, "users", c->upn);
    }
    for (size_t i = 0; i < c->wids.count; i++) {
        if (set_has(&ad->roles, c->wids.item[i])) {
            return let(entry, a, "roles", c->wids.item[i]);
        }
    }
    return false;
}

bool admins_pass(const struct admins *ad, const struct actor *who, const struct canon *c,
                 enum class_bearer host, struct str *entry, struct arena *a)
{
    struct str token;
    struct claims claims;
    if (set_has(&ad->users, who->user)) {
        return let(entry, a, "users", who->user);
    }
    for (size_t i = 0; who->has_ip && i < ad->networks.count; i++) {
        if (ip_in(&who->ip, &ad->networks.net[i])) {
            struct buf net = {0};
            ip_net_put(&net, &ad->networks.net[i]);
            let(entry, a, "networks", buf_view(&net));
            buf_free(&net);
            return true;
        }
    }
    return claims_token(c, host, &token) && claims_read(token, &claims, a) == 0 &&
           claims_pass(ad, &claims, c->request->now, entry, a);
}
