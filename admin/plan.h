/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is to be done: a list of steps, each one switch from the value it has to the one it shall
 * have. Ordered by phase. Owned by whoever made it; a step's memory is small (about 200 bytes), for
 * there may be 100,000.
 */
#ifndef ADMIN_PLAN_H
#define ADMIN_PLAN_H

#include "admin/switches.h"

enum step_state {
    STEP_PENDING,
    STEP_BEGUN, /* the journal says that a write may have been sent */
    STEP_DONE,
    STEP_SKIPPED,  /* it stood right already, by somebody else's hand */
    STEP_CONFLICT, /* it stands neither as planned from nor as planned to; left alone */
    STEP_FAILED,
    STEP_MANUAL /* the service lets no program do it; the text says how a person does */
};

struct step {
    const struct switch_kind *kind;
    char *target; /* identity: GUID, name */
    char *label;  /* for people */
    json_t *before, *after;
    unsigned phase;
    enum step_state state;
};

struct plan {
    struct step *steps;
    size_t count, cap;
};

/* Copies the texts, takes the values. */
struct step *plan_add(struct plan *p, const char *kind, const char *target, const char *label,
                      json_t *before, json_t *after);
void plan_sort(struct plan *p); /* by phase; the order within one stays */
void plan_free(struct plan *p);

/* What takes `done`'s steps back that were begun, in the opposite order. */
void plan_reverse(const struct plan *done, struct plan *out);

/* The plan as people read it: "~ photo change in Outlook policy "X": true -> false"; at most `most`
 * steps a kind. */
void plan_print(const struct plan *p, size_t most, struct buf *out);
void plan_json(const struct plan *p, struct buf *out);

/* Seconds that so many writes take at the pace of the configuration. */
uint64_t plan_seconds(const struct plan *p, const struct conf *conf);

void put_value(struct buf *out, json_t *value); /* compact, names sorted */

#endif
