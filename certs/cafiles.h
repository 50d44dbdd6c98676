/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of a CA (ca.h) being written: all or nothing, by one process at a time. Faults name the
 * file. Only the `ca` commands use this; the running proxy writes nothing here.
 */
#ifndef CERTS_CAFILES_H
#define CERTS_CAFILES_H

#include "certs/ca.h"

/* Makes DIR, DIR/public and DIR/private with their modes; what is there keeps its own. */
int cafiles_make(const char *dir, struct diag *d) MUSTCHECK;

/*
 * A new CA is put together in DIR.unfinished, which nobody but the caller may enter, and gets its
 * name in one step. Refuses when DIR is there and not empty. What an earlier run left unfinished is
 * removed; one that is still at it is a fault. `out` is the place to write to, CA_PATH_MAX bytes;
 * `fd` holds the lock.
 */
int cafiles_begin(const char *dir, char *out, int *fd, struct diag *d) MUSTCHECK;
int cafiles_commit(const char *dir, const char *unfinished, struct diag *d) MUSTCHECK;
void cafiles_abandon(const char *unfinished);

/* Locks the CA in DIR against another command that changes it; close `fd` to unlock. */
int cafiles_lock(const char *dir, int *fd, struct diag *d) MUSTCHECK;

/* Replaces one file at once. */
int cafiles_write(const char *file, struct str data, mode_t mode, struct diag *d) MUSTCHECK;

int cafiles_write_key(const char *file, EVP_PKEY *key, struct diag *d) MUSTCHECK;

/*
 * Makes `pem` (issuing certificate first, root last) the CA in use: keeps the certificate that was
 * in use in public/old, replaces chain.pem, then root.pem. Keys whose certificates lie in
 * public/old are removed, but for the one just replaced, on which a running proxy may depend until
 * it reloads; with `drop_last` that one, too. `last` may be NULL.
 */
int cafiles_switch(const char *dir, struct str pem, X509 *root, X509 *last, bool drop_last,
                   struct diag *d) MUSTCHECK;

#endif
