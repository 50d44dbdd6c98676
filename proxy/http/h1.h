/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.x, bytes to events and back. One parser reads one direction of one connection; it never
 * touches a socket and never keeps a pointer into what it is fed. Heads pass the guard, then llhttp
 * (strict); what is written is always composed anew from what was understood, so that what we
 * judged and what the next hop reads cannot differ.
 */
#ifndef PROXY_HTTP_H1_H
#define PROXY_HTTP_H1_H

#include "common/buf.h"
#include "proxy/http/guard.h"
#include "proxy/http/msg.h"

/*
 *   HEAD --head complete--> BODY --last byte--> DONE --h1_restart()--> HEAD
 *     \--chunked--> CHUNK_LINE --size--> BODY --last byte of the chunk--> CHUNK_END
 *                    |   ^--------------------------CRLF----------------------'
 *                    '--size 0--> TRAILERS --empty line--> DONE
 *   any --fault--> FAILED
 */
enum h1_state {
    H1_HEAD,
    H1_CHUNK_LINE,
    H1_BODY,
    H1_CHUNK_END,
    H1_TRAILERS,
    H1_DONE,
    H1_FAILED
};

enum h1_result {
    H1_MORE,     /* all input taken, more is needed */
    H1_GOT_HEAD, /* msg is complete, hop_request() or hop_response() done; feed on (be it nothing)
                    for body and end */
    H1_GOT_END,  /* the message is complete; feed no more until h1_restart() */
    H1_FAULT,    /* `fault` says what; the connection is of no further use */
};

struct h1 {
    enum h1_state state;
    bool is_response;
    const struct h1_limits *limits; /* the owner's; outlives the parser */
    struct msg *msg;                /* given to h1_restart() */
    struct str method;              /* of the request that is answered (responses) */
    struct trailers trailers;       /* of the message, from H1_GOT_END until h1_restart() */
    struct h1_fault fault;          /* with H1_FAULT */
    /* Body bytes come here while h1_feed() runs, in order, never empty. */
    void (*on_body)(void *ctx, const uint8_t *data, size_t len);
    void *ctx;

    enum body_kind body; /* as it was read; the owner may turn msg->body into what he writes */
    uint64_t left;       /* bytes to come, of the body or of this chunk */
    uint64_t overhead;   /* bytes of chunk framing, against padding without end */
    uint64_t chunked;    /* bytes of chunk data */
    struct buf partial;  /* a head, chunk line or trailer section that came in pieces */
    uint8_t crlf;        /* bytes seen of a CRLF that is awaited */
    uint8_t empty_lines; /* in front of a request */
};

/* `limits` is not copied. */
void h1_init(struct h1 *h, bool is_response, const struct h1_limits *limits,
             void (*on_body)(void *ctx, const uint8_t *data, size_t len), void *ctx);

/*
 * Gets ready for the next message, whose head goes to `msg` (with its arena set). For a response,
 * `method` is that of the request it answers; it must live until the head is complete.
 */
void h1_restart(struct h1 *h, struct msg *msg, struct str method);

/*
 * Takes bytes off the front of `*in`, which it advances, up to the next event. Body bytes go to
 * on_body. At the end of the input call h1_eof().
 */
enum h1_result h1_feed(struct h1 *h, struct str *in);

/* The peer will send no more. H1_GOT_END when that ends a BODY_CLOSE body (or only the look at a
 * message without body was due), else H1_FAULT (or H1_MORE between messages). */
enum h1_result h1_eof(struct h1 *h);

/* True when nothing of a message has arrived since h1_restart(). */
bool h1_is_idle(const struct h1 *h);

void h1_free(struct h1 *h);

/* What the writer must add to a head; all together make one Connection field. */
struct h1_write_opts {
    bool close;          /* Connection: close */
    bool upgrade;        /* Connection: upgrade with m->upgrade */
    bool keep_alive_1_0; /* answer an HTTP/1.0 client that asked to keep the connection */
    bool te_trailers;    /* requests: TE: trailers, as the client said so */
    bool chunked; /* Transfer-Encoding: chunked; a BODY_STREAM or BODY_CLOSE body is written in
                     chunks */
};

/* Composes a request head with origin-form target `m->path` and Host `m->authority`. */
void h1_write_request(struct buf *out, const struct msg *m, const struct h1_write_opts *opts);

/* Composes a response head. */
void h1_write_response(struct buf *out, const struct msg *m, const struct h1_write_opts *opts);

/* The line in front of a chunk of `len` > 0 bytes; behind its data goes CRLF. Returns its length;
 * `out` holds 20. */
size_t h1_chunk_head(char *out, size_t len);

/* The last chunk with the trailers that may be forwarded. */
void h1_write_last_chunk(struct buf *out, const struct trailers *t);

#endif
