/* SPDX-License-Identifier: Apache-2.0 */
/* What a CA certificate's name constraints say (RFC 5280, 4.2.1.10), as far as it matters to us. */
#ifndef CERTS_CONSTRAINTS_H
#define CERTS_CONSTRAINTS_H

#include "certs/name.h"

#include <openssl/x509.h>

struct constraints {
    bool present, critical;
    struct names dns;    /* permitted DNS subtrees; other CAs may write ".x" */
    bool dns_limited;    /* at least one permitted DNS subtree, or all DNS names excluded */
    bool ip_limited;     /* addresses of both families are excluded or limited */
    bool email_limited;  /* the same for e-mail addresses */
    bool uri_limited;    /* and for URIs */
    struct names denied; /* excluded DNS subtrees */
};

/* ERR_SYNTAX when the extension is there but cannot be read. Free `out` in any case. */
int constraints_read(const X509 *cert, struct constraints *out) MUSTCHECK;

/* True when a leaf for all that `pattern` matches would stand. A CA without constraints permits
 * all. */
bool constraints_permit(const struct constraints *c, struct str pattern);

void constraints_free(struct constraints *c);

#endif
