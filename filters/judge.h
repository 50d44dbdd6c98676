/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holds a canonical request against the rules. It knows nothing of who asks; that is
 * filters/decide.h. What a relay or a batch carries is judged by the same function.
 */
#ifndef FILTERS_JUDGE_H
#define FILTERS_JUDGE_H

#include "filters/hosts.h"
#include "filters/ruleset.h"

#define JUDGE_DEPTH 3 /* a relay that names a relay that names … */

/* A rule whose conditions fit and that wants to see the body. */
struct want {
    const struct rule *rule;
    const struct canon *canon; /* the request that it fits: the one judged, or what a relay named */
    struct want *next;         /* in the packs' order */
};

struct judgement {
    const struct rule *rule; /* forbids it whatever the body says; NULL: none */
    struct str evidence;     /* in the arena */
    struct want *want;       /* in the arena */
};

/* Judges `c`, a request to a host of `class` (NULL: one without a class). `hosts` says what a relay
 * leads to. */
void judge(struct judgement *j, const struct ruleset *rs, const struct hosts *hosts,
           const struct host_class *class, struct canon *c, unsigned depth, struct arena *a);

/* `s`, cut at `most` bytes and made printable. */
void judge_put_cut(struct buf *out, struct str s, size_t most);

/* "PUT /v1.0/me/photo/$value", cut and made printable: the start of every evidence. */
void judge_put_request(struct buf *out, const struct canon *c, const struct path *p);

#endif
