/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holds a body against the rules that want to see it, as it arrives. Of several rules that find
 * something in the same bytes the first in the packs' order is named. Each rule waits for at most
 * `hold` bytes, as sent and as decoded; what is longer, broken or cannot be read is settled by the
 * rule's `unsure`.
 */
#ifndef FILTERS_INSPECT_H
#define FILTERS_INSPECT_H

#include "filters/judge.h"

struct inspect;

/* What was found. */
struct inspect_found {
    bool more;                        /* nothing is settled yet */
    const struct rule *rule;          /* NULL: nothing forbids it */
    bool unread;                      /* it does so because the body could not be read */
    struct str evidence;              /* in the arena */
    struct verdict_item *item, *last; /* what a batch holds, in its order */
};

/* What items are judged by. */
struct inspect_rules {
    const struct ruleset *rs;
    const struct hosts *hosts;
    struct arena *arena;
};

/* For the body of `r`, which `wants` to be seen; both, and `rules`, outlive it. `inner`: a request
 * in a batch. Free it in any case. */
struct inspect *inspect_new(const struct inspect_rules *rules, const struct want *wants,
                            const struct filter_request *r, bool inner);
void inspect_free(struct inspect *x);

/* The next bytes of the body; its end. inspect_end() settles everything. */
void inspect_feed(struct inspect *x, struct str bytes);
void inspect_end(struct inspect *x);

const struct inspect_found *inspect_found(const struct inspect *x);

#endif
