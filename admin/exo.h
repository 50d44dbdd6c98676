/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cmdlets by Exchange Online's REST interface (InvokeCommand), and Graph's lists: both give pages,
 * which are handed on one by one, so that memory stays that of one page however long a list is.
 */
#ifndef ADMIN_EXO_H
#define ADMIN_EXO_H

#include "admin/client.h"

/* Fills an empty `c` with the cmdlet; takes `parameters` (NULL: none). Whether it is a write shows
 * in its verb. `select` is a comma list of properties, or NULL for all; static. */
void exo_call(const struct client *cl, struct call *c, const char *cmdlet, json_t *parameters,
              const char *select);

/* Fills an empty `c` with a Graph call; `path` with version, as "/v1.0/users"; takes `body` (NULL:
 * none). */
void graph_call(struct call *c, const char *method, const char *path, json_t *body);

/* What is done with each row; false ends the list early. */
typedef bool list_row(void *arg, json_t *row);

/*
 * Runs the call, and its next pages, with each row to `row`. 0, or a code as in struct call; `why`
 * then has the reason in words. An error beside the rows of a 200 is an error. What `c` holds is
 * freed.
 */
int list_each(struct client *cl, struct call *c, list_row *row, void *arg,
              struct buf *why) MUSTCHECK;

/* The same with all rows in one array, at most `max` of them (ERR_LIMIT). */
int list_all(struct client *cl, struct call *c, size_t max, json_t **rows,
             struct buf *why) MUSTCHECK;

/* One object from Graph. */
int graph_get(struct client *cl, const char *path, json_t **object, struct buf *why) MUSTCHECK;

/* Text of a row's member, or "". Lives as long as the row. */
const char *row_text(json_t *row, const char *name);

#endif
