/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which mailbox is on which Outlook policy. By property: Exchange filters by the policy's
 * distinguished name (filter-properties.md, OWAMailboxPolicy), so only those on open policies are
 * listed, however many there are in all. Rows go through one page at a time; kept are only the
 * people that the configuration names, and the steps.
 */
#include "admin/look.h"
#include "common/err.h"

#include <errno.h>
#include <stdlib.h>

#define SINGLE_MAX \
    100 /* so many are read one by one; more, and one pass over all mailboxes costs less */
#define COLUMNS "Guid,Name,PrimarySmtpAddress,ExternalDirectoryObjectId,OwaMailboxPolicy"

struct pass {
    struct client *cl;
    const struct conf *conf;
    struct report *out;
    json_t *wanted;     /* oid → {"policy", "upn", "seen"} */
    json_t *policies;   /* of the tenant */
    json_t *unreadable; /* policy → true: members unknown, so nobody is taken off it */
    const char *policy; /* that this pass lists; NULL: all, or those without one */
    uint64_t exempt, moved, strays, missing, total;
    json_t *counts; /* policy → number, in a full pass */
};

static bool is_assigned(const struct conf *conf, const char *policy)
{
    for (size_t i = 0; i < conf->lock.assign.count; i++) {
        if (str_ieq(conf->lock.assign.item[i].policy.text, str_z(policy))) {
            return true;
        }
    }
    return false;
}

static void move(struct pass *p, json_t *row, const char *to)
{
    json_t *before = json_object_get(row, "OwaMailboxPolicy");
    const char *guid = row_text(row, "Guid"), *mail = row_text(row, "PrimarySmtpAddress");
    before = json_is_string(before) ? json_incref(before) : json_null();
    plan_add(&p->out->plan, "cas-mailbox.policy", guid,
             mail[0] != '\0' ? mail : row_text(row, "Name"), before, json_string(to));
}

/* What one mailbox's policy means, wherever its row came from. Each mailbox is judged once. */
static bool judge(void *arg, json_t *row)
{
    struct pass *p = arg;
    const char *policy = row_text(row, "OwaMailboxPolicy"),
               *locked = p->conf->lock.locked_policy.text.ptr;
    json_t *wanted = json_object_get(p->wanted, row_text(row, "ExternalDirectoryObjectId"));
    p->total++;
    if (p->counts != NULL) {
        json_int_t n = json_integer_value(json_object_get(p->counts, policy));
        json_object_set_new(p->counts, policy, json_integer(n + 1));
    }
    if (row_text(row, "Guid")[0] == '\0') {
        p->missing++;
        return true;
    }
    if (wanted != NULL) {
        if (json_object_get(wanted, "seen") != NULL) {
            return true;
        }
        json_object_set_new(wanted, "seen", json_true());
        const char *to = row_text(wanted, "policy");
        if (!str_ieq(str_z(to), str_z(policy))) {
            move(p, row, to);
            p->moved++;
        }
    } else if (policy[0] == '\0' || find_named(p->policies, policy) == NULL) {
        move(p, row, locked);
        p->strays++;
    } else if (is_in(&p->conf->lock.open, policy)) {
        if (is_assigned(p->conf, policy) && json_object_get(p->unreadable, policy) == NULL) {
            move(p, row, locked);
            p->strays++;
        } else {
            p->exempt++;
        }
    }
    return true;
}

/* Those on `policy`, or those on none for NULL. */
static void list_policy(struct pass *p, json_t *policy)
{
    struct buf filter = {0}, why = {0};
    struct call c = {0};
    if (policy == NULL) {
        buf_z(&filter, "OWAMailboxPolicy -eq $null");
    } else {
        buf_z(&filter, "OWAMailboxPolicy -eq '");
        for (const char *at = row_text(policy, "DistinguishedName"); *at != '\0'; at++) {
            buf_z(&filter, *at == '\'' ? "''" : "");
            buf_char(&filter, *at);
        }
        buf_char(&filter, '\'');
    }
    exo_call(p->cl, &c, "Get-CASMailbox",
             json_pack("{s:s, s:s}", "Filter", buf_cstr(&filter), "ResultSize", "Unlimited"),
             COLUMNS);
    if (list_each(p->cl, &c, judge, p, &why) != 0) {
        report_add(p->out, "mailbox", FINDING_UNKNOWN, buf_view(&why),
                   "mailboxes on %s cannot be listed",
                   policy != NULL ? row_text(policy, "Name") : "no policy");
    }
    buf_free(&filter);
    buf_free(&why);
}

static bool list_everybody(struct pass *p)
{
    struct call c = {0};
    struct buf why = {0};
    exo_call(p->cl, &c, "Get-CASMailbox", json_pack("{s:s}", "ResultSize", "Unlimited"), COLUMNS);
    int err = list_each(p->cl, &c, judge, p, &why);
    if (err != 0) {
        report_add(p->out, "mailbox", FINDING_UNKNOWN, buf_view(&why),
                   "the mailboxes cannot be listed");
    }
    buf_free(&why);
    return err == 0;
}

/* ---- who is wanted where ---- */

static void want(struct pass *p, const char *oid, const char *upn, const char *policy)
{
    if (json_object_get(p->wanted, oid) ==
        NULL) { /* the first assignment that names a person counts */
        json_object_set_new(p->wanted, oid, json_pack("{s:s, s:s}", "policy", policy, "upn", upn));
    }
}

static int want_user(struct pass *p, struct str user, const char *policy, struct buf *why)
{
    struct buf path = {0};
    json_t *object = NULL;
    buf_printf(&path, "/v1.0/users/%s?$select=id,userPrincipalName", user.ptr);
    int err = graph_get(p->cl, buf_cstr(&path), &object, why);
    if (err == 0) {
        want(p, row_text(object, "id"), row_text(object, "userPrincipalName"), policy);
    }
    json_decref(object);
    buf_free(&path);
    return err;
}

static int want_group(struct pass *p, struct str group, const char *policy, struct buf *why)
{
    json_t *members = json_object(), *upn;
    const char *oid;
    int err = group_members(p->cl, group, members, why);
    json_object_foreach(members, oid, upn)
    {
        want(p, oid, json_string_value(upn), policy);
    }
    json_decref(members);
    return err;
}

static void want_all(struct pass *p)
{
    struct buf why = {0};
    for (size_t i = 0; i < p->conf->lock.assign.count; i++) {
        const struct conf_assign *a = &p->conf->lock.assign.item[i];
        const char *policy = a->policy.text.ptr;
        for (size_t n = 0; n < a->users.count + a->groups.count; n++) {
            bool user = n < a->users.count;
            struct str name =
                user ? a->users.item[n].text : a->groups.item[n - a->users.count].text;
            buf_clear(&why);
            int err = user ? want_user(p, name, policy, &why) : want_group(p, name, policy, &why);
            if (err != 0) {
                json_object_set_new(p->unreadable, policy, json_true());
                report_add(p->out, "assign", FINDING_UNKNOWN, buf_view(&why),
                           "%s \"%s\" cannot be read; nobody is taken off \"%s\"",
                           user ? "user" : "group", name.ptr, policy);
            }
        }
    }
    buf_free(&why);
}

/* Those that are wanted somewhere and were on none of the listed policies. */
static void look_for_unseen(struct pass *p)
{
    size_t unseen = 0;
    const char *oid;
    json_t *wanted;
    json_object_foreach(p->wanted, oid, wanted)
    {
        unseen += json_object_get(wanted, "seen") == NULL;
    }
    if (unseen > SINGLE_MAX && !list_everybody(p)) {
        return;
    }
    json_object_foreach(p->wanted, oid, wanted)
    {
        struct call c = {0};
        struct buf why = {0};
        if (json_object_get(wanted, "seen") != NULL) {
            continue;
        }
        if (unseen > SINGLE_MAX) {
            p->missing++;
            continue;
        }
        exo_call(p->cl, &c, "Get-CASMailbox",
                 json_pack("{s:s}", "Identity", row_text(wanted, "upn")), COLUMNS);
        int err = list_each(p->cl, &c, judge, p, &why);
        p->missing += err == -ENOENT;
        if (err != 0 && err != -ENOENT) {
            report_add(p->out, "assign", FINDING_UNKNOWN, buf_view(&why),
                       "the mailbox of %s cannot be read", row_text(wanted, "upn"));
        }
        buf_free(&why);
    }
}

static void say(struct pass *p)
{
    struct report *r = p->out;
    if (p->moved > 0) {
        report_add(r, "assign", FINDING_OPEN, STR_NONE,
                   "%llu mailboxes are not on the policy that they are assigned to",
                   (unsigned long long)p->moved);
    } else if (p->conf->lock.assign.count > 0 && json_object_size(p->unreadable) == 0) {
        report_add(r, "assign", FINDING_LOCKED, STR_NONE,
                   "all %zu assigned people are on their policies", json_object_size(p->wanted));
    }
    if (p->strays > 0) {
        report_add(r, "mailbox", FINDING_OPEN, STR_NONE,
                   "%llu mailboxes are on an open policy, or on none, without being assigned to it",
                   (unsigned long long)p->strays);
    } else {
        report_add(r, "mailbox", FINDING_LOCKED, STR_NONE,
                   "no mailbox is on an open policy without being meant to");
    }
    if (p->exempt > 0) {
        report_add(r, "mailbox", FINDING_EXEMPT, STR_NONE,
                   "%llu mailboxes are on policies of open_policies",
                   (unsigned long long)p->exempt);
    }
    if (p->missing > 0) {
        report_add(r, "assign", FINDING_NOTE, STR_NONE, "%llu assigned people have no mailbox",
                   (unsigned long long)p->missing);
    }
    const char *policy;
    json_t *n;
    json_object_foreach(p->counts, policy, n)
    {
        report_add(r, "mailbox", FINDING_NOTE, STR_NONE, "%lld mailboxes on %s",
                   json_integer_value(n), policy[0] != '\0' ? policy : "no policy");
    }
}

void look_mailboxes(struct client *cl, const struct look_opts *opts, json_t *policies,
                    struct report *out)
{
    struct pass p = {.cl = cl,
                     .conf = client_conf(cl),
                     .out = out,
                     .policies = policies,
                     .wanted = json_object(),
                     .unreadable = json_object()};
    size_t i;
    json_t *policy;
    want_all(&p);
    if (opts->full) {
        p.counts = json_object();
        (void)list_everybody(&p);
    } else {
        json_array_foreach(policies, i, policy)
        {
            const char *name = row_text(policy, "Name");
            if (is_in(&p.conf->lock.open, name)) {
                list_policy(&p, policy);
            }
        }
        list_policy(&p, NULL);
    }
    look_for_unseen(&p);
    say(&p);
    out->mailboxes += p.total;
    json_decref(p.wanted);
    json_decref(p.unreadable);
    json_decref(p.counts);
}
