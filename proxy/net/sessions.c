/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/net/sessions.h"

#include "common/hash.h"
#include "common/list.h"
#include "common/mem.h"

#include <stdlib.h>

enum {
    NAMES_MAX = 512,
    BUCKETS = 512,
    PER_NAME = 4
};
#define LIFE_MS ((uint64_t)3600 * 1000)

struct entry {
    struct list link; /* in its bucket */
    struct list age;  /* oldest use first */
    char *name;
    size_t len;
    uint64_t generation;
    unsigned count;
    SSL_SESSION *session[PER_NAME]; /* newest last */
    uint64_t since_ms[PER_NAME];
};

struct sessions {
    struct list bucket[BUCKETS];
    struct list ages;
    unsigned count;
};

struct sessions *sessions_new(void)
{
    struct sessions *s = xnew(struct sessions);
    for (unsigned i = 0; i < BUCKETS; i++) {
        list_init(&s->bucket[i]);
    }
    list_init(&s->ages);
    return s;
}

static void drop_oldest_session(struct entry *e)
{
    SSL_SESSION_free(e->session[0]);
    e->count--;
    memmove(e->session, e->session + 1, e->count * sizeof(e->session[0]));
    memmove(e->since_ms, e->since_ms + 1, e->count * sizeof(e->since_ms[0]));
}

static void drop_entry(struct sessions *s, struct entry *e)
{
    while (e->count > 0) {
        drop_oldest_session(e);
    }
    list_drop(&e->link);
    list_drop(&e->age);
    s->count--;
    free(e->name);
    free(e);
}

void sessions_free(struct sessions *s)
{
    while (!list_is_empty(&s->ages)) {
        drop_entry(s, LIST_OF(s->ages.next, struct entry, age));
    }
    free(s);
}

static struct entry *find(struct sessions *s, struct str name, struct list **bucket)
{
    *bucket = &s->bucket[hash_str(name) % BUCKETS];
    LIST_EACH (it, *bucket) {
        struct entry *e = LIST_OF(it, struct entry, link);
        if (str_eq(str_of(e->name, e->len), name)) {
            return e;
        }
    }
    return NULL;
}

void sessions_put(struct sessions *s, struct str name, uint64_t generation, SSL_SESSION *session,
                  uint64_t now_ms)
{
    struct list *bucket;
    struct entry *e = find(s, name, &bucket);
    if (e != NULL && e->generation != generation) {
        drop_entry(s, e);
        e = NULL;
    }
    if (e == NULL) {
        if (s->count == NAMES_MAX) {
            drop_entry(s, LIST_OF(s->ages.next, struct entry, age));
        }
        e = xnew(struct entry);
        e->name = xstrndup(name.ptr, name.len);
        e->len = name.len;
        e->generation = generation;
        list_append(bucket, &e->link);
        list_append(&s->ages, &e->age);
        s->count++;
    }
    if (e->count == PER_NAME) {
        drop_oldest_session(e);
    }
    e->session[e->count] = session;
    e->since_ms[e->count++] = now_ms;
}

SSL_SESSION *sessions_take(struct sessions *s, struct str name, uint64_t generation,
                           uint64_t now_ms)
{
    struct list *bucket;
    struct entry *e = find(s, name, &bucket);
    if (e == NULL) {
        return NULL;
    }
    while (e->count > 0 && (e->generation != generation || now_ms - e->since_ms[0] > LIFE_MS)) {
        drop_oldest_session(e);
    }
    if (e->count == 0) {
        drop_entry(s, e);
        return NULL;
    }
    list_drop(&e->age);
    list_append(&s->ages, &e->age);
    SSL_SESSION *newest = e->session[e->count - 1];
    if (SSL_SESSION_get_protocol_version(newest) >= TLS1_3_VERSION) {
        e->count--;
    } else {
        SSL_SESSION_up_ref(newest);
    }
    return newest;
}
