/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Feeds bytes to an HTTP/1 parser piece by piece and keeps what came out, so that tests can compare
 * one way of cutting the input with another. Each piece lies in memory of its own, overwritten and
 * freed as soon as h1_feed() returns: a message that points into it is found out.
 */
#ifndef TESTS_H1_RUN_H
#define TESTS_H1_RUN_H

#include "proxy/http/h1.h"

#define H1_RUN_MESSAGES 8 /* after as many the rest of the input is left alone */

struct h1_run_message {
    struct arena arena;
    struct msg msg;
    struct buf body;
    struct trailers trailers;
    bool has_head, has_end;
};

struct h1_run {
    struct h1 h1;
    struct str method; /* of the request that responses answer */
    struct h1_run_message message[H1_RUN_MESSAGES];
    unsigned count;         /* messages begun */
    enum h1_result result;  /* of the last call */
    size_t taken;           /* bytes that the parser took */
    bool in_feed, body_bad; /* a body callback outside h1_feed(), or an empty one */
};

/* `limits` is not copied; `method` is for responses. */
void h1_run_init(struct h1_run *run, bool is_response, const struct h1_limits *limits,
                 struct str method);

/* Feeds one piece; nothing happens any more after a fault or the last message. */
void h1_run_feed(struct h1_run *run, struct str piece);

/* Feeds all of `in` in pieces of at most `most` bytes, each cut by chance when `seed` is not 0;
 * then says that no more comes. */
void h1_run_all(struct h1_run *run, struct str in, size_t most, uint64_t seed);

void h1_run_eof(struct h1_run *run);

/*
 * One line, for tables. Per message: method and target, or status; keep or close; the body's
 * framing: - (none), a number, chunked, close; upgrade=… and expect; the body in quotes; trailers
 * in brackets; "." at the end. A fault is "!400".
 */
void h1_run_brief(const struct h1_run *run, struct buf *out);

/* Everything that was read: what two ways of cutting must agree on. */
void h1_run_full(const struct h1_run *run, struct buf *out);

/* Appends message `i`, which has its end, as the proxy would pass it on: body, chunks, trailers. */
void h1_run_rewrite(const struct h1_run *run, unsigned i, struct buf *out);

/*
 * NULL when message `i` is, to a recipient, the same as message `k` of `other`, which was read from
 * what h1_run_rewrite() wrote; otherwise what differs.
 */
const char *h1_run_differs(const struct h1_run *run, unsigned i, const struct h1_run *other,
                           unsigned k);

void h1_run_free(struct h1_run *run);

#endif
