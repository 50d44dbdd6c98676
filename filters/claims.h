/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a bearer token says about its holder (JWT, RFC 7519). Nothing is verified here: the claims
 * may only *relax* a rule, and only where the origin goes by exactly this token, so that a forged
 * one is refused there and changes nothing. claims_token() holds to that.
 *
 * Which claims may count: Microsoft identity platform, "Access token claims reference": oid, wids,
 * roles and app ids may be used for authorization; preferred_username, unique_name and name may
 * not. Tokens never appear in logs or evidence.
 */
#ifndef FILTERS_CLAIMS_H
#define FILTERS_CLAIMS_H

#include "filters/rule.h"

#define CLAIMS_TOKEN  16384 /* longer tokens are not read */
#define CLAIMS_VALUES 256   /* of a list; a longer list is not read */

struct claims_list {
    struct str *item;
    size_t count;
};

/* Strings lie in the arena; those that are not in the token, or are no strings, are empty. */
struct claims {
    struct str tid, oid, upn;
    struct str app;          /* appid (v1) or azp (v2) */
    struct claims_list wids; /* directory roles of a user, by template id */
    int64_t exp;             /* seconds since 1970; 0 when there is none */
    bool app_only;           /* no user is behind it: idtyp "app", or neither idtyp nor scp */
};

/*
 * The one token by which the origin knows who asks, or false when it might go by anything else: not
 * exactly one Authorization field, another scheme than Bearer, a cookie where the host takes one, a
 * token in the query or in a form, a request that carries its header fields in the body.
 */
bool claims_token(const struct canon *c, enum class_bearer host, struct str *token);

/* Reads the payload. 0, or ERR_SYNTAX / ERR_LIMIT; the signature is not looked at. */
int claims_read(struct str token, struct claims *out, struct arena *a) MUSTCHECK;

#endif
