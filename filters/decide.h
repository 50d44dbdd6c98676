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

#endif
