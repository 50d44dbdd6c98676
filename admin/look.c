/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/look.h"

#include "admin/manual.h"
#include "common/err.h"

#include <stdarg.h>
#include <stdlib.h>

#define POLICIES_MAX 10000 /* no limit is documented; a tenant has a handful */

static const char *const state_names[] = {"locked", "open", "exempt", "note", "manual", "unknown"};

const char *finding_state_name(enum finding_state state)
{
    return state_names[state];
}

void report_add(struct report *r, const char *row, enum finding_state state, struct str more,
                const char *format, ...)
{
    struct buf b = {0};
    char text[512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (r->count == r->cap) {
        r->cap = r->cap > 0 ? r->cap * 2 : 16;
        r->findings = xrealloc(r->findings, r->cap * sizeof(*r->findings));
    }
    buf_str(&b, more);
    r->findings[r->count++] = (struct finding){.row = row,
                                               .state = state,
                                               .what = xstrdup(n > 0 ? text : ""),
                                               .more = xstrdup(buf_cstr(&b))};
    buf_free(&b);
}

void report_free(struct report *r)
{
    for (size_t i = 0; i < r->count; i++) {
        free(r->findings[i].what);
        free(r->findings[i].more);
    }
    free(r->findings);
    plan_free(&r->plan);
    *r = (struct report){0};
}

size_t report_number(const struct report *r, enum finding_state state)
{
    size_t n = 0;
    for (size_t i = 0; i < r->count; i++) {
        n += r->findings[i].state == state;
    }
    return n;
}

bool is_in(const struct schema_strs *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (str_ieq(list->item[i].text, str_z(name))) {
            return true;
        }
    }
    return false;
}

json_t *find_named(json_t *rows, const char *name)
{
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        if (str_ieq(str_z(row_text(row, "Name")), str_z(name))) {
            return row;
        }
    }
    return NULL;
}

/* ---- Outlook policies ---- */

static void look_policy(const struct conf *conf, json_t *row, struct report *out)
{
    const char *name = row_text(row, "Name"), *guid = row_text(row, "Guid");
    json_t *photo = json_object_get(row, "SetPhotoEnabled");
    if (!json_is_boolean(photo) || name[0] == '\0') {
        report_add(out, "owa-policy", FINDING_UNKNOWN, STR_NONE,
                   "Outlook policy \"%s\" does not say whether photos may be changed", name);
    } else if (json_is_false(photo)) {
        report_add(out, "owa-policy", FINDING_LOCKED, STR_NONE, "Outlook policy \"%s\"", name);
    } else if (is_in(&conf->lock.open, name)) {
        report_add(out, "owa-policy", FINDING_EXEMPT, STR_NONE,
                   "Outlook policy \"%s\" is open by open_policies", name);
    } else {
        report_add(out, "owa-policy", FINDING_OPEN, STR_NONE,
                   "Outlook policy \"%s\" lets its users change photos", name);
        plan_add(&out->plan, "owa-policy.photo", guid[0] != '\0' ? guid : name, name, json_true(),
                 json_false());
    }
    if (json_is_true(json_object_get(row, "IsDefault")) && is_in(&conf->lock.open, name)) {
        const char *locked = conf->lock.locked_policy.text.ptr;
        report_add(out, "owa-default", FINDING_OPEN, STR_NONE,
                   "the open policy \"%s\" is the default for new mailboxes", name);
        plan_add(&out->plan, "owa-default", "Get-OwaMailboxPolicy", "", json_string(name),
                 json_string(locked));
    }
}

/* A policy that the configuration names and the tenant does not have is made; locked, unless it may
 * be open. */
static void want_policy(const struct conf *conf, json_t *rows, const char *name, json_t *asked,
                        struct report *out)
{
    if (find_named(rows, name) != NULL || json_object_get(asked, name) != NULL) {
        return;
    }
    json_object_set_new(asked, name, json_true());
    report_add(out, "owa-policy", FINDING_OPEN, STR_NONE, "Outlook policy \"%s\" is not there yet",
               name);
    plan_add(&out->plan, "owa-policy", name, name, json_null(), json_object());
    if (!is_in(&conf->lock.open, name)) {
        plan_add(&out->plan, "owa-policy.photo", name, name, json_true(), json_false());
    }
}

static void look_policies(const struct conf *conf, json_t *rows, const struct look_opts *opts,
                          struct report *out)
{
    size_t i;
    json_t *row, *asked = json_object();
    if (!opts->only_assign) {
        json_array_foreach(rows, i, row)
        {
            look_policy(conf, row, out);
        }
        want_policy(conf, rows, conf->lock.locked_policy.text.ptr, asked, out);
    }
    for (i = 0; i < conf->lock.assign.count; i++) {
        want_policy(conf, rows, conf->lock.assign.item[i].policy.text.ptr, asked, out);
    }
    json_decref(asked);
}

/* New mailboxes, and those whose licence changes, get the policy of their plan. */
static void look_plans(struct client *cl, json_t *policies, struct report *out)
{
    const struct conf *conf = client_conf(cl);
    struct call c = {0};
    struct buf why = {0};
    json_t *rows = NULL, *row;
    size_t i;
    exo_call(cl, &c, "Get-CASMailboxPlan", NULL, NULL);
    if (list_all(cl, &c, POLICIES_MAX, &rows, &why) != 0) {
        report_add(out, "cas-plan", FINDING_UNKNOWN, buf_view(&why),
                   "the plans' Outlook policies cannot be read");
    }
    json_array_foreach(rows, i, row)
    {
        const char *name = row_text(row, "DisplayName")[0] != '\0' ? row_text(row, "DisplayName")
                                                                   : row_text(row, "Name");
        const char *target =
            row_text(row, "Guid")[0] != '\0' ? row_text(row, "Guid") : row_text(row, "Name");
        const char *policy = row_text(row, "OwaMailboxPolicy");
        if (policy[0] != '\0' && !is_in(&conf->lock.open, policy) &&
            find_named(policies, policy) != NULL) {
            report_add(out, "cas-plan", FINDING_LOCKED, STR_NONE, "plan \"%s\" gives \"%s\"", name,
                       policy);
            continue;
        }
        report_add(out, "cas-plan", FINDING_OPEN, STR_NONE,
                   "plan \"%s\" gives new and relicensed mailboxes %s%s%s", name,
                   policy[0] != '\0' ? "the open policy \"" : "no policy", policy,
                   policy[0] != '\0' ? "\"" : "");
        json_t *before = json_object_get(row, "OwaMailboxPolicy");
        plan_add(&out->plan, "cas-plan.policy", target, name,
                 before != NULL ? json_incref(before) : json_null(),
                 json_string(conf->lock.locked_policy.text.ptr));
    }
    json_decref(rows);
    buf_free(&why);
}

/* ---- Graph's own switch ---- */

static json_t *wanted_settings(const struct conf *conf)
{
    json_t *roles = json_array(), *raw, *wanted;
    for (size_t i = 0; i < conf->lock.photo_roles.count; i++) {
        json_array_append_new(roles, json_string(conf->lock.photo_roles.item[i].text.ptr));
    }
    raw = json_pack("{s:s, s:o}", "source", "cloud", "allowedRoles", roles);
    wanted = answer_photo_settings(raw);
    json_decref(raw);
    return wanted;
}

static void look_settings(struct client *cl, struct report *out)
{
    struct buf why = {0};
    json_t *object = NULL;
    int err = graph_get(cl, "/beta/admin/people/photoUpdateSettings", &object, &why);
    json_t *now = err == 0 ? answer_photo_settings(object) : NULL,
           *wanted = wanted_settings(client_conf(cl));
    json_t *source = json_object_get(now, "source");
    if (now == NULL) {
        report_add(out, "photo-settings", FINDING_UNKNOWN, buf_view(&why),
                   "who may change photos (photoUpdateSettings) cannot be read%s",
                   err == 0 ? ": its form is new" : "");
    } else if (json_is_string(source) && strcmp(json_string_value(source), "onPremises") == 0) {
        report_add(out, "photo-settings", FINDING_LOCKED, STR_NONE,
                   "photos come from on-premises: nobody changes them in the cloud, not even "
                   "photogate-admin");
    } else if (json_equal(now, wanted)) {
        report_add(out, "photo-settings", FINDING_LOCKED, STR_NONE,
                   "only the named roles may change photos (photoUpdateSettings)");
    } else {
        struct buf text = {0};
        put_value(&text, now);
        report_add(out, "photo-settings", FINDING_OPEN, STR_NONE, "photoUpdateSettings is %s",
                   buf_cstr(&text));
        buf_free(&text);
        plan_add(&out->plan, "photo-settings", "", "", json_incref(now), json_incref(wanted));
    }
    json_decref(wanted);
    json_decref(now);
    json_decref(object);
    buf_free(&why);
}

int look(struct client *cl, const struct look_opts *opts, struct report *out, struct buf *why)
{
    const struct conf *conf = client_conf(cl);
    const bool all = !opts->only_assign && !opts->only_roles && !opts->only_portal;
    json_t *policies = NULL;
    *out = (struct report){0};
    if (all || opts->only_assign) {
        struct call c = {0};
        exo_call(cl, &c, "Get-OwaMailboxPolicy", NULL,
                 "Name,Guid,DistinguishedName,IsDefault,SetPhotoEnabled");
        int err = list_all(cl, &c, POLICIES_MAX, &policies, why);
        if (err == 0 && json_array_size(policies) == 0) {
            buf_z(why, "the service shows no Outlook policy at all; each tenant has one, so it was "
                       "not read");
            err = ERR_PROTOCOL;
        }
        if (err != 0) {
            json_decref(policies);
            return err;
        }
        look_policies(conf, policies, opts, out);
        if (all) {
            look_plans(cl, policies, out);
        }
        look_mailboxes(cl, opts, policies, out);
    }
    if (all && conf->lock.photo_settings) {
        look_settings(cl, out);
    }
    if (all || opts->only_roles) {
        look_roles(cl, opts, out);
    }
    if (all || opts->only_portal) {
        look_portals(cl, out);
    }
    if (all) {
        look_rest(cl, out);
        look_manual(conf, out);
    }
    json_decref(policies);
    plan_sort(&out->plan);
    return 0;
}
