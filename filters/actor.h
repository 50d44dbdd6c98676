/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who asks: what the proxy found out about the person behind a request, from its own sources. What
 * the request itself claims (a bearer token) is not here; filters/claims.h reads that from the
 * fields. Unknown is the normal case and means "no administrator".
 */
#ifndef FILTERS_ACTOR_H
#define FILTERS_ACTOR_H

#include "common/ip.h"
#include "common/str.h"

/* Made by the caller for one decision; nothing in it is kept. A zeroed actor is nobody. */
struct actor {
    struct str user; /* name that proxy authentication verified (login or UPN); empty: none */
    struct ip ip;    /* the client's address, when has_ip */
    bool has_ip;
};

#endif
