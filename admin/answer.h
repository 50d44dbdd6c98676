/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the services answer, read with suspicion: pure functions over bounded bytes. Values are
 * jansson's; whoever gets one gives it back by json_decref().
 */
#ifndef ADMIN_ANSWER_H
#define ADMIN_ANSWER_H

#include "common/buf.h"

#include <jansson.h>

#include <stdbool.h>

/* Strict JSON: no duplicate names, no bytes behind it. NULL when it is none. */
json_t *answer_json(struct str text);

/* A token endpoint's or managed identity's answer. */
struct answer_token {
    struct buf token, refresh; /* secrets: clear with answer_token_free() */
    uint64_t life_s;
};

int answer_token(struct str text, struct answer_token *out) MUSTCHECK;
void answer_token_free(struct answer_token *t);

/*
 * Appends what an error answer says, on one line without control characters: the sign-in's
 * error_description, Exchange's details[0] or inner exception, Graph's message, or the text itself.
 * Nothing for a body of NUL bytes. Bounded.
 */
void answer_error_text(struct str text, struct buf *out);

/* Graph's error.code, or what stands for it in Exchange's details
 * ("ManagementObjectNotFoundException"); into `out`, cut to fit. */
void answer_error_code(struct str text, char *out, size_t size);

/* One page of a list: `rows` (an array), the link to the next page or nothing, and the first
 * error that a 200 carries all the same, or nothing. */
struct answer_page {
    json_t *rows;
    struct buf next, warning, error;
};

/* ERR_PROTOCOL when it is no such page; nothing is then to be freed. An empty text is an empty page
 * (204). */
int answer_page(struct str text, struct answer_page *out) MUSTCHECK;
void answer_page_free(struct answer_page *p);

/* The path and query of the absolute `link` when it is https on `host` or one of Exchange's
 * backends; the port is passed over. False for any other link: the token must not go there. */
bool answer_link_path(struct str link, struct str host, struct str *path);

/*
 * photoUpdateSettings as {"source": …, "allowedRoles": [sorted, trimmed]}: the service gives an
 * empty list as null, {}, [] or not at all. NULL when the form is none that is known.
 */
json_t *answer_photo_settings(json_t *object);

/* The claims of an access token, unverified: to show, never to decide. NULL when it is no JWT. */
json_t *answer_claims(struct str token);

#endif
