/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Access tokens, one for each API, in memory only and renewed before they end. Signing in blocks:
 * nothing else could go on without a token.
 */
#ifndef ADMIN_TOKEN_H
#define ADMIN_TOKEN_H

#include "admin/answer.h"
#include "admin/conf.h"

enum api {
    API_EXCHANGE,
    API_GRAPH,
    API_COUNT
};

/* A plain HTTP exchange, given by the client so that this file knows no libcurl. */
struct token_http {
    /* Sends `form` (GET without one), `header` besides ("" for none). The status, or a negative
     * code; the answer is appended, bounded. `direct` goes past any proxy and may be http. */
    int (*send)(void *arg, const char *url, const char *header, const struct buf *form, bool direct,
                struct buf *answer);
    void (*wait)(void *arg, uint64_t ms);
    void *arg;
};

struct tokens;

struct tokens *tokens_new(const struct conf *conf, const struct token_http *http);
void tokens_free(struct tokens *t);

/*
 * The token for `api`; it lives until the next call. NULL when signing in failed: `why` then has
 * the reason and what to do, and `out_err` ERR_DENIED or what the network said.
 */
const char *tokens_get(struct tokens *t, enum api api, int *out_err, struct buf *why);

/* Forgets the token: the service took it no more. */
void tokens_drop(struct tokens *t, enum api api);

/* How often a token was asked for, for tests and the summary. */
unsigned tokens_asked(const struct tokens *t);

#endif
