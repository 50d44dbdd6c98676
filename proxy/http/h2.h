/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/2 (RFC 9113), bytes to messages and back, over nghttp2: one object for one connection,
 * either role. It never touches a socket. nghttp2 keeps the protocol (frames, HPACK, states,
 * windows); here are the bounds on what a peer can make us do and hold:
 *
 * - a head: fields (each cookie crumb counts) and decoded bytes;
 * - credit: the connection's is given back as bytes arrive, a stream's only as its taker takes
 *   them, so that a stalled stream never starves its siblings (RFC 9113, 5.2); what lies with
 *   takers who do not take is bounded for the connection as a whole, too;
 * - what costs us more than the peer has a budget: resets, whoever sends them (CVE-2023-44487 and,
 *   where the peer provokes ours, CVE-2025-8671), pings, settings, empty frames, crumbs of credit.
 *   Who overdraws it is sent away with ENHANCE_YOUR_CALM.
 */
#ifndef PROXY_HTTP_H2_H
#define PROXY_HTTP_H2_H

#include "common/bytes.h"
#include "common/list.h"
#include "proxy/http/guard.h"
#include "proxy/http/msg.h"

#include <nghttp2/nghttp2.h>

struct h2;

enum h2_role {
    H2_SERVER,
    H2_CLIENT
};

struct h2_limits {
    struct h1_limits head; /* `line`: of a path. `head` and `fields` as decoded */
    unsigned streams;      /* open at once: that a client may have; that we have until told */
    size_t held; /* bytes with takers who do not take them, from which on the connection gets no
                    more credit; 0: no bound but the streams' own */
};

/* What h2_room() is about: bytes of a body that wait in a stream. */
#define H2_STREAM_HIGH ((size_t)64 << 10)
#define H2_STREAM_LOW  ((size_t)16 << 10)

/*
 * Embedded by whoever owns the exchange; zero it once and set `msg` and `out.pool`. It must stay
 * until closed() or h2_forget().
 */
struct h2_stream {
    struct list link;
    int32_t id;
    struct msg *msg;          /* where the peer's head goes; its arena is set */
    struct trailers trailers; /* of the peer's message, from end() on */
    struct h1_fault fault;    /* with bad_head() */
    struct bytes out;         /* body that waits for the peer's credit */
    const struct trailers *out_trailers;
    uint64_t sent;      /* bytes of the body that went out */
    size_t owed;        /* bytes of the peer's body that its credit was not given back for */
    uint64_t taken;     /* and those it was */
    struct buf *crumbs; /* while a head with cookies is read */
    size_t head_bytes;
    unsigned head_fields;
    unsigned trailer_cap;
    bool head_done : 1; /* the final head is here: what follows is trailers */
    bool bad : 1;       /* its head was not acceptable: the rest is dropped */
    bool done : 1;      /* the peer's message is complete */
    bool paused : 1;    /* its taker does not take */
    bool wide : 1;      /* has the large window */
    bool out_end : 1;   /* nothing follows `out` */
    bool was_full : 1;  /* owes a call of room() */
    bool roomy : 1;     /* in the list of those to be told */
    bool deferred : 1;  /* nghttp2 waits for bytes */
    bool reset_after : 1;
    bool closed : 1;
    uint32_t code; /* with closed() */
};

/*
 * What the owner is told, `ctx` being his. From h2_feed(): begin, head, bad_head, data, end,
 * settings, goaway. From h2_pump(): room. From either, behind the rest: closed. The owner may call
 * any function here from them but h2_feed(), h2_pump(), h2_free().
 */
struct h2_ops {
    /* Server: a request begins. NULL: it is refused (REFUSED_STREAM: the client may repeat it). */
    struct h2_stream *(*begin)(void *ctx);
    /* s->msg is complete, hop_…_h2() done; `ends`: no body follows. 1xx heads, too (client). */
    void (*head)(void *ctx, struct h2_stream *s, bool ends);
    /* The head is not acceptable: s->fault. What follows on the stream is dropped. */
    void (*bad_head)(void *ctx, struct h2_stream *s);
    void (*data)(void *ctx, struct h2_stream *s, const uint8_t *p, size_t len);
    void (*end)(void *ctx, struct h2_stream *s);
    /* After h2_is_full(): below H2_STREAM_LOW again. */
    void (*room)(void *ctx, struct h2_stream *s);
    /* The stream is over, s->code says how; the last call for it. */
    void (*closed)(void *ctx, struct h2_stream *s);
    /* Client: the server takes no new streams on this connection. */
    void (*goaway)(void *ctx);
    /* There is something to send: call h2_pump() soon. */
    void (*wants)(void *ctx);
    /* h2_pump() sends. Takes all. */
    void (*send)(void *ctx, const void *data, size_t len);
};

/* Nothing is sent before the first h2_pump(). */
struct h2 *h2_new(enum h2_role role, const struct h2_limits *limits, const struct h2_ops *ops,
                  void *ctx, uint64_t now_ms);
void h2_free(struct h2 *h);

/* Bytes of the peer. Call h2_is_over() next. `now_ms` is any clock that never goes back. */
void h2_feed(struct h2 *h, const uint8_t *p, size_t len, uint64_t now_ms);

/* Sends what there is, until about `most` bytes. Then h2_is_over(). */
void h2_pump(struct h2 *h, size_t most);

/*
 * The connection has ended, by either side, with everything sent that could be. Its streams are
 * not told. `why` (may be NULL) gets a static text when that was no proper end.
 */
bool h2_is_over(const struct h2 *h, const char **why);

/* Nothing is told any more, from inside a callback too. */
void h2_abandon(struct h2 *h);

/* Server: a 1xx or the final head. */
void h2_respond(struct h2 *h, struct h2_stream *s, const struct msg *m, bool ends);
/* Client: begins a stream. False when this connection can have no more of them. */
bool h2_request(struct h2 *h, struct h2_stream *s, const struct msg *m, bool ends) MUSTCHECK;

/* The body, copied. `t` (may be NULL) must live until closed(). */
void h2_write(struct h2 *h, struct h2_stream *s, const void *data, size_t len);
void h2_end(struct h2 *h, struct h2_stream *s, const struct trailers *t);
bool h2_is_full(struct h2_stream *s);

/* The taker of s's body has no room, or has it again. */
void h2_pause(struct h2 *h, struct h2_stream *s, bool stop);

/* Ends the stream at once; closed() follows. */
void h2_reset(struct h2 *h, struct h2_stream *s, uint32_t code);
/* Ends it without fault behind what is to be sent: the rest of the request is not wanted (RFC 9113,
 * 8.1). closed() follows. */
void h2_stop_request(struct h2 *h, struct h2_stream *s);
/* Nothing more is told of the stream, `s` may go. It is reset unless both sides are through; may be
 * closed already. */
void h2_forget(struct h2 *h, struct h2_stream *s, uint32_t code);

/* Is all that was to be sent on the stream out? */
bool h2_is_sent(const struct h2 *h, const struct h2_stream *s);

/* GOAWAY. Server: a warning first (0 new streams lost), the end with h2_leave(). */
void h2_drain(struct h2 *h);
void h2_leave(struct h2 *h, uint32_t code);

/* Streams that are open, both sides' count. */
unsigned h2_count(const struct h2 *h);
/* Client: streams that the server lets us have at once, as far as it has said so. */
unsigned h2_most(const struct h2 *h);
/* Things that no sound peer does, so far. */
unsigned h2_glitches(const struct h2 *h);
/* Heads that were begun and not finished, or not acceptable, so far. */
unsigned h2_aborted_heads(const struct h2 *h);

#endif
