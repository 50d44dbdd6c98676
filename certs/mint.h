/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker's way to the signer: sends what it wants signed, matches the answers, asks again when
 * one is lost. It knows no event loop: the worker watches `fd` for reading and calls in.
 *
 * The signer may die and be replaced at any time, and answers may be dropped: signing is
 * idempotent, so whatever is unanswered after MINT_RESEND_MS is sent again, and given up after
 * MINT_GIVE_UP_MS. Identifiers start at a random number, so that answers to whoever had this socket
 * before fit no request of ours.
 */
#ifndef CERTS_MINT_H
#define CERTS_MINT_H

#include "certs/ca.h"
#include "certs/leaf.h"

#define MINT_RESEND_MS  1000
#define MINT_GIVE_UP_MS 10000
/* Under way at once; others wait here. Below the kernel's least queue for such a socket
 * (net.unix.max_dgram_qlen, 10), so that the answers of one worker always fit and none need be
 * dropped. */
#define MINT_WINDOW 8

struct mint;

struct mint_done {
    struct str name; /* of the leaf; empty for a CRL */
    void *ctx;       /* who waited; NULL when nobody did (a renewal) */
    int err;         /* 0; ERR_DENIED: not a name for this signer; ERR_CERT: the issuing CA is not
                        valid now; ERR_TIMEOUT: no answer; ERR_SIGNER: it could not */
    X509 *leaf;     /* when err is 0 and name is not empty; borrowed: take a reference to keep it */
    struct str crl; /* when err is 0 and name is empty: DER, gone after the callback */
};

/*
 * Called once for each request that nobody waits for and once for each waiter of the others, only
 * from mint_on_readable() and mint_tick(). May call mint_request() and mint_cancel(), but not
 * mint_free().
 */
typedef void mint_on_done(void *arg, const struct mint_done *done);

struct mint_conf {
    int fd; /* the worker's end of signer_channel(); not closed by the mint */
    struct ca *ca;
    const struct leafkey *key; /* outlives the mint */
    unsigned life_s;           /* of a leaf; 0: the signer's own choice */
    size_t max;                /* requests waiting or under way; 0: 256 */
    mint_on_done *on_done;
    void *arg;
};

struct mint *mint_new(const struct mint_conf *conf);
void mint_free(struct mint *m); /* without callbacks */

/*
 * Asks for a leaf for `name` (any case; copied). A name that is asked for already is not asked for
 * twice. `ctx` NULL: nobody waits. ERR_NAME; ERR_FULL above `max` requests, or 4096 waiters of one.
 */
int mint_request(struct mint *m, struct str name, void *ctx, uint64_t now_ms) MUSTCHECK;

/* Asks for the issuing CA's CRL. */
int mint_request_crl(struct mint *m, void *ctx, uint64_t now_ms) MUSTCHECK;

/* `ctx` no longer waits for anything; it is not named again. The requests themselves go on. */
void mint_cancel(struct mint *m, const void *ctx);

/* Takes what answers there are and calls back. 0, or -errno when the socket is of no use any
 * more. */
int mint_on_readable(struct mint *m, uint64_t now_ms) MUSTCHECK;

/* Sends again what is unanswered, gives up what is too old. */
void mint_tick(struct mint *m, uint64_t now_ms);

/* When mint_tick() is next worth a call; UINT64_MAX: nothing waits. */
uint64_t mint_next_ms(const struct mint *m);

/* From now on leaves are to be of this CA; what is under way is asked for anew. */
void mint_set_ca(struct mint *m, struct ca *ca, uint64_t now_ms);

size_t mint_waiting(const struct mint *m); /* requests */

#endif
