/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks at the tenant: what is locked, what is open and by which switch, and the plan that would
 * close it. Reading only. What cannot be read is "unknown", never "locked".
 */
#ifndef ADMIN_LOOK_H
#define ADMIN_LOOK_H

#include "admin/plan.h"

enum finding_state {
    FINDING_LOCKED,
    FINDING_OPEN,
    FINDING_EXEMPT, /* open, and meant to be */
    FINDING_NOTE,   /* worth knowing; no switch of ours */
    FINDING_MANUAL, /* no program can see or set it; nobody has confirmed it lately */
    FINDING_UNKNOWN
};

struct finding {
    const char *row; /* static: the same in each run */
    enum finding_state state;
    char *what, *more;
};

struct report {
    struct finding *findings;
    size_t count, cap;
    struct plan plan;
    uint64_t mailboxes; /* seen one by one */
};

struct look_opts {
    bool full;  /* each mailbox, instead of by property */
    bool force; /* roles = "remove" may be planned */
    bool only_assign, only_roles, only_portal;
};

/* 0; ERR_DENIED when not even the Outlook policies could be read, with the reason in `why`. */
int look(struct client *cl, const struct look_opts *opts, struct report *out,
         struct buf *why) MUSTCHECK;

void report_free(struct report *r);
size_t report_number(const struct report *r, enum finding_state state);
const char *finding_state_name(enum finding_state state);

/* `more` may be empty; a reason as a service gave it. */
void report_add(struct report *r, const char *row, enum finding_state state, struct str more,
                const char *format, ...) PRINTF_LIKE(5, 6);

/* The parts, for look(). `policies` are the rows of Get-OwaMailboxPolicy. */
void look_mailboxes(struct client *cl, const struct look_opts *opts, json_t *policies,
                    struct report *out);
void look_roles(struct client *cl, const struct look_opts *opts, struct report *out);
void look_portals(struct client *cl, struct report *out);
void look_rest(struct client *cl, struct report *out);

/* The members of the groups, as `oid` → user principal name, added to `members`. A group that gives
 * none at all is an error: an empty answer is how the service shows a group that it does not read.
 */
int group_members(struct client *cl, struct str group, json_t *members, struct buf *why) MUSTCHECK;

bool is_in(const struct schema_strs *list, const char *name); /* but for case */
json_t *find_named(json_t *rows, const char *name);           /* by "Name", but for case; or NULL */

#endif
