/* SPDX-License-Identifier: Apache-2.0 */
/* whoami, doctor, export-admins: who we are, what is missing, and who is let through by the gate.
 */
#include "admin/cmd.h"
#include "admin/manual.h"
#include "common/clock.h"
#include "common/err.h"
#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const char *const api_names[] = {"Exchange Online", "Microsoft Graph"};

/* What each command needs; the least that does it (permissions reference of Graph,
 * app-only-auth-powershell-v2). */
static const struct {
    enum api api;
    const char *role, *other, *why;
} needs[] = {
    {API_EXCHANGE, "Exchange.ManageAsApp", "",
     "all that is in Exchange; with the directory role Exchange Administrator besides"},
    {API_GRAPH, "PeopleSettings.Read.All", "PeopleSettings.ReadWrite.All",
     "status of photoUpdateSettings; ReadWrite to set them"},
    {API_GRAPH, "Policy.Read.All", "", "status of consent and Conditional Access"},
    {API_GRAPH, "GroupMember.Read.All", "Directory.Read.All",
     "members of groups in [[lock.assign]] and [lock.admins]"},
    {API_GRAPH, "User.Read.All", "Directory.Read.All",
     "people in [[lock.assign]] and [lock.admins]"},
    {API_GRAPH, "Directory.Read.All", "",
     "applications that may change photos, members of directory roles"},
};

static bool has_role(json_t *claims, const char *role)
{
    size_t i;
    json_t *value;
    json_array_foreach(json_object_get(claims, "roles"), i, value)
    {
        if (json_is_string(value) && strcmp(json_string_value(value), role) == 0) {
            return true;
        }
    }
    return false;
}

/* The claims of the token for the API; NULL, with the reason printed, when there is none. */
static json_t *sign_in(struct session *s, enum api api)
{
    struct buf why = {0};
    int err = 0;
    const char *token = tokens_get(client_tokens(s->cl), api, &err, &why);
    json_t *claims = token != NULL ? answer_claims(str_z(token)) : NULL;
    if (token == NULL) {
        buf_printf(&s->out, "FAIL  %s: %s\n", api_names[api], buf_cstr(&why));
    } else if (claims == NULL) { /* good for the service all the same */
        claims = json_object();
    }
    buf_free(&why);
    return claims;
}

/* How many permissions are missing. */
static unsigned say_missing(struct session *s, enum api api, json_t *claims)
{
    unsigned missing = 0;
    if (s->conf->tenant.credential == CREDENTIAL_DEVICE) {
        return 0; /* a person's token has scopes; what it may do is the person's */
    }
    for (size_t i = 0; i < ARRAY_LEN(needs); i++) {
        if (needs[i].api == api && !has_role(claims, needs[i].role) &&
            !has_role(claims, needs[i].other)) {
            buf_printf(&s->out,
                       "MISS  %s (%s); grant it under App registrations > API permissions, with "
                       "admin consent\n",
                       needs[i].role, needs[i].why);
            missing++;
        }
    }
    return missing;
}

int cmd_whoami(struct session *s)
{
    int status = EXIT_DONE;
    for (unsigned api = 0; api < API_COUNT; api++) {
        json_t *claims = sign_in(s, (enum api)api), *value;
        size_t i;
        if (claims == NULL) {
            status = EXIT_FAILED;
            continue;
        }
        buf_printf(&s->out, "%s: tenant %s, application %s (%s)\n  permissions:", api_names[api],
                   row_text(claims, "tid"), row_text(claims, "appid"),
                   row_text(claims, "app_displayname"));
        json_array_foreach(json_object_get(claims, "roles"), i, value)
        {
            buf_printf(&s->out, " %s", json_is_string(value) ? json_string_value(value) : "?");
        }
        buf_z(&s->out, "\n  directory roles:");
        json_array_foreach(json_object_get(claims, "wids"), i, value)
        {
            buf_printf(&s->out, " %s", json_is_string(value) ? json_string_value(value) : "?");
        }
        buf_char(&s->out, '\n');
        (void)say_missing(s, (enum api)api, claims);
        json_decref(claims);
    }
    return status;
}

/* ---- doctor ---- */

static bool check_clock(struct session *s, json_t *claims)
{
    json_int_t iat = json_integer_value(json_object_get(claims, "iat")),
               off = (json_int_t)time(NULL) - iat;
    if (iat == 0 || (off < 300 && off > -300)) {
        return true;
    }
    buf_printf(&s->out,
               "FAIL  clock: this machine is %lld s off the sign-in service; certificates fail "
               "beyond 300 s\n",
               (long long)off);
    return false;
}

/* The service lists the cmdlets that this identity may run (EXOModuleFile). */
static bool check_cmdlets(struct session *s)
{
    static const char *const wanted[] = {"Get-OwaMailboxPolicy",
                                         "Set-OwaMailboxPolicy",
                                         "New-OwaMailboxPolicy",
                                         "Get-CASMailbox",
                                         "Set-CASMailbox",
                                         "Get-CASMailboxPlan",
                                         "Set-CASMailboxPlan",
                                         "Get-ManagementRole",
                                         "New-ManagementRole",
                                         "Get-ManagementRoleAssignment",
                                         "New-ManagementRoleAssignment"};
    struct call c = {.api = API_EXCHANGE, .method = "GET", .cmdlet = "*"};
    struct buf why = {0};
    json_t *rows = NULL;
    bool good = true;
    buf_printf(&c.path, "/adminapi/beta/%s/EXOModuleFile?Version=3.9.2",
               s->conf->tenant.id.text.ptr);
    if (list_all(s->cl, &c, 10, &rows, &why) != 0) {
        buf_printf(&s->out, "FAIL  Exchange cmdlets: %s\n", buf_cstr(&why));
        good = false;
    }
    struct str list = str_z(row_text(json_array_get(rows, 0), "exportedCmdlets"));
    for (size_t i = 0; rows != NULL && i < ARRAY_LEN(wanted); i++) {
        if (!str_list_has(list, str_z(wanted[i]))) {
            buf_printf(&s->out,
                       "FAIL  Exchange cmdlet %s is not allowed; assign the directory role "
                       "Exchange Administrator to the application\n",
                       wanted[i]);
            good = false;
        }
    }
    if (good) {
        buf_z(&s->out, "ok    Exchange cmdlets\n");
    }
    json_decref(rows);
    buf_free(&why);
    return good;
}

static bool check_policies(struct session *s)
{
    struct call c = {0};
    struct buf why = {0};
    json_t *rows = NULL;
    exo_call(s->cl, &c, "Get-OwaMailboxPolicy", NULL, "Name,Guid");
    bool good = list_all(s->cl, &c, 10000, &rows, &why) == 0;
    if (good) {
        buf_printf(&s->out, "ok    %zu Outlook policies can be read\n", json_array_size(rows));
    } else {
        buf_printf(&s->out, "FAIL  Outlook policies: %s\n", buf_cstr(&why));
    }
    json_decref(rows);
    buf_free(&why);
    return good;
}

int cmd_doctor(struct session *s)
{
    bool good = true;
    for (unsigned api = 0; api < API_COUNT; api++) {
        json_t *claims = sign_in(s, (enum api)api);
        if (claims == NULL) {
            good = false;
            continue;
        }
        buf_printf(&s->out, "ok    sign-in to %s\n", api_names[api]);
        good = check_clock(s, claims) && say_missing(s, (enum api)api, claims) == 0 && good;
        json_decref(claims);
        if (api == API_EXCHANGE) {
            good = check_policies(s) && check_cmdlets(s) && good;
        }
    }
    return good ? EXIT_DONE : EXIT_FAILED;
}

/* ---- confirm ---- */

int cmd_confirm(struct session *s)
{
    struct diag d = {0};
    struct buf names = {0};
    const char *by = getenv("SUDO_USER") != NULL ? getenv("SUDO_USER") : getenv("USER");
    int dir = -1, status = EXIT_FAILED;
    if (journal_lock(s->conf, &dir, &d) == 0) {
        const char *name = s->opts.operand != NULL ? s->opts.operand : "";
        int err = manual_confirm(dir, name, by != NULL ? by : "root", &names);
        if (err == ERR_NAME) {
            (void)diag_error(&d, DIAG_NOWHERE, "confirm wants one of: %s", buf_cstr(&names));
        } else if (err != 0) {
            (void)diag_error(&d, DIAG_NOWHERE, "cannot be noted: %s", err_str(err));
        }
        status = err == 0 ? EXIT_DONE : err == ERR_NAME ? EXIT_USAGE : EXIT_FAILED;
        close(dir);
    }
    diag_print(&d, "photogate-admin");
    diag_free(&d);
    buf_free(&names);
    return status;
}

/* ---- export-admins ---- */

struct export
{
    struct session *s;
    json_t *admins; /* oid → {"upn", "source"} */
    bool failed;
};

static bool add_admin(struct export *e, const char *oid, const char *upn, const char *source,
                      const char *name)
{
    struct buf from = {0};
    buf_printf(&from, "%s: %s", source, name);
    if (oid[0] != '\0' && json_object_get(e->admins, oid) == NULL) {
        json_object_set_new(
            e->admins, oid,
            json_pack("{s:s, s:s, s:s}", "upn", upn, "oid", oid, "source", buf_cstr(&from)));
    }
    buf_free(&from);
    return true;
}

static void failed(struct export *e, const char *what, const char *name, const struct buf *why)
{
    fprintf(stderr, "photogate-admin: %s \"%s\" cannot be read: " STR_FMT "\n", what, name,
            STR_ARG(buf_view(why)));
    e->failed = true;
}

struct role_rows {
    struct export *e;
    const char *role;
};

static bool on_role_member(void *arg, json_t *row)
{
    struct role_rows *r = arg;
    return add_admin(r->e, row_text(row, "id"), row_text(row, "userPrincipalName"), "role",
                     r->role);
}

static void export_role(struct export *e, const char *role)
{
    struct role_rows rows = {.e = e, .role = role};
    struct buf path = {0}, why = {0};
    struct call c = {0};
    buf_printf(&path,
               "/v1.0/directoryRoles(roleTemplateId='%s')/members/"
               "microsoft.graph.user?$select=id,userPrincipalName",
               role);
    graph_call(&c, "GET", buf_cstr(&path), NULL);
    int err = list_each(e->s->cl, &c, on_role_member, &rows, &why);
    if (err != 0 && err != -ENOENT) { /* a role that nobody was ever given is not there */
        failed(e, "role", role, &why);
    }
    buf_free(&path);
    buf_free(&why);
}

static void export_group(struct export *e, struct str group)
{
    json_t *members = json_object(), *upn;
    struct buf why = {0};
    const char *oid;
    if (group_members(e->s->cl, group, members, &why) != 0) {
        failed(e, "group", group.ptr, &why);
    }
    json_object_foreach(members, oid, upn)
    {
        add_admin(e, oid, json_string_value(upn), "group", group.ptr);
    }
    json_decref(members);
    buf_free(&why);
}

static void export_user(struct export *e, const char *user)
{
    struct buf path = {0}, why = {0};
    json_t *object = NULL;
    buf_printf(&path, "/v1.0/users/%s?$select=id,userPrincipalName", user);
    if (graph_get(e->s->cl, buf_cstr(&path), &object, &why) != 0) {
        failed(e, "user", user, &why);
    } else {
        add_admin(e, row_text(object, "id"), row_text(object, "userPrincipalName"), "user", user);
    }
    json_decref(object);
    buf_free(&path);
    buf_free(&why);
}

/* The form that the gate reloads: docs/filters.md, the file of [admins]. */
static void put_file(struct export *e, struct buf *out)
{
    const struct conf *conf = e->s->conf;
    const char *oid;
    json_t *admin;
    bool first = true;
    buf_z(out, "{\"version\":1,\"tenant_id\":");
    buf_json(out, conf->tenant.id.text);
    buf_z(out, ",\"generated\":\"");
    clock_now_rfc3339(out);
    buf_z(out, "\",\"admins\":[");
    json_object_foreach(e->admins, oid, admin)
    {
        buf_z(out, first ? "\n  " : ",\n  ");
        put_value(out, admin);
        first = false;
    }
    buf_z(out, "\n],\"apps\":[");
    for (size_t i = 0; i < conf->lock.admins.apps.count; i++) {
        buf_z(out, i > 0 ? ",{\"appid\":" : "{\"appid\":");
        buf_json(out, conf->lock.admins.apps.item[i].text);
        buf_z(out, ",\"name\":\"\"}");
    }
    buf_z(out, "]}\n");
}

int cmd_export_admins(struct session *s)
{
    const struct conf *conf = s->conf;
    struct export e = {.s = s, .admins = json_object()};
    for (size_t i = 0; i < conf->lock.admins.roles.count; i++) {
        export_role(&e, conf->lock.admins.roles.item[i].text.ptr);
    }
    for (size_t i = 0; i < conf->lock.admins.groups.count; i++) {
        export_group(&e, conf->lock.admins.groups.item[i].text);
    }
    for (size_t i = 0; i < conf->lock.admins.users.count; i++) {
        export_user(&e, conf->lock.admins.users.item[i].text.ptr);
    }
    char *path = conf_path(conf, conf->lock.admins.file.text);
    size_t count = json_object_size(e.admins);
    if (!e.failed && count == 0 && !s->opts.force) {
        fputs("photogate-admin: nobody at all would be let through; --force writes that\n", stderr);
        e.failed = true;
    }
    if (!e.failed) {
        struct buf text = {0};
        put_file(&e, &text);
        int err = file_replace(AT_FDCWD, path, buf_view(&text), 0644);
        if (err != 0) {
            fprintf(stderr, "photogate-admin: %s cannot be written: %s\n", path, err_str(err));
            e.failed = true;
        } else {
            buf_printf(&s->out, "%zu administrators and %zu applications in %s\n", count,
                       conf->lock.admins.apps.count, path);
        }
        buf_free(&text);
    } else {
        fprintf(stderr, "photogate-admin: %s stays as it was\n", path);
    }
    free(path);
    json_decref(e.admins);
    return e.failed ? EXIT_FAILED : EXIT_DONE;
}
