/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TCP connection, bare or with up to two layers of TLS on it (the second for CONNECT inside a TLS
 * proxy listener). It moves bytes and knows no HTTP. What is written is queued and leaves at the
 * end of the drain, in one write.
 */
#ifndef PROXY_NET_CONN_H
#define PROXY_NET_CONN_H

#include "common/bytes.h"
#include "common/ip.h"
#include "common/str.h"
#include "proxy/net/worker.h"

#define CONN_HIGH (128u << 10) /* bytes queued from which conn_is_full() */
#define CONN_LOW  (32u << 10)  /* and below which `room` is called */

struct conn;
struct tls;

/*
 * What the owner is told. All but `data` come from the drain, never from inside a call of his.
 * After conn_close() none comes any more.
 */
struct conn_ops {
    void (*data)(struct conn *c, const uint8_t *p,
                 size_t len);    /* takes all; valid during the call only */
    void (*eof)(struct conn *c); /* the peer sends no more; what we queue still leaves */
    void (*room)(
        struct conn *c); /* after conn_is_full() was true: below CONN_LOW again; may be NULL */
    void (*finished)(
        struct conn *c); /* after conn_finish(): all is out and FIN is sent; may be NULL */
    void (*failed)(struct conn *c, int err); /* the connection is dead; close it */
    void (*secured)(struct conn *c,
                    int err); /* a TLS layer stands (0) or did not come about; NULL without TLS */
};

/* Reasons not to read; reading goes on when none is left. */
enum conn_pause {
    PAUSE_NO_ROOM = 1,  /* who takes the bytes has no room */
    PAUSE_PIPELINE = 2, /* a request is under way, the next has to wait */
    PAUSE_UPGRADE = 4,  /* until a valid 101 */
    PAUSE_SECURE = 8,   /* a handshake waits for its certificate */
    PAUSE_VERDICT = 16, /* a decision is not made yet */
};

#define CONN_MAGIC 0x636f6e6eu

/*
 * Created by its first owner, freed at the end of a drain after conn_close(). Belongs to one
 * worker's thread. `ops` and `owner` may be changed at any time outside a callback of this
 * connection, or inside as its last act.
 */
struct conn {
    uint32_t magic;
    unsigned pause; /* enum conn_pause */
    struct worker *worker;
    const struct conn_ops *ops;
    void *owner;
    struct tls *tls[2]; /* [0] next to the socket; both may be NULL */
    struct tls *top;    /* the layer whose plaintext is ours, or NULL */
    struct bytes out;   /* bytes for the socket */
    struct list dirty;
    struct list dying;            /* closed, to be destroyed; or lingering */
    uint64_t bytes_in, bytes_out; /* what the owner got and gave */
    struct ip peer_ip;
    uint16_t peer_port, local_port;
    size_t in_flight; /* of `out`, bytes that the write under way covers */
    uint64_t sent;    /* bytes that the kernel took, but for those of the write under way */
    uint64_t acked;   /* and the peer's machine, when conn_has_taken() was last called */
    uint64_t linger_write_ms, linger_ms;
    int error; /* found where it could not be told; the flush tells it */
    bool reading : 1;
    bool writing : 1;  /* a uv_write is under way */
    bool was_full : 1; /* owes a call of `room` */
    bool finish : 1;   /* send FIN when all is out */
    bool finished : 1; /* FIN is sent */
    bool eof : 1;      /* FIN (or close_notify) has come */
    bool closed : 1;
    bool reset : 1;     /* close with RST */
    bool deaf : 1;      /* the peer takes no more; what it sent may still be read */
    bool linger : 1;    /* owned by nobody: throws away what comes until the peer is done */
    struct timer timer; /* the owner's */
    uv_tcp_t tcp;
    uv_write_t write;
};

/* A connection over a socket that is not connected yet. Paused for nothing, not reading. -errno. */
int conn_new(struct worker *w, int family, struct conn **out) MUSTCHECK;

/* Takes over what uv_listen() announced on `server`. -errno when there was none. */
int conn_accept(struct worker *w, uv_stream_t *server, struct conn **out) MUSTCHECK;

/* Takes over a connected socket. -errno, with `fd` closed. */
int conn_adopt(struct worker *w, int fd, struct conn **out) MUSTCHECK;

void conn_own(struct conn *c, const struct conn_ops *ops, void *owner);

/* Starts reading (unless paused). */
void conn_read(struct conn *c);
void conn_stop(struct conn *c, enum conn_pause why);
void conn_go_on(struct conn *c, enum conn_pause why);

/* Queues bytes. A failure is told from the drain. Nothing happens on a closed or finished
 * connection. */
void conn_write(struct conn *c, const void *data, size_t len);

/* The same, but tries to send large pieces at once, sparing a copy. For relays that have nothing to
 * add behind. */
void conn_write_now(struct conn *c, const void *data, size_t len);

/* Bytes queued, in all layers. */
size_t conn_backlog(const struct conn *c);

/* True when no more should be written until `room`. It is a soft mark: what was read may still be
 * written. */
bool conn_is_full(struct conn *c);

/*
 * Has the peer's machine taken anything since the last call? For time-outs: that the kernel has
 * room for megabytes tells nothing about the peer. A system call.
 */
bool conn_has_taken(struct conn *c);

/* Sends FIN (with TLS: close_notify first) after what is queued. Reading goes on. */
void conn_finish(struct conn *c);

/* No callbacks from now on; the socket is closed and `c` freed after the drain. Twice is once. */
void conn_close(struct conn *c);

/* Like conn_close(), but what is queued is thrown away and the peer gets a reset. */
void conn_reset(struct conn *c);

/* After `eof`: did the peer itself say so? Always without TLS; with it, a FIN without close_notify
 * may be anybody's on the way (RFC 8446, 6.1). */
bool conn_end_is_certain(const struct conn *c);

/*
 * For a last answer to a peer who may still be sending: sends what is queued, as long as the peer
 * takes some of it within `write_ms`, and FIN, throws away what comes, and closes when the peer has
 * closed, after 64 MiB, or `ms` after the FIN. Closing at once would make the kernel send RST,
 * which can destroy the answer on its way (RFC 9112, 9.6). The owner is told nothing any more.
 */
void conn_linger(struct conn *c, uint64_t write_ms, uint64_t ms);

/*
 * For a connection whose other half has broken: what is queued still leaves, as with conn_linger();
 * when there is nothing, a reset tells the peer that this is no proper end.
 */
void conn_break_off(struct conn *c, uint64_t write_ms);

/* For the drain. */
struct conn *conn_of_dirty(struct list *link);
struct conn *conn_of_dying(struct list *link);
void conn_flush(struct conn *c);
void conn_destroy(struct conn *c);

/* For TLS layers and relays: `c` has something to do in the flush. */
void conn_mark_dirty(struct conn *c);

/* For the TLS layers: plaintext of the top layer, end of its stream. */
void conn_deliver(struct conn *c, const uint8_t *p, size_t len);
void conn_deliver_eof(struct conn *c);

#endif
