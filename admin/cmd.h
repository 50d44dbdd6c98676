/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of photogate-admin: what they have in common, and one function each. Each returns an
 * exit status. */
#ifndef ADMIN_CMD_H
#define ADMIN_CMD_H

#include "admin/journal.h"
#include "admin/look.h"

enum exit_status {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_DRIFT = 3
};

/* The options, whatever the command; each command refuses those that are not its own. */
struct options {
    const char *config;
    bool json, full, all, yes, force, list, once;
    uint64_t max_writes;
    const char *operand;
};

/* What a command works with. Made and freed by main(). */
struct session {
    struct options opts;
    struct conf *conf;
    struct client *cl;
    struct buf out; /* printed when the command ends */
};

int cmd_whoami(struct session *s);
int cmd_status(struct session *s);
int cmd_plan(struct session *s);
int cmd_verify(struct session *s);
int cmd_apply(struct session *s);
int cmd_assign(struct session *s);
int cmd_role_entries(struct session *s);
int cmd_portal_access(struct session *s);
int cmd_undo(struct session *s);
int cmd_watch(struct session *s);
int cmd_export_admins(struct session *s);
int cmd_doctor(struct session *s);
int cmd_confirm(struct session *s);

/* Looks, and says on stderr what kept it from doing so. */
int session_look(struct session *s, struct look_opts opts, struct report *out) MUSTCHECK;

/* Takes the plan over into a journal and carries it out; says what became of it. An exit status. */
int session_apply(struct session *s, struct plan *plan, const char *what, const char *undoes,
                  int dir);

/* EXIT_DRIFT when something is open, EXIT_FAILED when something could not be read, else EXIT_DONE.
 */
int report_status(const struct report *r);

#endif
