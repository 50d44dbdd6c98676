/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/auth.h"

#include "common/b64.h"
#include "common/err.h"
#include "common/mem.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <pthread.h>
#include <stdlib.h>

enum {
    QUEUE_MAX = 512,
    THREADS_MAX = 16,
    CACHE_SIZE = 256,
    KEY_SIZE = 32
};
#define REMEMBER_MS ((uint64_t)5 * 60 * 1000)
#define TEXT_MAX    1024 /* of user and password together */

/*
 * The first to ask about a login leads: it is queued, hashed on a thread, answered. Who asks the
 * same of this worker meanwhile (a browser opens dozens of connections at once) follows and gets
 * its answer.
 */
struct auth_ask {
    struct list link;   /* queue, then the port's answered list; of a follower: the leader's list */
    struct list flight; /* of a leader: in the port's list of those under way */
    struct list followers; /* of a leader */
    struct auth_port *port;
    struct ready ready;
    char *password, *hash;
    size_t password_len, hash_len;
    bool known; /* there is such a user */
    uint8_t digest[KEY_SIZE];
    enum auth_answer answer;
    void (*done)(void *ctx, enum auth_answer answer); /* NULL: canceled */
    void *ctx;
};

struct auth {
    pthread_mutex_t lock;
    pthread_cond_t work, rested;
    struct list queue;
    unsigned queued;
    bool stop;
    unsigned threads;
    pthread_t thread[THREADS_MAX];
    uint8_t key[KEY_SIZE];
};

struct remembered {
    uint8_t digest[KEY_SIZE];
    uint64_t until_ms; /* 0: empty */
};

struct auth_port {
    struct auth *auth;
    struct worker *worker;
    uv_async_t async;
    struct list answered; /* under auth->lock */
    struct list flights;  /* leaders without an answer */
    struct list asking;   /* answered, about to be told */
    unsigned in_work;     /* a thread is at it; under auth->lock */
    struct remembered cache[CACHE_SIZE];
};

static void free_ask(struct auth_ask *ask)
{
    LIST_EACH_SAFE (it, &ask->followers) {
        struct auth_ask *follower = LIST_OF(it, struct auth_ask, link);
        list_drop(&follower->link);
        free_ask(follower);
    }
    list_drop(&ask->flight);
    if (ask->password != NULL) {
        OPENSSL_cleanse(ask->password, ask->password_len);
    }
    free(ask->password);
    free(ask->hash);
    free(ask);
}

static void *run(void *arg)
{
    struct auth *a = arg;
    pthread_mutex_lock(&a->lock);
    while (!a->stop) {
        if (list_is_empty(&a->queue)) {
            pthread_cond_wait(&a->work, &a->lock);
            continue;
        }
        struct auth_ask *ask = LIST_OF(a->queue.next, struct auth_ask, link);
        list_drop(&ask->link);
        a->queued--;
        ask->port->in_work++;
        pthread_mutex_unlock(&a->lock);
        bool yes = htpasswd_check(str_of(ask->hash, ask->hash_len),
                                  str_of(ask->password, ask->password_len));
        pthread_mutex_lock(&a->lock);
        ask->answer = yes && ask->known ? AUTH_YES : AUTH_NO;
        list_append(&ask->port->answered, &ask->link);
        (void)uv_async_send(&ask->port->async);
        if (--ask->port->in_work == 0) {
            pthread_cond_broadcast(&a->rested);
        }
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

struct auth *auth_start(unsigned threads)
{
    struct auth *a = xnew(struct auth);
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->work, NULL);
    pthread_cond_init(&a->rested, NULL);
    list_init(&a->queue);
    if (RAND_bytes(a->key, sizeof(a->key)) != 1) {
        abort();
    }
    for (; a->threads < MIN(threads, (unsigned)THREADS_MAX); a->threads++) {
        if (pthread_create(&a->thread[a->threads], NULL, run, a) != 0) {
            abort();
        }
    }
    return a;
}

void auth_stop(struct auth *a)
{
    pthread_mutex_lock(&a->lock);
    a->stop = true;
    pthread_cond_broadcast(&a->work);
    pthread_mutex_unlock(&a->lock);
    for (unsigned i = 0; i < a->threads; i++) {
        pthread_join(a->thread[i], NULL);
    }
    LIST_EACH_SAFE (it, &a->queue) {
        free_ask(LIST_OF(it, struct auth_ask, link));
    }
    pthread_mutex_destroy(&a->lock);
    pthread_cond_destroy(&a->work);
    pthread_cond_destroy(&a->rested);
    OPENSSL_cleanse(a->key, sizeof(a->key));
    free(a);
}

static void remember(struct auth_port *p, const uint8_t digest[KEY_SIZE])
{
    struct remembered *r = &p->cache[digest[0] % CACHE_SIZE];
    memcpy(r->digest, digest, KEY_SIZE);
    r->until_ms = worker_now_ms(p->worker) + REMEMBER_MS;
}

static bool is_remembered(const struct auth_port *p, const uint8_t digest[KEY_SIZE])
{
    const struct remembered *r = &p->cache[digest[0] % CACHE_SIZE];
    return worker_now_ms(p->worker) < r->until_ms &&
           CRYPTO_memcmp(r->digest, digest, KEY_SIZE) == 0;
}

static void on_done(struct ready *r)
{
    struct auth_ask *ask = CONTAINER_OF(r, struct auth_ask, ready);
    void (*done)(void *ctx, enum auth_answer answer) = ask->done;
    void *ctx = ask->ctx;
    enum auth_answer answer = ask->answer;
    list_drop(&ask->link);
    free_ask(ask);
    if (done != NULL) {
        done(ctx, answer);
    }
}

static void tell(struct auth_ask *ask, enum auth_answer answer)
{
    ask->answer = answer;
    list_drop(&ask->link);
    list_append(&ask->port->asking, &ask->link);
    worker_ready(ask->port->worker, &ask->ready, on_done);
}

static void on_async(uv_async_t *async)
{
    struct auth_port *p = async->data;
    struct list done;
    list_init(&done);
    pthread_mutex_lock(&p->auth->lock);
    list_move(&done, &p->answered);
    pthread_mutex_unlock(&p->auth->lock);
    LIST_EACH_SAFE (it, &done) {
        struct auth_ask *ask = LIST_OF(it, struct auth_ask, link);
        if (ask->answer == AUTH_YES) {
            remember(p, ask->digest);
        }
        list_drop(&ask->flight);
        LIST_EACH_SAFE (follower, &ask->followers) {
            tell(LIST_OF(follower, struct auth_ask, link), ask->answer);
        }
        tell(ask, ask->answer);
    }
    worker_drain(p->worker);
}

int auth_port_open(struct auth *a, struct worker *w, struct auth_port **out)
{
    struct auth_port *p = xnew(struct auth_port);
    p->auth = a;
    p->worker = w;
    p->async.data = p;
    list_init(&p->answered);
    list_init(&p->asking);
    list_init(&p->flights);
    int err = uv_async_init(&w->loop, &p->async, on_async);
    if (err != 0) {
        free(p);
        return err;
    }
    *out = p;
    return 0;
}

static void on_port_closed(uv_handle_t *handle)
{
    struct auth_port *p = handle->data;
    LIST_EACH_SAFE (it, &p->answered) {
        free_ask(LIST_OF(it, struct auth_ask, link));
    }
    OPENSSL_cleanse(p->cache, sizeof(p->cache));
    free(p);
}

void auth_port_close(struct auth_port *p)
{
    struct auth *a = p->auth;
    /* What waits is dropped; what a thread is working on is waited for, as it holds a pointer to
     * the port. */
    pthread_mutex_lock(&a->lock);
    LIST_EACH_SAFE (it, &a->queue) {
        struct auth_ask *ask = LIST_OF(it, struct auth_ask, link);
        if (ask->port == p) {
            list_drop(&ask->link);
            a->queued--;
            free_ask(ask);
        }
    }
    while (p->in_work > 0) {
        pthread_cond_wait(&a->rested, &a->lock);
    }
    pthread_mutex_unlock(&a->lock);
    uv_close((uv_handle_t *)&p->async, on_port_closed);
}

bool auth_parse_basic(struct str value, struct buf *buf, struct str *user, struct str *password)
{
    if (!str_istarts(value, STR("basic ")) || value.len > TEXT_MAX * 2) {
        return false;
    }
    if (b64_decode(buf, str_trim(str_skip(value, 6)), B64_STANDARD) != 0) {
        return false;
    }
    struct str rest = buf_view(buf);
    if (rest.len > TEXT_MAX || !str_cut(&rest, ':', user) || rest.ptr == NULL || user->len == 0) {
        return false;
    }
    *password = rest;
    for (size_t i = 0; i < buf->len; i++) { /* RFC 7617, 2: no control characters */
        if ((unsigned char)buf->ptr[i] < 0x20 || buf->ptr[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

/* The stored hash is part of what is remembered: a changed password ends it at once. */
static void digest_of(const struct auth *a, struct str user, struct str hash, struct str password,
                      uint8_t out[KEY_SIZE])
{
    struct buf text = {0};
    unsigned len = KEY_SIZE;
    const struct str parts[] = {user, hash, password};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        buf_u64(&text, parts[i].len);
        buf_char(&text, ':');
        buf_str(&text, parts[i]);
    }
    if (HMAC(EVP_sha256(), a->key, KEY_SIZE, (const unsigned char *)text.ptr, text.len, out,
             &len) == NULL) {
        abort();
    }
    OPENSSL_cleanse(text.ptr, text.len);
    buf_free(&text);
}

static struct auth_ask *leader_of(const struct auth_port *p, const uint8_t digest[KEY_SIZE])
{
    LIST_EACH (it, &p->flights) {
        struct auth_ask *ask = LIST_OF(it, struct auth_ask, flight);
        if (CRYPTO_memcmp(ask->digest, digest, KEY_SIZE) == 0) {
            return ask;
        }
    }
    return NULL;
}

/* False when too many wait already. */
static bool enqueue(struct auth *a, struct auth_ask *ask)
{
    pthread_mutex_lock(&a->lock);
    bool full = a->queued >= QUEUE_MAX;
    if (!full) {
        a->queued++;
        list_append(&a->queue, &ask->link);
        pthread_cond_signal(&a->work);
    }
    pthread_mutex_unlock(&a->lock);
    return !full;
}

struct auth_ask *auth_check(struct auth_port *p, const struct htpasswd *h, struct str user,
                            struct str password, void (*done)(void *ctx, enum auth_answer answer),
                            void *ctx)
{
    struct str hash;
    struct auth_ask *ask = xnew(struct auth_ask);
    ask->port = p;
    ask->known = htpasswd_find(h, user, &hash);
    ask->done = done;
    ask->ctx = ctx;
    list_init(&ask->link);
    list_init(&ask->flight);
    list_init(&ask->followers);
    digest_of(p->auth, user, hash, password, ask->digest);
    struct auth_ask *leader = leader_of(p, ask->digest);
    if (leader != NULL) {
        list_append(&leader->followers, &ask->link);
        return ask;
    }
    if (ask->known && is_remembered(p, ask->digest)) {
        tell(ask, AUTH_YES);
        return ask;
    }
    ask->password = xstrndup(password.ptr, password.len);
    ask->password_len = password.len;
    ask->hash = xstrndup(hash.ptr, hash.len);
    ask->hash_len = hash.len;
    if (enqueue(p->auth, ask)) {
        list_append(&p->flights, &ask->flight);
    } else {
        tell(ask, AUTH_BUSY);
    }
    return ask;
}

void auth_cancel(struct auth_ask *ask)
{
    ask->done = NULL; /* whoever has it frees it */
}
