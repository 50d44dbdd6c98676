/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/mint.h"

#include "certs/name.h"
#include "certs/ossl.h"
#include "certs/signer_proto.h"
#include "common/err.h"
#include "common/list.h"
#include "common/mem.h"

#include <openssl/rand.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#define MAX_REQUESTS 256
#define MAX_WAITERS  4096
#define RETRY_MS     50  /* after a full socket */
#define OTHER_CA_MS  100 /* after a signer of another generation, which is about to end */
#define READ_AT_ONCE 64  /* answers taken in one call; the rest is still readable */

struct request {
    struct list in; /* m->queued or m->sent */
    uint64_t id;
    uint64_t asked_ms; /* when it was first asked for */
    uint64_t again_ms; /* of a sent one: when to send it again */
    enum signer_kind kind;
    void **waiter; /* NULL where one was canceled */
    size_t waiters;
    char name[NAME_MAX_LEN + 1];
};

struct mint {
    struct mint_conf conf;
    struct list queued; /* not sent yet, oldest first */
    struct list sent;   /* at most MINT_WINDOW */
    size_t queued_count, sent_count;
    uint64_t next_id;
    uint64_t retry_ms;       /* the socket was full: try again then; 0: it was not */
    struct request *calling; /* whose waiters are being called */
};

struct mint *mint_new(const struct mint_conf *conf)
{
    struct mint *m = xnew(struct mint);
    m->conf = *conf;
    m->conf.max = conf->max != 0 ? conf->max : MAX_REQUESTS;
    ca_ref(m->conf.ca);
    list_init(&m->queued);
    list_init(&m->sent);
    if (RAND_bytes((unsigned char *)&m->next_id, sizeof(m->next_id)) != 1) {
        m->next_id = (uint64_t)(uintptr_t)m; /* worth a start; entropy fails elsewhere, loudly */
    }
    return m;
}

static void request_free(struct request *r)
{
    free(r->waiter);
    free(r);
}

static void free_all(struct list *head)
{
    LIST_EACH_SAFE (it, head) {
        list_drop(it);
        request_free(LIST_OF(it, struct request, in));
    }
}

void mint_free(struct mint *m)
{
    if (m != NULL) {
        free_all(&m->queued);
        free_all(&m->sent);
        ca_unref(m->conf.ca);
        free(m);
    }
}

size_t mint_waiting(const struct mint *m)
{
    return m->queued_count + m->sent_count;
}

/* --- sending --- */

static bool send_one(struct mint *m, struct request *r, uint64_t now_ms)
{
    uint8_t out[SIGNER_REQUEST_MAX];
    struct signer_request wire = {.kind = r->kind, .id = r->id};
    memcpy(wire.issuer, m->conf.ca->id.byte, KEY_ID_LEN);
    if (r->kind == SIGNER_LEAF) {
        wire.name = str_z(r->name);
        wire.spki = buf_view(&m->conf.key->spki);
        wire.life_s = m->conf.life_s;
    }
    const size_t len = signer_put_request(&wire, out);
    if (send(m->conf.fd, out, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
        m->retry_ms = now_ms + RETRY_MS;
        return false;
    }
    m->retry_ms = 0;
    r->again_ms = now_ms + MINT_RESEND_MS;
    return true;
}

/* Sends what waits, as far as window and socket have room. */
static void pump(struct mint *m, uint64_t now_ms)
{
    while (m->sent_count < MINT_WINDOW && !list_is_empty(&m->queued)) {
        struct request *r = LIST_OF(m->queued.next, struct request, in);
        if (!send_one(m, r, now_ms)) {
            return;
        }
        list_drop(&r->in);
        list_append(&m->sent, &r->in);
        m->queued_count--;
        m->sent_count++;
    }
}

static struct request *find(struct list *head, enum signer_kind kind, const char *name)
{
    LIST_EACH (it, head) {
        struct request *r = LIST_OF(it, struct request, in);
        if (r->kind == kind && strcmp(r->name, name) == 0) {
            return r;
        }
    }
    return NULL;
}

static int add_waiter(struct request *r, void *ctx)
{
    if (ctx == NULL) {
        return 0;
    }
    if (r->waiters >= MAX_WAITERS) {
        return ERR_FULL;
    }
    if ((r->waiters & (r->waiters - 1)) == 0) { /* 0 and powers of two: it is full */
        r->waiter = xrealloc(r->waiter, MAX(2 * r->waiters, 1) * sizeof(*r->waiter));
    }
    r->waiter[r->waiters++] = ctx;
    return 0;
}

static int ask(struct mint *m, enum signer_kind kind, const char *name, void *ctx, uint64_t now_ms)
{
    struct request *r = find(&m->sent, kind, name);
    if (r == NULL) {
        r = find(&m->queued, kind, name);
    }
    if (r != NULL) {
        return add_waiter(r, ctx);
    }
    if (mint_waiting(m) >= m->conf.max) {
        return ERR_FULL;
    }
    r = xnew(struct request);
    r->id = m->next_id++;
    r->asked_ms = now_ms;
    r->kind = kind;
    memcpy(r->name, name, strlen(name) + 1);
    int err = add_waiter(r, ctx);
    list_append(&m->queued, &r->in);
    m->queued_count++;
    pump(m, now_ms);
    return err;
}

int mint_request(struct mint *m, struct str name, void *ctx, uint64_t now_ms)
{
    char folded[NAME_MAX_LEN + 1];
    int err = name_fold(name, folded);
    return err != 0 ? err : ask(m, SIGNER_LEAF, folded, ctx, now_ms);
}

int mint_request_crl(struct mint *m, void *ctx, uint64_t now_ms)
{
    return ask(m, SIGNER_CRL, "", ctx, now_ms);
}

static void forget(struct request *r, const void *ctx)
{
    for (size_t i = 0; i < r->waiters; i++) {
        if (r->waiter[i] == ctx) {
            r->waiter[i] = NULL;
        }
    }
}

void mint_cancel(struct mint *m, const void *ctx)
{
    LIST_EACH (it, &m->queued) {
        forget(LIST_OF(it, struct request, in), ctx);
    }
    LIST_EACH (it, &m->sent) {
        forget(LIST_OF(it, struct request, in), ctx);
    }
    if (m->calling != NULL) {
        forget(m->calling, ctx);
    }
}

/* --- answers --- */

/* Takes `r` out and tells all who wait. What they call may change the lists, but not `r`, save that
 * mint_cancel() may strike out waiters. */
static void finish(struct mint *m, struct request *r, bool was_sent, struct mint_done done)
{
    struct request *outer = m->calling;
    list_drop(&r->in);
    if (was_sent) {
        m->sent_count--;
    } else {
        m->queued_count--;
    }
    m->calling = r;
    done.name = r->kind == SIGNER_LEAF ? str_z(r->name) : STR_NONE;
    if (r->waiters == 0) {
        m->conf.on_done(m->conf.arg, &done);
    }
    for (size_t i = 0; i < r->waiters; i++) {
        done.ctx = r->waiter[i];
        /* a canceled one is not named; but the first call is made, that the leaf be kept */
        if (done.ctx != NULL || i == 0) {
            m->conf.on_done(m->conf.arg, &done);
        }
    }
    m->calling = outer;
    request_free(r);
}

static bool is_our_key(const struct mint *m, const X509 *leaf)
{
    struct buf spki = {0};
    const X509_PUBKEY *pub = X509_get_X509_PUBKEY(leaf);
    const int len = i2d_X509_PUBKEY(pub, NULL);
    bool same = false;
    if (len > 0) {
        unsigned char *at = (unsigned char *)buf_room(&spki, (size_t)len);
        spki.len = (size_t)i2d_X509_PUBKEY(pub, &at);
        same = str_eq(buf_view(&spki), buf_view(&m->conf.key->spki));
    }
    buf_free(&spki);
    return same;
}

static int err_of(enum signer_status status)
{
    switch (status) {
    case SIGNER_OK:
        return 0;
    case SIGNER_DENIED:
        return ERR_DENIED;
    case SIGNER_NOT_VALID:
        return ERR_CERT;
    default:
        return ERR_SIGNER;
    }
}

static void take(struct mint *m, const struct signer_answer *a, uint64_t now_ms)
{
    struct request *r = NULL;
    struct mint_done done = {.err = err_of(a->status)};
    X509 *leaf = NULL;
    LIST_EACH (it, &m->sent) {
        struct request *one = LIST_OF(it, struct request, in);
        if (one->id == a->id) {
            r = one;
            break;
        }
    }
    if (r == NULL) {
        return; /* a second answer to what was sent twice, or an answer to somebody before us */
    }
    if (a->status == SIGNER_OTHER_CA) {
        r->again_ms = now_ms + OTHER_CA_MS;
        return;
    }
    if (done.err == 0 && r->kind == SIGNER_CRL) {
        done.crl = a->der;
    } else if (done.err == 0) {
        leaf = ossl_read_der(a->der);
        if (leaf == NULL || !ca_issued(m->conf.ca, leaf) || !is_our_key(m, leaf)) {
            done.err = ERR_SIGNER;
            X509_free(leaf);
            leaf = NULL;
        }
        done.leaf = leaf;
    }
    finish(m, r, true, done);
    X509_free(leaf);
}

int mint_on_readable(struct mint *m, uint64_t now_ms)
{
    char in[SIGNER_ANSWER_MAX + 1];
    int err = 0;
    for (int i = 0; i < READ_AT_ONCE; i++) {
        struct signer_answer a;
        ssize_t n = recv(m->conf.fd, in, sizeof(in), MSG_DONTWAIT);
        if (n < 0 && (errno == EINTR || errno == ECONNRESET)) {
            continue;
        }
        if (n <= 0) {
            /* an answer is never empty: this is the end of the supervisor, and soon ours */
            err = n == 0 ? -EPIPE : errno == EAGAIN ? 0 : -errno;
            break;
        }
        if (signer_get_answer(str_of(in, (size_t)n), &a) == 0) {
            take(m, &a, now_ms);
        }
    }
    pump(m, now_ms);
    return err;
}

/* --- time --- */

static struct request *too_old(struct list *head, uint64_t now_ms)
{
    LIST_EACH (it, head) {
        struct request *r = LIST_OF(it, struct request, in);
        if (now_ms >= r->asked_ms + MINT_GIVE_UP_MS) {
            return r;
        }
    }
    return NULL;
}

void mint_tick(struct mint *m, uint64_t now_ms)
{
    const struct mint_done late = {.err = ERR_TIMEOUT};
    struct request *r;
    /* from the start each time: a callback may change the lists. What one asks for now is new. */
    while ((r = too_old(&m->sent, now_ms)) != NULL) {
        finish(m, r, true, late);
    }
    while ((r = too_old(&m->queued, now_ms)) != NULL) {
        finish(m, r, false, late);
    }
    LIST_EACH (it, &m->sent) {
        r = LIST_OF(it, struct request, in);
        if (now_ms >= r->again_ms && !send_one(m, r, now_ms)) {
            break;
        }
    }
    pump(m, now_ms);
}

uint64_t mint_next_ms(const struct mint *m)
{
    uint64_t next = UINT64_MAX;
    LIST_EACH (it, &m->sent) {
        const struct request *r = LIST_OF(it, struct request, in);
        next = MIN(next, MIN(r->asked_ms + MINT_GIVE_UP_MS, MAX(r->again_ms, m->retry_ms)));
    }
    LIST_EACH (it, &m->queued) {
        const struct request *r = LIST_OF(it, struct request, in);
        next = MIN(next, r->asked_ms + MINT_GIVE_UP_MS);
        if (m->retry_ms != 0) {
            next = MIN(next, m->retry_ms);
        }
    }
    return next;
}

void mint_set_ca(struct mint *m, struct ca *ca, uint64_t now_ms)
{
    ca_ref(ca);
    ca_unref(m->conf.ca);
    m->conf.ca = ca;
    /* oldest first again, under new identifiers: answers on their way are of the old CA */
    list_move(&m->sent, &m->queued);
    list_move(&m->queued, &m->sent);
    m->queued_count += m->sent_count;
    m->sent_count = 0;
    LIST_EACH (it, &m->queued) {
        LIST_OF(it, struct request, in)->id = m->next_id++;
    }
    pump(m, now_ms);
}
