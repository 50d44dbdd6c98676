/* SPDX-License-Identifier: Apache-2.0 */
/* Groups, portals, and what else lets photos be changed that is no switch of Exchange. */
#include "admin/look.h"
#include "common/err.h"

#include <stdlib.h>

#define GROUPS_MAX 10
#define ADMIN_CA   "photogate: block admin portals"
/* Windows Azure Service Management API */
#define AZURE_API "797f4846-ba00-4fd7-ba43-dac1f8f63013"

/* ---- groups ---- */

static bool add_member(void *arg, json_t *row)
{
    const char *oid = row_text(row, "id"), *upn = row_text(row, "userPrincipalName");
    if (oid[0] == '\0') { /* a row of Exchange */
        oid = row_text(row, "ExternalDirectoryObjectId");
        upn = row_text(row, "PrimarySmtpAddress");
    }
    if (oid[0] != '\0') {
        json_object_set_new(arg, oid, json_string(upn));
    }
    return true;
}

static bool is_guid(struct str s)
{
    return s.len == 36 && s.ptr[8] == '-' && s.ptr[13] == '-' && s.ptr[18] == '-' &&
           s.ptr[23] == '-';
}

/* The object id of the one group of that mail address or name; "" when Graph knows none (a dynamic
 * distribution group is Exchange's alone). */
static int find_group(struct client *cl, struct str name, struct buf *id, struct buf *why)
{
    struct buf path = {0}, quoted = {0};
    struct call c = {0};
    json_t *rows = NULL;
    for (size_t i = 0; i < name.len;
         i++) { /* OData: a quote in a text is doubled; & would end the query */
        buf_z(&quoted, name.ptr[i] == '\''  ? "''"
                       : name.ptr[i] == '&' ? "%26"
                       : name.ptr[i] == '+' ? "%2B"
                                            : "");
        if (strchr("'&+", name.ptr[i]) == NULL) {
            buf_char(&quoted, name.ptr[i]);
        }
    }
    buf_printf(&path, "/v1.0/groups?$filter=mail eq '%s' or displayName eq '%s'&$select=id",
               buf_cstr(&quoted), buf_cstr(&quoted));
    graph_call(&c, "GET", buf_cstr(&path), NULL);
    int err = list_all(cl, &c, GROUPS_MAX, &rows, why);
    if (err == 0 && json_array_size(rows) > 1) {
        buf_z(why, "several groups have that name; write the object id of the one that is meant");
        err = ERR_CONFIG;
    } else if (err == 0) {
        buf_z(id, row_text(json_array_get(rows, 0), "id"));
    }
    json_decref(rows);
    buf_free(&path);
    buf_free(&quoted);
    return err;
}

int group_members(struct client *cl, struct str group, json_t *members, struct buf *why)
{
    struct buf id = {0}, path = {0};
    struct call c = {0};
    const size_t before = json_object_size(members);
    int err = 0;
    if (is_guid(group)) {
        buf_str(&id, group);
    } else {
        err = find_group(cl, group, &id, why);
    }
    if (err == 0 && id.len > 0) {
        buf_printf(&path,
                   "/v1.0/groups/%s/transitiveMembers/"
                   "microsoft.graph.user?$select=id,userPrincipalName&$top=999",
                   buf_cstr(&id));
        graph_call(&c, "GET", buf_cstr(&path), NULL);
        err = list_each(cl, &c, add_member, members, why);
    } else if (err == 0) {
        exo_call(cl, &c, "Get-DynamicDistributionGroupMember",
                 json_pack("{s:s, s:s}", "Identity", group.ptr, "ResultSize", "Unlimited"),
                 "ExternalDirectoryObjectId,PrimarySmtpAddress");
        err = list_each(cl, &c, add_member, members, why);
    }
    if (err == 0 && json_object_size(members) == before) {
        buf_z(why, "the service shows no member");
        err = ERR_AGAIN;
    }
    buf_free(&id);
    buf_free(&path);
    return err;
}

/* ---- portals ---- */

static json_t *ids(const struct schema_strs *list)
{
    json_t *out = json_array();
    for (size_t i = 0; i < list->count; i++) {
        json_array_append_new(out, json_string(list->item[i].text.ptr));
    }
    return out;
}

/* Graph, conditionalAccessApplications: MicrosoftAdminPortals is a reserved word. */
static json_t *portal_policy(const struct conf *conf, const char *state)
{
    return json_pack("{s:s, s:s, s:{s:[s], s:{s:[s,s]}, s:{s:[s], s:o, s:o}}, s:{s:s, s:[s]}}",
                     "displayName", ADMIN_CA, "state", state, "conditions", "clientAppTypes", "all",
                     "applications", "includeApplications", "MicrosoftAdminPortals", AZURE_API,
                     "users", "includeUsers", "All", "excludeRoles", ids(&conf->lock.photo_roles),
                     "excludeUsers", ids(&conf->lock.break_glass), "grantControls", "operator",
                     "OR", "builtInControls", "block");
}

static void look_ca(struct client *cl, struct report *out)
{
    const struct conf *conf = client_conf(cl);
    const struct switch_kind *k = switch_find("ca-policy");
    const char *state =
        conf->lock.portal == PORTAL_ENFORCE ? "enabled" : "enabledForReportingButNotEnforced";
    struct call c = {0};
    struct buf why = {0};
    json_t *now = NULL;
    switch_read(k, cl, &c, ADMIN_CA);
    (void)client_do(cl, &c);
    int err = switch_value(k, &c, ADMIN_CA, &now, &why);
    if (err != 0) {
        report_add(out, "portal", FINDING_UNKNOWN, buf_view(&why),
                   "Conditional Access policies cannot be read");
    } else if (conf->lock.portal == PORTAL_OFF) {
        report_add(out, "portal", FINDING_NOTE, STR_NONE,
                   "the admin portals are left alone (portal = \"off\")");
    } else if (strcmp(row_text(now, "state"), state) == 0) {
        report_add(out, "portal",
                   conf->lock.portal == PORTAL_ENFORCE ? FINDING_LOCKED : FINDING_NOTE, STR_NONE,
                   "Conditional Access keeps users out of the admin portals (%s)", state);
    } else {
        report_add(out, "portal", FINDING_OPEN, STR_NONE,
                   "no Conditional Access policy of ours keeps users out of the admin portals");
        json_t *after =
            json_pack("{s:s, s:o}", "state", state, "policy", portal_policy(conf, state));
        plan_add(&out->plan, "ca-policy", ADMIN_CA, ADMIN_CA, json_incref(now), after);
    }
    json_decref(now);
    call_free(&c);
    buf_free(&why);
}

static void look_entra(struct client *cl, struct report *out)
{
    const struct switch_kind *k = switch_find("entra-portal");
    struct call c = {0};
    struct buf why = {0};
    json_t *now = NULL;
    if (!client_conf(cl)->lock.entra_portal) {
        return;
    }
    switch_read(k, cl, &c, "");
    (void)client_do(cl, &c);
    int err = switch_value(k, &c, "", &now, &why);
    if (err == ERR_DENIED) {
        report_add(out, "entra-portal", FINDING_MANUAL, STR_NONE,
                   "the service shows this switch to no program; see Entra admin center > Users > "
                   "User settings > Restrict access");
    } else if (err != 0) {
        report_add(out, "entra-portal", FINDING_UNKNOWN, buf_view(&why),
                   "the Entra portal's switch cannot be read");
    } else if (strcmp(json_string_value(now), "true") == 0) {
        report_add(out, "entra-portal", FINDING_LOCKED, STR_NONE,
                   "the Entra admin center is closed to users");
    } else {
        report_add(out, "entra-portal", FINDING_OPEN, STR_NONE,
                   "the Entra admin center is open to users");
        plan_add(&out->plan, "entra-portal", "", "", json_incref(now), json_string("true"));
    }
    json_decref(now);
    call_free(&c);
    buf_free(&why);
}

void look_portals(struct client *cl, struct report *out)
{
    look_ca(cl, out);
    look_entra(cl, out);
}

/* ---- consent, applications, synchronisation ---- */

static void look_consent(struct client *cl, struct report *out)
{
    const struct switch_kind *k = switch_find("consent");
    struct call c = {0};
    struct buf why = {0};
    json_t *now = NULL, *kept = json_array(), *value;
    size_t i;
    switch_read(k, cl, &c, "");
    (void)client_do(cl, &c);
    if (switch_value(k, &c, "", &now, &why) != 0) {
        report_add(out, "consent", FINDING_UNKNOWN, buf_view(&why),
                   "whether users may consent to applications cannot be read");
    }
    json_array_foreach(now, i, value)
    { /* what starts so is about the users' own consent; the rest is about groups and teams */
        const char *text = json_string_value(value);
        if (text == NULL || strncmp(text, "ManagePermissionGrantsForSelf.", 30) != 0) {
            json_array_append(kept, value);
        }
    }
    if (now != NULL && json_equal(now, kept)) {
        report_add(out, "consent", FINDING_LOCKED, STR_NONE,
                   "users cannot consent to applications");
    } else if (now != NULL && client_conf(cl)->lock.restrict_consent) {
        report_add(out, "consent", FINDING_OPEN, STR_NONE,
                   "users may consent to applications that then change their photo");
        plan_add(&out->plan, "consent", "", "", json_incref(now), json_incref(kept));
    } else if (now != NULL) {
        report_add(out, "consent", FINDING_NOTE, STR_NONE,
                   "users may consent to applications (restrict_consent = true closes this)");
    }
    json_decref(now);
    json_decref(kept);
    call_free(&c);
    buf_free(&why);
}

struct grants {
    json_t *clients; /* service principal → scopes */
};

static bool note_grant(void *arg, json_t *row)
{
    struct grants *g = arg;
    struct str scopes = str_z(row_text(row, "scope")), scope;
    while (str_cut(&scopes, ' ', &scope)) {
        if (str_ieq(scope, STR("User.ReadWrite")) || str_ieq(scope, STR("User.ReadWrite.All")) ||
            str_ieq(scope, STR("ProfilePhoto.ReadWrite.All"))) {
            json_object_set_new(g->clients, row_text(row, "clientId"),
                                json_stringn(scope.ptr, scope.len));
        }
    }
    return true;
}

static void look_grants(struct client *cl, struct report *out)
{
    struct grants g = {.clients = json_object()};
    struct buf why = {0}, path = {0};
    struct call c = {0};
    const char *id;
    json_t *scope;
    graph_call(&c, "GET",
               "/v1.0/oauth2PermissionGrants?$select=clientId,scope,consentType&$top=999", NULL);
    if (list_each(cl, &c, note_grant, &g, &why) != 0) {
        report_add(out, "apps", FINDING_UNKNOWN, buf_view(&why),
                   "the applications' permissions cannot be read");
    } else if (json_object_size(g.clients) == 0) {
        report_add(out, "apps", FINDING_LOCKED, STR_NONE,
                   "no application may change photos on a user's behalf");
    }
    json_object_foreach(g.clients, id, scope)
    {
        json_t *app = NULL;
        buf_clear(&path);
        buf_clear(&why);
        buf_printf(&path, "/v1.0/servicePrincipals/%s?$select=appId,displayName", id);
        const bool named = graph_get(cl, buf_cstr(&path), &app, &why) == 0;
        report_add(out, "apps", FINDING_NOTE, STR_NONE,
                   "application \"%s\" may change photos on a user's behalf (%s)",
                   named ? row_text(app, "displayName") : id, json_string_value(scope));
        json_decref(app);
    }
    json_decref(g.clients);
    buf_free(&path);
    buf_free(&why);
}

static void look_sync(struct client *cl, struct report *out)
{
    struct buf why = {0};
    struct call c = {0};
    json_t *rows = NULL;
    graph_call(&c, "GET", "/v1.0/organization?$select=id,onPremisesSyncEnabled", NULL);
    if (list_all(cl, &c, 10, &rows, &why) != 0) {
        report_add(out, "sync", FINDING_UNKNOWN, buf_view(&why),
                   "whether the directory is synchronised cannot be read");
    } else if (json_is_true(json_object_get(json_array_get(rows, 0), "onPremisesSyncEnabled"))) {
        report_add(
            out, "sync", FINDING_NOTE, STR_NONE,
            "the directory is synchronised: thumbnailPhoto of Active Directory is one more way in");
    }
    json_decref(rows);
    buf_free(&why);
}

void look_rest(struct client *cl, struct report *out)
{
    look_consent(cl, out);
    look_grants(cl, out);
    look_sync(cl, out);
}
