/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Role entries for Set-UserPhoto and Remove-UserPhoto. Built-in roles cannot be changed
 * (Remove-ManagementRoleEntry: "you can't remove role entries from built-in management roles"), so
 * a child role without the entries takes their place. They are looked for by the cmdlet, not by the
 * roles' names; in Exchange Online they may be gone already.
 */
#include "admin/look.h"

#include <stdlib.h>

#define ROWS_MAX   100000
#define NAME_MAX_  64 /* characters of a role's name */
#define OUR_ROLES  "photogate: no photo change"
#define DEFAULT_OF "Get-RoleAssignmentPolicy"

static const char *const photo_cmdlets[] = {"Set-UserPhoto", "Remove-UserPhoto"};

struct roles {
    struct client *cl;
    struct report *out;
    json_t *holding;     /* role → list of its photo cmdlets */
    json_t *roles;       /* rows */
    json_t *assignments; /* rows, of role assignment policies only */
};

static json_t *read_rows(struct roles *r, const char *cmdlet, json_t *parameters, const char *what)
{
    struct call c = {0};
    struct buf why = {0};
    json_t *rows = NULL;
    exo_call(r->cl, &c, cmdlet, parameters, NULL);
    if (list_all(r->cl, &c, ROWS_MAX, &rows, &why) != 0) {
        report_add(r->out, "roles", FINDING_UNKNOWN, buf_view(&why), "%s cannot be read", what);
    }
    buf_free(&why);
    return rows;
}

static bool read_holding(struct roles *r)
{
    r->holding = json_object();
    for (size_t i = 0; i < ARRAY_LEN(photo_cmdlets); i++) {
        char target[64];
        size_t n;
        json_t *row;
        (void)snprintf(target, sizeof(target), "*\\%s", photo_cmdlets[i]);
        json_t *rows = read_rows(
            r, "Get-ManagementRoleEntry",
            json_pack("{s:s, s:s}", "Identity", target, "ResultSize", "Unlimited"), "role entries");
        if (rows == NULL) {
            return false;
        }
        json_array_foreach(rows, n, row)
        {
            json_t *list = json_object_get(r->holding, row_text(row, "Role"));
            if (list == NULL) {
                list = json_array();
                json_object_set_new(r->holding, row_text(row, "Role"), list);
            }
            json_array_append_new(list, json_string(photo_cmdlets[i]));
        }
        json_decref(rows);
    }
    return true;
}

static bool is_planned(const struct report *out, const char *kind, const char *target)
{
    for (size_t i = 0; i < out->plan.count; i++) {
        const struct step *s = &out->plan.steps[i];
        if (strcmp(s->kind->name, kind) == 0 && strcmp(s->target, target) == 0) {
            return true;
        }
    }
    return false;
}

/* The role that takes the built-in one's place; planned when it is not there. */
static void want_custom(struct roles *r, const char *role, char *name, size_t size)
{
    size_t i;
    json_t *cmdlet;
    (void)snprintf(name, size, "custom-%s", role);
    bool there = find_named(r->roles, name) != NULL;
    if (!there && !is_planned(r->out, "role", name)) {
        plan_add(&r->out->plan, "role", name, name, json_null(),
                 json_pack("{s:s}", "Parent", role));
    }
    json_t *entries = json_object_get(r->holding, there ? name : role);
    json_array_foreach(entries, i, cmdlet)
    { /* a new child starts with all that its parent has */
        struct buf target = {0};
        buf_printf(&target, "%s\\%s", name, json_string_value(cmdlet));
        if (!is_planned(r->out, "role-entry", buf_cstr(&target))) {
            plan_add(&r->out->plan, "role-entry", buf_cstr(&target), buf_cstr(&target), json_true(),
                     json_null());
        }
        buf_free(&target);
    }
}

static json_t *assignment_value(const char *role, const char *policy)
{
    return json_pack("{s:s, s:s}", "Role", role, "Policy", policy);
}

static void plan_assign(struct roles *r, const char *role, const char *policy)
{
    struct buf name = {0};
    buf_printf(&name, "%s-%s", role, policy);
    size_t i;
    json_t *row;
    json_array_foreach(r->assignments, i, row)
    {
        if (strcmp(row_text(row, "Role"), role) == 0 &&
            strcmp(row_text(row, "RoleAssigneeName"), policy) == 0) {
            buf_free(&name);
            return;
        }
    }
    if (name.len > NAME_MAX_) {
        name.len = NAME_MAX_;
    }
    plan_add(&r->out->plan, "role-assignment", buf_cstr(&name), buf_cstr(&name), json_null(),
             assignment_value(role, policy));
    buf_free(&name);
}

/* After the new ones, so that nobody stands without options in between. */
static void plan_unassign(struct roles *r, json_t *row)
{
    struct step *s = plan_add(
        &r->out->plan, "role-assignment", row_text(row, "Name"), row_text(row, "Name"),
        assignment_value(row_text(row, "Role"), row_text(row, "RoleAssigneeName")), json_null());
    s->phase++;
}

static bool is_custom(json_t *row)
{
    return row_text(row, "Parent")[0] != '\0';
}

/* Options 1 and 3: in the policies that are there. */
static void replace_in_policies(struct roles *r, bool remove_only)
{
    size_t i, n;
    json_t *row, *cmdlet;
    json_array_foreach(r->assignments, i, row)
    {
        const char *role = row_text(row, "Role");
        json_t *entries = json_object_get(r->holding, role);
        char name[160];
        if (entries == NULL) {
            continue;
        }
        if (is_custom(
                find_named(r->roles, role))) { /* somebody's own: its entries can be taken away */
            json_array_foreach(entries, n, cmdlet)
            {
                struct buf target = {0};
                buf_printf(&target, "%s\\%s", role, json_string_value(cmdlet));
                if (!is_planned(r->out, "role-entry", buf_cstr(&target))) {
                    plan_add(&r->out->plan, "role-entry", buf_cstr(&target), buf_cstr(&target),
                             json_true(), json_null());
                }
                buf_free(&target);
            }
            continue;
        }
        if (!remove_only) {
            want_custom(r, role, name, sizeof(name));
            plan_assign(r, name, row_text(row, "RoleAssigneeName"));
        }
        plan_unassign(r, row);
    }
}

struct points {
    struct roles *r;
    const char *kind;
};

static bool point_at_ours(void *arg, json_t *row)
{
    struct points *p = arg;
    const char *mail = row_text(row, "PrimarySmtpAddress"), *shown = row_text(row, "DisplayName");
    json_t *before = json_object_get(row, "RoleAssignmentPolicy");
    if (row_text(row, "Guid")[0] != '\0' &&
        strcmp(row_text(row, "RoleAssignmentPolicy"), OUR_ROLES) != 0) {
        plan_add(&p->r->out->plan, p->kind, row_text(row, "Guid"), shown[0] != '\0' ? shown : mail,
                 json_is_string(before) ? json_incref(before) : json_null(),
                 json_string(OUR_ROLES));
    }
    return true;
}

static void point_all(struct roles *r, const char *cmdlet, json_t *parameters, const char *kind,
                      const char *what)
{
    struct points p = {.r = r, .kind = kind};
    struct call c = {0};
    struct buf why = {0};
    exo_call(r->cl, &c, cmdlet, parameters,
             "Guid,DisplayName,PrimarySmtpAddress,RoleAssignmentPolicy");
    if (list_each(r->cl, &c, point_at_ours, &p, &why) != 0) {
        report_add(r->out, "roles", FINDING_UNKNOWN, buf_view(&why), "%s cannot be read", what);
    }
    buf_free(&why);
}

/* Option 4: a policy of our own with the roles of the default one, for everybody. */
static void use_own_policy(struct roles *r)
{
    json_t *policies = read_rows(r, "Get-RoleAssignmentPolicy", NULL, "role assignment policies"),
           *ours = find_named(policies, OUR_ROLES), *row;
    const char *model = "";
    size_t i;
    json_array_foreach(policies, i, row)
    {
        if (json_is_true(json_object_get(row, "IsDefault"))) {
            model = row_text(row, "Name");
        }
    }
    if (model[0] == '\0') {
        json_decref(policies);
        return;
    }
    if (ours == NULL) {
        plan_add(&r->out->plan, "role-policy", OUR_ROLES, OUR_ROLES, json_null(), json_object());
    }
    json_array_foreach(r->assignments, i, row)
    {
        const char *role = row_text(row, "Role");
        char name[160];
        if (strcmp(row_text(row, "RoleAssigneeName"), model) != 0 ||
            strcmp(model, OUR_ROLES) == 0) {
            continue;
        }
        if (json_object_get(r->holding, role) != NULL) {
            want_custom(r, role, name, sizeof(name));
            role = name;
        }
        plan_assign(r, role, OUR_ROLES);
    }
    if (strcmp(model, OUR_ROLES) != 0) {
        plan_add(&r->out->plan, "role-default", DEFAULT_OF, "", json_string(model),
                 json_string(OUR_ROLES));
    }
    point_all(r, "Get-MailboxPlan", NULL, "mailbox-plan.roles", "the plans' roles");
    point_all(r, "Get-Mailbox", json_pack("{s:s}", "ResultSize", "Unlimited"), "mailbox.roles",
              "the mailboxes' roles");
    json_decref(policies);
}

static unsigned count_open(const struct roles *r)
{
    size_t i;
    json_t *row;
    unsigned open = 0;
    json_array_foreach(r->assignments, i, row)
    {
        open += json_object_get(r->holding, row_text(row, "Role")) != NULL;
    }
    return open;
}

static void plan_roles(struct roles *r, const struct look_opts *opts)
{
    switch ((enum roles_option)client_conf(r->cl)->lock.roles) {
    case ROLES_CUSTOM:
        replace_in_policies(r, false);
        break;
    case ROLES_POLICY:
        use_own_policy(r);
        break;
    case ROLES_REMOVE:
        if (opts->force) {
            replace_in_policies(r, true);
        } else {
            report_add(r->out, "roles", FINDING_NOTE, STR_NONE,
                       "roles = \"remove\" takes all options of Outlook on the web from users "
                       "(MyBaseOptions); it wants --force, \"custom\" does not");
        }
        break;
    case ROLES_OFF:
        break;
    }
}

void look_roles(struct client *cl, const struct look_opts *opts, struct report *out)
{
    struct roles r = {.cl = cl, .out = out};
    json_t *all = NULL, *row;
    size_t i;
    if (read_holding(&r)) {
        r.roles = read_rows(&r, "Get-ManagementRole", NULL, "roles");
        all = read_rows(&r, "Get-ManagementRoleAssignment", NULL, "role assignments");
    }
    r.assignments = json_array();
    json_array_foreach(all, i, row)
    {
        if (strcmp(row_text(row, "RoleAssigneeType"), "RoleAssignmentPolicy") == 0) {
            json_array_append(r.assignments, row);
        }
    }
    if (r.roles != NULL && all != NULL) {
        size_t before = out->plan.count;
        unsigned open = count_open(&r);
        plan_roles(&r, opts);
        if (open == 0) {
            report_add(out, "roles", FINDING_LOCKED, STR_NONE,
                       "no role of users has Set-UserPhoto; nothing to remove");
        } else if (client_conf(cl)->lock.roles == ROLES_OFF) {
            report_add(
                out, "roles", FINDING_NOTE, STR_NONE,
                "%u role assignments give users Set-UserPhoto (roles = \"custom\" closes this)",
                open);
        } else if (out->plan.count == before && client_conf(cl)->lock.roles == ROLES_POLICY) {
            report_add(out, "roles", FINDING_LOCKED, STR_NONE, "everybody is on \"%s\"", OUR_ROLES);
        } else {
            report_add(out, "roles", FINDING_OPEN, STR_NONE,
                       "%u role assignments give users Set-UserPhoto or Remove-UserPhoto", open);
        }
    }
    json_decref(r.holding);
    json_decref(r.roles);
    json_decref(r.assignments);
    json_decref(all);
}
