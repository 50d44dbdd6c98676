/* SPDX-License-Identifier: Apache-2.0 */
/* Users: who a process runs as. */
#ifndef PROXY_PRIVILEGE_H
#define PROXY_PRIVILEGE_H

#include "common/diag.h"

#include <sys/types.h>

/*
 * Finds `user`, a name or a number; a number needs no entry in the user database and is its own
 * group. ERR_CONFIG with the remedy in `d`, at `at`.
 */
int privilege_find(const char *user, struct diag_at at, uid_t *uid, gid_t *gid,
                   struct diag *d) MUSTCHECK;

/*
 * Becomes `user` for good, without further groups, and may gain nothing again
 * (PR_SET_NO_NEW_PRIVS). When this process is not root it stays who it is: 0.
 */
int privilege_drop(const char *user, struct diag *d) MUSTCHECK;

/* Raises the limit of open files as far as it goes, up to `wanted`. Returns what it is then. */
unsigned long privilege_raise_files(unsigned long wanted);

#endif
