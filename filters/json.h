/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON bodies, strictly (RFC 8259): no duplicate names, no comments, nothing behind the value; with
 * a bound on depth and number of values that is checked before anything is allocated. Member names
 * are compared without case, as OData readers do; two that differ in nothing else are duplicates.
 */
#ifndef FILTERS_JSON_H
#define FILTERS_JSON_H

#include "common/buf.h"
#include "filters/text.h"

#include <jansson.h>

/* Reads `text` (UTF-8). NULL and *out for json_decref(), or what is wrong (static storage). */
const char *json_read(struct str text, json_t **out);

/* The same for a body, whose Content-Type is that of `r`. */
const char *json_read_body(struct str raw, const struct filter_request *r, json_t **out);

/* The member of `object` by that name, case ignored; NULL when there is none. *twice is set when
 * there are several. */
json_t *json_member(json_t *object, const char *name, bool *twice);

/* A view of a string value; empty for any other. */
struct str json_view(const json_t *value);

#endif
