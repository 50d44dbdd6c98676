/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything in the tenant that this program can change, in one form: a switch has a target (which
 * policy, plan, mailbox …) and a value. Null is "there is none": making a thing is null → value,
 * taking it away value → null. So one machine applies, verifies, resumes and undoes them all.
 */
#ifndef ADMIN_SWITCHES_H
#define ADMIN_SWITCHES_H

#include "admin/exo.h"

struct switch_kind {
    const char *name;      /* in journals; never changes */
    const char *title;     /* for people */
    unsigned phase;        /* lower ones are applied first; undone last */
    unsigned effect_s;     /* documented time until users notice */
    const char *effect_of; /* where that is documented */
    bool chained; /* its later phases build on the earlier ones: one that fails ends the chain */

    /* Exchange properties and things; NULL for Graph's. */
    const char *get, *set, *property; /* property: the value is this property of the target */
    const char *add, *remove;         /* thing: the value is an object of `add`'s parameters */
    const char *fields[4];            /* parameter, property it is read from, … */

    /* Where these are set they take the place of the generic ones. */
    void (*read)(const struct client *cl, struct call *c, const char *target);
    json_t *(*value)(const char *target, json_t *answer); /* NULL: a form that is not known */
    void (*write)(const struct client *cl, struct call *c, const char *target, json_t *from,
                  json_t *to);
};

const struct switch_kind *switch_find(const char *name);

/* Fills an empty call that reads the switch. */
void switch_read(const struct switch_kind *k, const struct client *cl, struct call *c,
                 const char *target);

/* The value in what that call answered. 0 and *value for json_decref(); a code and `why` when it
 * cannot be told. */
int switch_value(const struct switch_kind *k, const struct call *c, const char *target,
                 json_t **value, struct buf *why) MUSTCHECK;

/* Fills an empty call that takes the switch from one value to another. */
void switch_write(const struct switch_kind *k, const struct client *cl, struct call *c,
                  const char *target, json_t *from, json_t *to);

/* True when two values of the switch say the same; what others may change besides does not count.
 */
bool switch_equal(const struct switch_kind *k, json_t *a, json_t *b);

/* After a write: 0 when it was taken; ERR_PROTOCOL when a 200 carries an error. */
int switch_taken(const struct call *c, struct buf *why) MUSTCHECK;

#endif
