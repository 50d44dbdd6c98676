/* SPDX-License-Identifier: Apache-2.0 */
#include "certs/leafcache.h"

#include "certs/name.h"
#include "certs/ossl.h"
#include "common/err.h"
#include "common/hash.h"
#include "common/list.h"
#include "common/mem.h"

#include <stdlib.h>

#define MAX_LEAVES     1000
#define RENEW_BEFORE_S (12 * 3600)
#define RENEW_AGAIN_S  60 /* between two tries to renew one leaf */
#define LAST_S         60 /* a leaf is not handed out this long before its end */

struct entry {
    struct list used;   /* lc->used, the least recent first */
    struct entry *next; /* of the same slot */
    uint64_t hash;
    X509 *cert;
    time_t last_at;  /* not handed out any more from then on */
    time_t renew_at; /* ask anew from then on */
    char name[];
};

struct leafcache {
    struct leafcache_conf conf;
    struct entry **slot; /* a power of two, at least conf.max */
    size_t slots;
    struct list used;
    struct leafcache_stats stats;
};

struct leafcache *leafcache_new(const struct leafcache_conf *conf)
{
    struct leafcache *lc = xnew(struct leafcache);
    lc->conf = *conf;
    lc->conf.max = conf->max != 0 ? conf->max : MAX_LEAVES;
    lc->conf.renew_before_s =
        conf->renew_before_s != 0 ? conf->renew_before_s : (unsigned)RENEW_BEFORE_S;
    for (lc->slots = 16; lc->slots < lc->conf.max; lc->slots *= 2) {
    }
    lc->slot = xcalloc(lc->slots, sizeof(struct entry *));
    list_init(&lc->used);
    return lc;
}

static struct entry **place_of(struct leafcache *lc, uint64_t hash, const char *name)
{
    struct entry **at = &lc->slot[hash & (lc->slots - 1)];
    while (*at != NULL && ((*at)->hash != hash || strcmp((*at)->name, name) != 0)) {
        at = &(*at)->next;
    }
    return at;
}

static void drop(struct leafcache *lc, struct entry *e)
{
    struct entry **at = place_of(lc, e->hash, e->name);
    *at = e->next;
    list_drop(&e->used);
    X509_free(e->cert);
    free(e);
    lc->stats.count--;
}

void leafcache_clear(struct leafcache *lc)
{
    LIST_EACH_SAFE (it, &lc->used) {
        drop(lc, LIST_OF(it, struct entry, used));
    }
}

void leafcache_free(struct leafcache *lc)
{
    if (lc != NULL) {
        leafcache_clear(lc);
        free(lc->slot);
        free(lc);
    }
}

int leafcache_get(struct leafcache *lc, struct str name, time_t now, uint64_t now_ms, void *ctx,
                  struct leaf *out)
{
    char folded[NAME_MAX_LEN + 1];
    int err = name_fold(name, folded);
    *out = (struct leaf){0};
    if (err != 0) {
        return err;
    }
    struct entry *e = *place_of(lc, hash_str(str_z(folded)), folded);
    if (e == NULL || now >= e->last_at) {
        lc->stats.misses++;
        err = mint_request(lc->conf.mint, str_z(folded), ctx, now_ms);
        return err != 0 ? err : ERR_AGAIN;
    }
    lc->stats.hits++;
    list_drop(&e->used);
    list_append(&lc->used, &e->used);
    if (now >= e->renew_at) {
        e->renew_at = now + RENEW_AGAIN_S;
        lc->stats.renewals++;
        /* when it fails the leaf at hand goes on serving, and there is another try in a minute */
        int ignored = mint_request(lc->conf.mint, str_z(folded), NULL, now_ms);
        (void)ignored;
    }
    *out = (struct leaf){.cert = e->cert, .key = lc->conf.key->key};
    return 0;
}

void leafcache_put(struct leafcache *lc, struct str name, X509 *cert, time_t now)
{
    char folded[NAME_MAX_LEN + 1];
    const time_t until = ossl_time(X509_get0_notAfter(cert));
    if (name_fold(name, folded) != 0 || until < 0) {
        return;
    }
    const uint64_t hash = hash_str(str_z(folded));
    struct entry *e = *place_of(lc, hash, folded);
    if (e == NULL) {
        if (lc->stats.count >= lc->conf.max) {
            lc->stats.evicted++;
            drop(lc, LIST_OF(lc->used.next, struct entry, used));
        }
        const size_t len = strlen(folded);
        struct entry **at = place_of(lc, hash, folded);
        e = xcalloc(1, sizeof(*e) + len + 1);
        e->hash = hash;
        memcpy(e->name, folded, len + 1);
        list_init(&e->used);
        *at = e;
        lc->stats.count++;
    }
    X509_up_ref(cert);
    X509_free(e->cert);
    e->cert = cert;
    /* of one that lives shorter than that, at half its life: one that was made in the last minute
     * of the CA must be of some use, or it would be asked for again and again */
    e->last_at = MAX(until - LAST_S, now + (until - now) / 2);
    e->renew_at = MAX(until - (time_t)lc->conf.renew_before_s, now + (until - now) / 2);
    list_drop(&e->used);
    list_append(&lc->used, &e->used);
}

struct leafcache_stats leafcache_stats(const struct leafcache *lc)
{
    return lc->stats;
}
