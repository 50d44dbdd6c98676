/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/switches.h"

#include "common/err.h"

#include <errno.h>
#include <stdlib.h>

#define HOUR 3600

/* ---- switches that are not one property of one object ---- */

/* Which of several policies is the default one: its name. */
static void read_default(const struct client *cl, struct call *c, const char *target)
{
    exo_call(cl, c, target, NULL, NULL);
}

static json_t *value_default(const char *target, json_t *answer)
{
    size_t i;
    json_t *row;
    (void)target;
    json_array_foreach(json_object_get(answer, "value"), i, row)
    {
        if (json_is_true(json_object_get(row, "IsDefault")) && row_text(row, "Name")[0] != '\0') {
            return json_incref(json_object_get(row, "Name"));
        }
    }
    return json_null();
}

static void write_default(const struct client *cl, struct call *c, const char *target, json_t *from,
                          json_t *to)
{
    (void)from;
    exo_call(cl, c,
             strcmp(target, "Get-OwaMailboxPolicy") == 0 ? "Set-OwaMailboxPolicy"
                                                         : "Set-RoleAssignmentPolicy",
             json_pack("{s:O, s:b}", "Identity", to, "IsDefault", 1), NULL);
}

/* A role entry, "role\cmdlet": true or none. The read takes wildcards, so an absent one gives an
 * empty list. */
static json_t *value_entry(const char *target, json_t *answer)
{
    (void)target;
    return json_array_size(json_object_get(answer, "value")) > 0 ? json_true() : json_null();
}

static void write_entry(const struct client *cl, struct call *c, const char *target, json_t *from,
                        json_t *to)
{
    (void)from;
    if (json_is_null(to)) {
        exo_call(cl, c, "Remove-ManagementRoleEntry",
                 json_pack("{s:s, s:b}", "Identity", target, "Confirm", 0), NULL);
    } else {
        exo_call(cl, c, "Add-ManagementRoleEntry", json_pack("{s:s}", "Identity", target), NULL);
    }
}

#define PHOTO_SETTINGS "/beta/admin/people/photoUpdateSettings"

static void read_photo(const struct client *cl, struct call *c, const char *target)
{
    (void)cl;
    (void)target;
    graph_call(c, "GET", PHOTO_SETTINGS, NULL);
}

static json_t *value_photo(const char *target, json_t *answer)
{
    (void)target;
    return answer_photo_settings(answer);
}

static void write_photo(const struct client *cl, struct call *c, const char *target, json_t *from,
                        json_t *to)
{
    (void)cl;
    (void)target;
    (void)from;
    if (json_is_null(
            json_object_get(to, "source"))) { /* as it is in a tenant where nobody set it */
        graph_call(c, "DELETE", PHOTO_SETTINGS, NULL);
    } else {
        graph_call(c, "PATCH", PHOTO_SETTINGS, json_incref(to));
    }
}

#define CA_POLICIES "/v1.0/identity/conditionalAccess/policies"

static void read_ca(const struct client *cl, struct call *c, const char *target)
{
    (void)cl;
    (void)target;
    graph_call(c, "GET", CA_POLICIES, NULL);
}

/* Ours by its name: {"id", "state"} and what else we gave it. The id is part of the value, since
 * Graph gives it. */
static json_t *value_ca(const char *target, json_t *answer)
{
    size_t i;
    json_t *row;
    if (!json_is_array(json_object_get(answer, "value"))) {
        return NULL;
    }
    json_array_foreach(json_object_get(answer, "value"), i, row)
    {
        if (strcmp(row_text(row, "displayName"), target) == 0) {
            return json_pack("{s:s, s:s}", "id", row_text(row, "id"), "state",
                             row_text(row, "state"));
        }
    }
    return json_null();
}

static void write_ca(const struct client *cl, struct call *c, const char *target, json_t *from,
                     json_t *to)
{
    (void)cl;
    (void)target;
    struct buf path = {0};
    const char *id = row_text(from, "id");
    buf_printf(&path, "%s/%s", CA_POLICIES, id);
    if (json_is_null(to)) {
        graph_call(c, "DELETE", buf_cstr(&path), NULL);
    } else if (id[0] != '\0') {
        graph_call(c, "PATCH", buf_cstr(&path),
                   json_pack("{s:O}", "state", json_object_get(to, "state")));
    } else {
        graph_call(c, "POST", CA_POLICIES, json_incref(json_object_get(to, "policy")));
    }
    buf_free(&path);
}

static void read_portal(const struct client *cl, struct call *c, const char *target)
{
    (void)cl;
    (void)target;
    graph_call(c, "GET", "/beta/admin/entra/uxSetting", NULL);
}

static json_t *value_portal(const char *target, json_t *answer)
{
    json_t *value = json_object_get(answer, "restrictNonAdminAccess");
    (void)target;
    return json_is_string(value) ? json_incref(value) : NULL;
}

static void write_portal(const struct client *cl, struct call *c, const char *target, json_t *from,
                         json_t *to)
{
    (void)cl;
    (void)target;
    (void)from;
    graph_call(c, "PATCH", "/beta/admin/entra/uxSetting",
               json_pack("{s:O}", "restrictNonAdminAccess", to));
}

static void read_consent(const struct client *cl, struct call *c, const char *target)
{
    (void)cl;
    (void)target;
    graph_call(c, "GET", "/v1.0/policies/authorizationPolicy", NULL);
}

static json_t *value_consent(const char *target, json_t *answer)
{
    json_t *list = json_object_get(json_object_get(answer, "defaultUserRolePermissions"),
                                   "permissionGrantPoliciesAssigned");
    (void)target;
    return json_is_array(list) ? json_incref(list) : NULL;
}

static void write_consent(const struct client *cl, struct call *c, const char *target, json_t *from,
                          json_t *to)
{
    (void)cl;
    (void)target;
    (void)from;
    graph_call(c, "PATCH", "/v1.0/policies/authorizationPolicy",
               json_pack("{s:{s:O}}", "defaultUserRolePermissions",
                         "permissionGrantPoliciesAssigned", to));
}

/* ---- the table ---- */

static const struct switch_kind kinds[] = {
    {.name = "owa-policy",
     .title = "Outlook policy",
     .phase = 10,
     .get = "Get-OwaMailboxPolicy",
     .add = "New-OwaMailboxPolicy",
     .remove = "Remove-OwaMailboxPolicy"},
    {.name = "owa-policy.photo",
     .title = "photo change in Outlook policy",
     .phase = 11,
     .effect_s = HOUR,
     .effect_of = "Set-OwaMailboxPolicy",
     .get = "Get-OwaMailboxPolicy",
     .set = "Set-OwaMailboxPolicy",
     .property = "SetPhotoEnabled"},
    {.name = "owa-default",
     .title = "default Outlook policy",
     .phase = 12,
     .effect_s = HOUR,
     .effect_of = "Set-OwaMailboxPolicy",
     .read = read_default,
     .value = value_default,
     .write = write_default},
    {.name = "cas-plan.policy",
     .title = "Outlook policy of plan",
     .phase = 13,
     .get = "Get-CASMailboxPlan",
     .set = "Set-CASMailboxPlan",
     .property = "OwaMailboxPolicy"},
    {.name = "photo-settings",
     .title = "who may change photos (Graph)",
     .phase = 14,
     .effect_s = 24 * HOUR,
     .effect_of = "Graph, configure profile photo settings",
     .read = read_photo,
     .value = value_photo,
     .write = write_photo},
    {.name = "consent",
     .title = "consent to applications by users",
     .phase = 15,
     .read = read_consent,
     .value = value_consent,
     .write = write_consent},
    {.name = "entra-portal",
     .title = "Entra admin center for non-administrators",
     .phase = 16,
     .read = read_portal,
     .value = value_portal,
     .write = write_portal},
    {.name = "ca-policy",
     .title = "Conditional Access policy",
     .phase = 17,
     .read = read_ca,
     .value = value_ca,
     .write = write_ca},
    {.name = "role",
     .title = "role",
     .phase = 20,
     .chained = true,
     .get = "Get-ManagementRole",
     .add = "New-ManagementRole",
     .remove = "Remove-ManagementRole",
     .fields = {"Parent", "Parent"}},
    {.name = "role-entry",
     .title = "role entry",
     .phase = 21,
     .chained = true,
     .get = "Get-ManagementRoleEntry",
     .value = value_entry,
     .write = write_entry},
    {.name = "role-policy",
     .title = "role assignment policy",
     .phase = 22,
     .chained = true,
     .get = "Get-RoleAssignmentPolicy",
     .add = "New-RoleAssignmentPolicy",
     .remove = "Remove-RoleAssignmentPolicy"},
    {.name = "role-assignment",
     .title = "role assignment",
     .phase = 23,
     .chained = true,
     .get = "Get-ManagementRoleAssignment",
     .add = "New-ManagementRoleAssignment",
     .remove = "Remove-ManagementRoleAssignment",
     .fields = {"Role", "Role", "Policy", "RoleAssigneeName"}},
    {.name = "role-default",
     .title = "default role assignment policy",
     .phase = 25,
     .chained = true,
     .read = read_default,
     .value = value_default,
     .write = write_default},
    {.name = "mailbox-plan.roles",
     .title = "roles of plan",
     .phase = 26,
     .chained = true,
     .get = "Get-MailboxPlan",
     .set = "Set-MailboxPlan",
     .property = "RoleAssignmentPolicy"},
    {.name = "cas-mailbox.policy",
     .title = "Outlook policy of mailbox",
     .phase = 30,
     .effect_s = HOUR,
     .effect_of = "Set-OwaMailboxPolicy",
     .get = "Get-CASMailbox",
     .set = "Set-CASMailbox",
     .property = "OwaMailboxPolicy"},
    {.name = "mailbox.roles",
     .title = "roles of mailbox",
     .phase = 31,
     .chained = true,
     .get = "Get-Mailbox",
     .set = "Set-Mailbox",
     .property = "RoleAssignmentPolicy"},
};

const struct switch_kind *switch_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            return &kinds[i];
        }
    }
    return NULL;
}

void switch_read(const struct switch_kind *k, const struct client *cl, struct call *c,
                 const char *target)
{
    if (k->read != NULL) {
        k->read(cl, c, target);
    } else {
        exo_call(cl, c, k->get, json_pack("{s:s}", "Identity", target), NULL);
    }
}

static json_t *generic_value(const struct switch_kind *k, json_t *answer)
{
    json_t *rows = json_object_get(answer, "value"), *row = json_array_get(rows, 0);
    if (!json_is_array(rows) || (row == NULL && k->property != NULL)) {
        return NULL;
    }
    if (k->property != NULL) {
        json_t *value = json_object_get(row, k->property);
        return value != NULL ? json_incref(value) : json_null();
    }
    if (row == NULL) {
        return json_null();
    }
    json_t *made = json_object();
    for (size_t i = 0; i + 1 < ARRAY_LEN(k->fields) && k->fields[i] != NULL; i += 2) {
        json_t *value = json_object_get(row, k->fields[i + 1]);
        json_object_set(made, k->fields[i], value != NULL ? value : json_null());
    }
    return made;
}

int switch_value(const struct switch_kind *k, const struct call *c, const char *target,
                 json_t **value, struct buf *why)
{
    *value = NULL;
    if (c->err == -ENOENT && c->api == API_EXCHANGE && k->property == NULL) {
        char code[64];
        answer_error_code(buf_view(&c->answer), code, sizeof(code));
        if (strcmp(code, "ManagementObjectNotFoundException") ==
            0) { /* not: the cmdlet is not there */
            *value = json_null();
            return 0;
        }
    }
    if (c->err != 0) {
        buf_str(why, buf_view(&c->why));
        return c->err;
    }
    json_t *answer = answer_json(buf_view(&c->answer));
    int err = answer != NULL ? 0 : ERR_PROTOCOL;
    if (err == 0 && c->api == API_EXCHANGE) {
        struct answer_page page;
        err = answer_page(buf_view(&c->answer), &page);
        if (err == 0) {
            err = page.error.len > 0 ? ERR_PROTOCOL : 0;
            answer_page_free(&page);
        }
    }
    if (err == 0) {
        *value = k->value != NULL ? k->value(target, answer) : generic_value(k, answer);
        err = *value != NULL ? 0 : ERR_PROTOCOL;
    }
    if (err != 0) {
        buf_z(why, "the answer has a form that is not known");
    }
    json_decref(answer);
    return err;
}

void switch_write(const struct switch_kind *k, const struct client *cl, struct call *c,
                  const char *target, json_t *from, json_t *to)
{
    if (k->write != NULL) {
        k->write(cl, c, target, from, to);
    } else if (k->property != NULL) {
        exo_call(cl, c, k->set, json_pack("{s:s, s:O}", "Identity", target, k->property, to), NULL);
    } else if (json_is_null(to)) {
        exo_call(cl, c, k->remove, json_pack("{s:s, s:b}", "Identity", target, "Confirm", 0), NULL);
    } else {
        json_t *parameters = json_copy(to);
        json_object_set_new(parameters, "Name", json_string(target));
        exo_call(cl, c, k->add, parameters, NULL);
    }
}

bool switch_equal(const struct switch_kind *k, json_t *a, json_t *b)
{
    if (k->value == value_ca && json_is_object(a) && json_is_object(b)) {
        return json_equal(json_object_get(a, "state"), json_object_get(b, "state"));
    }
    return json_equal(a, b);
}

int switch_taken(const struct call *c, struct buf *why)
{
    struct answer_page page;
    if (c->api != API_EXCHANGE || c->status == 204) {
        return 0;
    }
    if (answer_page(buf_view(&c->answer), &page) != 0) {
        return ERR_UNSURE; /* cut short, or not from the service: only the state can tell */
    }
    int err = page.error.len > 0 ? ERR_PROTOCOL : 0;
    buf_str(why, buf_view(&page.error));
    answer_page_free(&page);
    return err;
}
