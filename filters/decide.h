/* SPDX-License-Identifier: Apache-2.0 */
/* From a request to a verdict: the connection it came on, the rules, the administrators. */
#ifndef FILTERS_DECIDE_H
#define FILTERS_DECIDE_H

#include "filters/admins.h"
#include "filters/judge.h"

/* As filters_decide(); without `admins` nobody is one. */
struct verdict decide(const struct ruleset *rs, const struct hosts *hosts,
                      const struct admins *admins, const struct filter_request *r,
                      const struct actor *who, struct arena *a);

/* A request whose body comes in pieces: filters_body_new() and its kin. */
struct deciding;
struct deciding *deciding_new(const struct ruleset *rs, const struct hosts *hosts,
                              const struct admins *admins, const struct filter_request *r,
                              const struct actor *who, struct arena *a);
void deciding_free(struct deciding *d);
struct verdict deciding_feed(struct deciding *d, struct str piece);
struct verdict deciding_end(struct deciding *d);

#endif
