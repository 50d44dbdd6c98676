/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers that the proxy gives itself: refusals worded for the kind of client that asked, errors on
 * the way to the origin, and plain texts. What came from outside stands in them escaped.
 */
#ifndef PROXY_ANSWER_H
#define PROXY_ANSWER_H

#include "proxy/app.h"

/* Starts an answer: ex->res is new and has status, reason, Date and Cache-Control: no-store. */
void answer_begin(struct exch *ex, unsigned status);

/* Adds a field; `value` is copied. */
void answer_field(struct exch *ex, const char *name, struct str value);

/* Sends it with `body` of `type`. */
void answer_end(struct exch *ex, const char *type, struct str body);

/* All of it for a short text; a newline is added. */
void answer_text(struct exch *ex, unsigned status, const char *text);

/* "PG-XXXXX-XXXXX", random: what a user quotes and the block log has. */
struct incident {
    char id[16];
};
void incident_new(struct incident *out);

/*
 * A refusal by `rule`: a page for a person, a SOAP fault or Graph's error for a program. Scripts of
 * any page may read the latter two, but only those of inspected hosts are told whom to ask.
 */
void answer_block(struct exch *ex, const struct snapshot *now, const struct rule_info *rule,
                  struct str host, const struct incident *incident);

/* The same page with made-up details, for an administrator to look at. */
void answer_sample_page(struct exch *ex, const struct conf *conf);

/*
 * An error on the way to `host`: 502, 504 or 403 by `err`, with the reason in the body and in
 * Proxy-Status (RFC 9209).
 */
void answer_gateway(struct exch *ex, const struct conf *conf, struct str host, int err,
                    const char *detail);

/* A request that the proxy itself refuses (a port, a denied host): 403 and the like, worded the
 * same way. */
void answer_refusal(struct exch *ex, const struct conf *conf, struct str host, unsigned status,
                    const char *proxy_error, const char *what);

/* 407, asking for Basic. */
void answer_challenge(struct exch *ex, const char *what);

/* What Proxy-Status calls `err`, and the status to answer with. */
const char *answer_proxy_error(int err, unsigned *status);

/* The organisation, when the configuration names it; else empty. */
struct str answer_letterhead(const struct conf *conf);

/* The embedded style sheet and pages. */
struct str page_style(void);
struct str page_index(void);

#endif
