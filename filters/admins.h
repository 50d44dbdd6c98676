/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is let through: the [admins] section and the file that photogate-admin exports. An entry
 * matches a name that the proxy verified, the client's address, or, where filters/claims.h allows
 * it, the bearer token of the request.
 */
#ifndef FILTERS_ADMINS_H
#define FILTERS_ADMINS_H

#include "common/diag.h"
#include "filters/claims.h"

struct admins;

#define ADMINS_FILE (16u << 20) /* bytes of the exported file */

/*
 * Reads and checks the section; the file, when it names one. 0 and *out for admins_free(), or a
 * negative code with the faults in `d`.
 */
int admins_build(struct admins **out, const struct filters_conf *conf, struct diag *d) MUSTCHECK;
void admins_free(struct admins *ad);

/*
 * True when `who` or the token of `c` is let through; `entry` is then the entry that says so, such
 * as "users: admin@contoso.com", and lies in `a`. `host` says what a token counts for there.
 */
bool admins_pass(const struct admins *ad, const struct actor *who, const struct canon *c,
                 enum class_bearer host, struct str *entry, struct arena *a);

#endif
