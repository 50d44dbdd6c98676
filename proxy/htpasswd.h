/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A password file as htpasswd(1) writes it: "user:hash" a line, the hash in a form that crypt(5)
 * knows and that is meant for passwords: bcrypt, yescrypt, scrypt, SHA-256 or SHA-512 crypt.
 */
#ifndef PROXY_HTPASSWD_H
#define PROXY_HTPASSWD_H

#include "common/schema.h"

struct htpasswd; /* immutable */

/* Reads the file `name` (relative to `dir`). ERR_CONFIG with FILE:LINE faults in `d`. */
int htpasswd_load(int dir, const struct schema_str *name, struct htpasswd **out,
                  struct diag *d) MUSTCHECK;

/* The same from `text`, which is called `name` in faults. */
int htpasswd_parse(struct str text, const char *name, struct htpasswd **out,
                   struct diag *d) MUSTCHECK;

void htpasswd_free(struct htpasswd *h); /* NULL is fine */

/*
 * The hash of `user` (case counts). False when there is no such user; `hash` is then somebody
 * else's: check against it all the same, so that the time does not tell which users there are. The
 * hash lives as long as `h`.
 */
bool htpasswd_find(const struct htpasswd *h, struct str user, struct str *hash);

/* Does `password` give `hash`? Slow by design (milliseconds): never on a worker's loop. */
bool htpasswd_check(struct str hash, struct str password);

#endif
