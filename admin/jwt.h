/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The signed assertion by which an application signs in with a certificate
 * (learn.microsoft.com/entra/identity-platform/certificate-credentials, RFC 7523, 3).
 */
#ifndef ADMIN_JWT_H
#define ADMIN_JWT_H

#include "common/buf.h"

#include <stdbool.h>

/*
 * Appends the assertion of `client` for the token endpoint `audience`. `certificate` and `key` are
 * PEM, and may be one text. Signed as PS256 with x5t#S256, or, for `old_form`, as RS256 with x5t.
 * ERR_CERT when one of them cannot be read or used; `why` then says which.
 */
int jwt_assertion(struct str certificate, struct str key, struct str client, struct str audience,
                  bool old_form, struct buf *out, const char **why) MUSTCHECK;

/* Appends a random GUID (RFC 9562, 5.4). */
void guid_new(struct buf *out);

#endif
