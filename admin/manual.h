/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Switches that no program can see: a person sets them and says so (`photogate-admin confirm`);
 * status asks again after a while. What was confirmed, when and by whom lies in the state
 * directory.
 */
#ifndef ADMIN_MANUAL_H
#define ADMIN_MANUAL_H

#include "admin/look.h"

/* A row for each of them. */
void look_manual(const struct conf *conf, struct report *out);

/* Notes in the state directory `dir` that the switch stands as it should. ERR_NAME when there is
 * none of that name; the names are in `names` then. */
int manual_confirm(int dir, const char *name, const char *by, struct buf *names) MUSTCHECK;

#endif
