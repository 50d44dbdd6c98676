/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Giving up power, in the order it must happen: open what is needed, keep only those descriptors,
 * become another user, then confine. Each step is for a process with a single thread.
 */
#ifndef CERTS_SANDBOX_H
#define CERTS_SANDBOX_H

#include "common/diag.h"

/* The user and group to become, looked up while the files that say so can be read. */
struct sandbox_user {
    unsigned uid, gid;
    bool change; /* false: this process is not root's and stays what it is */
};

/*
 * `user` and `group` are names or numbers; no group is the user's own, and then a number must have
 * an entry. Root, by name or number, is a fault: it would keep what is to be given up. Nobody to
 * change to, and not being root, are warnings: the process stays who it is.
 */
int sandbox_find_user(const char *user, const char *group, struct sandbox_user *out,
                      struct diag *d) MUSTCHECK;

/* Closes every descriptor but 0-2 and `keep`. -errno. */
int sandbox_close_others(const int *keep, unsigned count) MUSTCHECK;

/*
 * Becomes that user for good: no other groups, no capabilities (bounding set too), no new ones by
 * execve, not dumpable (so nobody but root may trace it or read its memory), no core files. -errno.
 */
int sandbox_drop(const struct sandbox_user *user) MUSTCHECK;

/*
 * From now on only what a process needs that computes, allocates, waits for and answers on sockets
 * it already has: no file or socket can be opened, nothing executed, no memory made executable, no
 * other process signalled or looked at. What is not on the list fails with EPERM rather than kill:
 * a libc that tries something new gets an error it can deal with, and nothing is allowed that was
 * not. -errno.
 */
int sandbox_confine(void) MUSTCHECK;

#endif
