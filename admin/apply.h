/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries a plan out: phase by phase, several steps at once within one, each noted in the journal
 * before its write. A write of which it is not known whether it was done is never repeated blindly:
 * the switch is read back first.
 */
#ifndef ADMIN_APPLY_H
#define ADMIN_APPLY_H

#include "admin/journal.h"

struct apply_opts {
    uint64_t max_writes; /* 0: no bound */
    bool check_first;    /* read each switch before it is written: the plan is not of just now */
    bool progress;       /* a line on stderr now and then */
};

struct apply_result {
    size_t done, skipped, conflicts, failed, manual, left;
    bool stopped;    /* too much failed, the journal's disk is full, or somebody asked to stop */
    struct buf text; /* a line for each step that was not done */
};

void apply_run(struct client *cl, struct plan *plan, struct journal *j,
               const struct apply_opts *opts, struct apply_result *result);

#endif
