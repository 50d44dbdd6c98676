/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An owner for the HTTP/2 codec, of either role, without a socket: bytes go in piece by piece, each
 * in memory of its own that is freed behind the call, what it is told is kept as text, and what it
 * sends lies in a buffer. Two of them, joined, are a client and a server.
 *
 * It also watches over the rules of h2.h: the order of what is told about a stream, and that
 * nothing is told of one that was forgotten or is over.
 */
#ifndef TESTS_H2_RUN_H
#define TESTS_H2_RUN_H

#include "common/buf.h"
#include "proxy/http/h2.h"

/* What the owner does by itself. */
enum {
    H2_RUN_ANSWER = 1,   /* server: answers a request at its head, echoes its body and trailers */
    H2_RUN_PAUSE = 2,    /* takes no body */
    H2_RUN_FORGET = 4,   /* forgets a stream when it is told of its body */
    H2_RUN_RESET = 8,    /* resets one then */
    H2_RUN_REFUSE = 16,  /* server: begin() gives NULL */
    H2_RUN_ABANDON = 32, /* abandons the connection with the first byte of a body */
    H2_RUN_STOP = 64,    /* server: answers without a body at the head, wants no more */
};

struct h2_run_stream {
    struct h2_stream s;
    struct h2_run *run;
    struct h2_run_stream *next; /* all that there were, newest first */
    struct arena arena;
    struct msg msg;
    struct buf body;    /* what came, its first 64 KiB */
    uint64_t body_size; /* all of it */
    unsigned heads;     /* final ones */
    unsigned interim;
    unsigned rooms;
    bool ended, bad, closed, forgotten;
};

struct h2_run {
    struct h2 *h2;
    unsigned habits;
    struct h2_limits limits;
    struct bytes_pool pool;
    struct h2_run_stream *streams;
    struct buf out; /* that it sent, and nobody has taken */
    uint64_t now_ms;
    bool wants, goaway, abandoned;
};

void h2_run_init(struct h2_run *run, enum h2_role role, const struct h2_limits *limits,
                 unsigned habits);
void h2_run_free(struct h2_run *run);

/* In pieces of at most `most` bytes, each cut by chance when `seed` is not 0. Nothing is sent. */
void h2_run_feed(struct h2_run *run, struct str in, size_t most, uint64_t seed);

/* Sends into `out`. */
void h2_run_pump(struct h2_run *run);

/* Carries bytes both ways, in pieces of at most `most`, until neither has any more. */
void h2_run_join(struct h2_run *a, struct h2_run *b, size_t most);

/* Client: begins a request of `method` for "/path", with `fields` (pairs of name and value, NULL at
 * the end; may be NULL). NULL when there can be none. */
struct h2_run_stream *h2_run_request(struct h2_run *run, const char *method,
                                     const char *const *fields, bool ends);

/* The newest stream with this id, or NULL. */
struct h2_run_stream *h2_run_find(const struct h2_run *run, int32_t id);

/* Appends what is known of a stream, one line, for tables and comparisons. */
void h2_run_brief(const struct h2_run_stream *r, struct buf *out);

#endif
