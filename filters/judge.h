/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holds a canonical request against the rules. It knows nothing of who asks; that is
 * filters/decide.h. What a relay or, later, a batch carries is judged by the same function.
 */
#ifndef FILTERS_JUDGE_H
#define FILTERS_JUDGE_H

#include "filters/hosts.h"
#include "filters/ruleset.h"

#define JUDGE_DEPTH 3 /* a relay that names a relay that names … */

struct judgement {
    const struct rule *rule; /* NULL: nothing forbids it */
    bool need_body;          /* the rule's inspector wants (more of) it; else it is forbidden */
    struct str evidence;     /* in the arena */
};

/* Judges `c`, a request to a host of `class` (NULL: one without a class). `hosts` says what a relay
 * leads to. */
void judge(struct judgement *j, const struct ruleset *rs, const struct hosts *hosts,
           const struct host_class *class, struct canon *c, unsigned depth, struct arena *a);

/* "PUT /v1.0/me/photo/$value", cut and made printable: the start of every evidence. */
void judge_put_request(struct buf *out, const struct canon *c, const struct path *p);

#endif
