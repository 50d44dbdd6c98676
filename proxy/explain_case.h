/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One case for `photogate explain`: a request and who sends it, from the command line or from a
 * line of JSON.
 */
#ifndef PROXY_EXPLAIN_CASE_H
#define PROXY_EXPLAIN_CASE_H

#include "filters/filters.h"

#include <jansson.h>

#define EXPLAIN_FIELDS 1000 /* header fields of a case */

/* A zeroed case is empty. Its strings live in `arena`; request.field points to `field`. */
struct explain_case {
    struct arena *arena;
    struct filter_request request;
    struct actor actor;
    struct filter_field *field; /* EXPLAIN_FIELDS of them */
    const char *fault;          /* why it is none; static storage */
};

void explain_case_init(struct explain_case *c, struct arena *a);

/* False, with c->fault, when `url` names no http or https host. */
bool explain_case_url(struct explain_case *c, struct str method, struct str url);

bool explain_case_field(struct explain_case *c, struct str name, struct str value);

/* "Name: value" as on the command line. */
bool explain_case_header(struct explain_case *c, struct str line);

bool explain_case_ip(struct explain_case *c, struct str ip);

/*
 * Fills the case from {"method","url","headers":{},"body","body_encoding","actor":{"user","ip"},
 * "connect","sni","http"}; all but method and url may be missing, a header may be a list, other
 * keys are not looked at.
 */
bool explain_case_json(struct explain_case *c, const json_t *line);

/* Appends ,"items":[{"id","verdict","rule","evidence"}] when the verdict is about a batch. */
void explain_items(struct buf *out, const struct verdict *v);

/* What is left to settle when all is known: Host against the URL. Call last. */
void explain_case_done(struct explain_case *c);

#endif
