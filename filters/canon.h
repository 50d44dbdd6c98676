/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The canonical request: the one form that rules see, whatever the spelling on the wire. A pure
 * function of the request; everything it makes lies in the caller's arena. It is bounded in size
 * and time and runs for every intercepted request.
 */
#ifndef FILTERS_CANON_H
#define FILTERS_CANON_H

#include "filters/filters.h"
#include "filters/path.h"

#define CANON_PAIRS 512 /* query parameters that are read */

struct canon_pair {
    struct str name, value; /* decoded; not folded */
};

/* Lives as long as the request and the arena it was made with. */
struct canon {
    const struct filter_request *request; /* for the fields */
    struct str host;                      /* lower case, no trailing dot, no port */
    struct str target_host;               /* likewise, of an absolute-form target; or empty */
    struct str method;                    /* as received */
    unsigned port;                        /* given or the scheme's */
    bool tls;
    bool write;             /* effectively: not GET, HEAD or OPTIONS, or made a write */
    bool preflight;         /* OPTIONS and nothing else: changes nothing whatever it names */
    const char *write_from; /* what made it a write: NULL for the method itself */
    struct paths path;
    struct canon_pair *query;
    size_t pairs;
};

void canon_make(struct canon *c, const struct filter_request *r, struct arena *a);

/* "GET", "head", …: methods that only read (RFC 9110, 9.2.1, without TRACE, which none of these
 * hosts serves). */
bool canon_is_read(struct str method);

/* Cuts "host", "host:port", "[ip6]:port" into a canonical host and the port, which is left alone
 * when there is none. False when the port is no number; user information is no part of Host
 * (RFC 9110, 7.2), so what has an @ gives false, too. */
bool canon_authority(struct str text, struct str *host, unsigned *port, struct arena *a);

/* Cuts "https://host:port/path" into its parts; a URL without an origin is all target. A target is
 * never empty. User information stays in `authority`. */
struct canon_url {
    struct str scheme, authority, target;
};
struct canon_url canon_cut_url(struct str url);

/* The next field of that name (lower case) from index *at on, which is moved behind it; NULL when
 * there is none. */
const struct filter_field *canon_field(const struct filter_request *r, struct str name, size_t *at);

#endif
