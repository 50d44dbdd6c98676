/* SPDX-License-Identifier: Apache-2.0 */
/* Messages to the signer, the worker's side of the channel with a signer that misbehaves, the
 * cache. */
#include "certs/leafcache.h"
#include "certs/mint.h"
#include "certs/ossl.h"
#include "certs/signer.h"
#include "certs/signer_proto.h"
#include "common/err.h"
#include "tests/unit/certs_kit.h"

#include <sys/socket.h>

/* --- messages --- */

static void test_messages(void **state)
{
    (void)state;
    uint8_t out[SIGNER_REQUEST_MAX], big[SIGNER_ANSWER_MAX];
    struct signer_request got, r = {.kind = SIGNER_LEAF,
                                    .id = 0x0102030405060708,
                                    .life_s = 172800,
                                    .name = STR("graph.microsoft.com"),
                                    .spki = STR("a public key")};
    memset(r.issuer, 0xab, sizeof(r.issuer));
    const size_t len = signer_put_request(&r, out);
    assert_int_equal(len, 40 + 19 + 12);
    assert_int_equal(signer_get_request(str_of((char *)out, len), &got), 0);
    assert_int_equal(got.kind, SIGNER_LEAF);
    assert_true(got.id == r.id && got.life_s == r.life_s);
    assert_memory_equal(got.issuer, r.issuer, sizeof(r.issuer));
    assert_true(str_eq(got.name, r.name) && str_eq(got.spki, r.spki));
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(signer_get_request(str_of((char *)out, i), &got), ERR_PROTOCOL);
    }
    out[len] = 0;
    assert_int_equal(signer_get_request(str_of((char *)out, len + 1), &got), ERR_PROTOCOL);
    assert_true(got.id == r.id);
    static const struct {
        size_t at;
        uint8_t value;
    } broken[] = {{0, 0}, {0, 2},     {1, 0},  {1, 4},           {2, 1},
                  {3, 1}, {36, 0xff}, {39, 0}, {1, SIGNER_PING}, {1, SIGNER_CRL}};
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        const uint8_t before = out[broken[i].at];
        out[broken[i].at] = broken[i].value;
        assert_int_equal(signer_get_request(str_of((char *)out, len), &got), ERR_PROTOCOL);
        out[broken[i].at] = before;
    }
    static char longer[SIGNER_REQUEST_MAX];
    r.spki = str_of(longer, sizeof(longer));
    assert_int_equal(signer_put_request(&r, out), 0);

    struct signer_answer back, a = {.id = 7, .status = SIGNER_OK, .der = STR("der")};
    const size_t alen = signer_put_answer(&a, big);
    assert_int_equal(alen, 15);
    assert_int_equal(signer_get_answer(str_of((char *)big, alen), &back), 0);
    assert_true(back.id == 7 && back.status == SIGNER_OK && str_eq(back.der, a.der));
    for (size_t i = 0; i < alen; i++) {
        assert_int_equal(signer_get_answer(str_of((char *)big, i), &back), ERR_PROTOCOL);
    }
    big[1] = SIGNER_DENIED; /* with a certificate */
    assert_int_equal(signer_get_answer(str_of((char *)big, alen), &back), ERR_PROTOCOL);
    big[1] = SIGNER_FAILED + 1;
    assert_int_equal(signer_get_answer(str_of((char *)big, alen), &back), ERR_PROTOCOL);
}

/* --- a worker and a signer made by hand --- */

struct heard {
    struct str name; /* points into `text` */
    char text[NAME_MAX_LEN + 1];
    void *ctx;
    int err;
    bool leaf, crl;
};

struct desk {
    struct kit *k;
    struct ca *ca;
    EVP_PKEY *key;
    struct leafpress *press;
    struct leafkey leaf;
    int ends[2];
    struct mint *m;
    struct leafcache *lc;
    struct heard heard[300];
    size_t count;
    void *cancel;    /* what the next callback cancels */
    const char *ask; /* what it asks for */
};

static void on_done(void *arg, const struct mint_done *done)
{
    struct desk *k = arg;
    assert_true(k->count < ARRAY_LEN(k->heard));
    struct heard *h = &k->heard[k->count++];
    *h = (struct heard){
        .ctx = done->ctx, .err = done->err, .leaf = done->leaf != NULL, .crl = done->crl.len > 0};
    memcpy(h->text, done->name.ptr != NULL ? done->name.ptr : "", done->name.len);
    h->name = str_of(h->text, done->name.len);
    if (done->leaf != NULL && k->lc != NULL) {
        leafcache_put(k->lc, done->name, done->leaf, KIT_NOW);
    }
    if (k->cancel != NULL) {
        mint_cancel(k->m, k->cancel);
    }
    if (k->ask != NULL) {
        assert_int_equal(mint_request(k->m, str_z(k->ask), NULL, 0), 0);
        k->ask = NULL;
    }
}

static void desk_begin(struct desk *k, struct kit *kit)
{
    *k = (struct desk){.k = kit};
    kit_init_ca(kit);
    k->ca = kit_load(kit);
    assert_int_equal(ca_load_key(AT_FDCWD, kit->ca, k->ca, &k->key, &kit->d), 0);
    k->press = leafpress_new(k->ca->issuing, k->key, NULL);
    assert_int_equal(leafkey_new(&k->leaf), 0);
    assert_int_equal(signer_channel(k->ends), 0);
    const struct mint_conf conf = {
        .fd = k->ends[0], .ca = k->ca, .key = &k->leaf, .on_done = on_done, .arg = k};
    k->m = mint_new(&conf);
}

static void desk_end(struct desk *k)
{
    leafcache_free(k->lc);
    mint_free(k->m);
    close(k->ends[0]);
    if (k->ends[1] >= 0) {
        close(k->ends[1]);
    }
    leafpress_free(k->press);
    leafkey_free(&k->leaf);
    EVP_PKEY_free(k->key);
    ca_unref(k->ca);
}

struct asked {
    struct signer_request r;
    char bytes[SIGNER_REQUEST_MAX];
};

/* The next request that has come to the signer's end; false: none. */
static bool next_request(struct desk *k, struct asked *out)
{
    ssize_t n = recv(k->ends[1], out->bytes, sizeof(out->bytes), MSG_DONTWAIT);
    if (n < 0) {
        return false;
    }
    assert_int_equal(signer_get_request(str_of(out->bytes, (size_t)n), &out->r), 0);
    return true;
}

static void send_answer(struct desk *k, uint64_t id, enum signer_status status, struct str der)
{
    uint8_t out[SIGNER_ANSWER_MAX];
    const struct signer_answer a = {.id = id, .status = status, .der = der};
    const size_t len = signer_put_answer(&a, out);
    assert_int_equal(send(k->ends[1], out, len, MSG_DONTWAIT), len);
}

/* Signs what was asked for. */
static void send_leaf(struct desk *k, const struct asked *a)
{
    struct buf der = {0};
    assert_int_equal(leafpress_mint(k->press, a->r.name, a->r.spki, KIT_NOW, LEAF_LIFE_S, &der), 0);
    send_answer(k, a->r.id, SIGNER_OK, buf_view(&der));
    buf_free(&der);
}

static void test_request(void **state)
{
    struct desk k;
    struct asked a;
    int one, two;
    desk_begin(&k, *state);
    assert_true(mint_next_ms(k.m) == UINT64_MAX);
    assert_int_equal(mint_request(k.m, STR("Graph.microsoft.com"), &one, 1000), 0);
    assert_int_equal(mint_request(k.m, STR("graph.Microsoft.com"), &two, 1001), 0);
    assert_int_equal(mint_request(k.m, STR("10.0.0.1"), &two, 1001), ERR_NAME);
    assert_int_equal(mint_waiting(k.m), 1);
    assert_true(next_request(&k, &a));
    assert_false(next_request(&k, &(struct asked){0}));
    assert_int_equal(a.r.kind, SIGNER_LEAF);
    assert_true(str_eq(a.r.name, STR("graph.microsoft.com")));
    assert_memory_equal(a.r.issuer, k.ca->id.byte, KEY_ID_LEN);
    assert_true(str_eq(a.r.spki, buf_view(&k.leaf.spki)));
    assert_int_equal(mint_on_readable(k.m, 1002), 0); /* nothing there yet */
    assert_int_equal(k.count, 0);
    send_leaf(&k, &a);
    assert_int_equal(mint_on_readable(k.m, 1003), 0);
    assert_int_equal(k.count, 2);
    assert_true(k.heard[0].ctx == &one && k.heard[1].ctx == &two);
    assert_true(k.heard[0].err == 0 && k.heard[0].leaf && k.heard[1].leaf);
    assert_true(str_eq(k.heard[0].name, STR("graph.microsoft.com")));
    assert_int_equal(mint_waiting(k.m), 0);

    /* the same answer again is nobody's */
    send_leaf(&k, &a);
    assert_int_equal(mint_on_readable(k.m, 1004), 0);
    assert_int_equal(k.count, 2);

    assert_int_equal(mint_request_crl(k.m, &one, 2000), 0);
    assert_true(next_request(&k, &a));
    assert_int_equal(a.r.kind, SIGNER_CRL);
    send_answer(&k, a.r.id, SIGNER_OK, STR("a list"));
    assert_int_equal(mint_on_readable(k.m, 2001), 0);
    assert_int_equal(k.count, 3);
    assert_true(k.heard[2].crl && k.heard[2].name.len == 0 && k.heard[2].ctx == &one);
    desk_end(&k);
}

static void test_lost_and_late(void **state)
{
    struct desk k;
    struct asked a, b;
    int one;
    desk_begin(&k, *state);
    assert_int_equal(mint_request(k.m, STR("graph.microsoft.com"), &one, 1000), 0);
    assert_true(next_request(&k, &a)); /* and the signer dies with it */
    assert_true(mint_next_ms(k.m) == 2000);
    mint_tick(k.m, 1999);
    assert_false(next_request(&k, &b));
    mint_tick(k.m, 2000);
    assert_true(next_request(&k, &b));
    assert_true(a.r.id == b.r.id);
    assert_true(mint_next_ms(k.m) == 3000);
    send_leaf(&k, &b);
    send_leaf(&k, &a); /* it was not dead but slow */
    assert_int_equal(mint_on_readable(k.m, 2010), 0);
    assert_int_equal(k.count, 1);
    assert_true(k.heard[0].leaf);

    /* nobody ever answers */
    assert_int_equal(mint_request(k.m, STR("a.sharepoint.com"), &one, 5000), 0);
    unsigned sent = 0;
    for (uint64_t now = 5000; now < 15000; now += 100) {
        mint_tick(k.m, now);
        while (next_request(&k, &a)) {
            sent++;
        }
    }
    assert_int_equal(sent, 10);
    assert_int_equal(k.count, 1);
    mint_tick(k.m, 15000);
    assert_int_equal(k.count, 2);
    assert_int_equal(k.heard[1].err, ERR_TIMEOUT);
    assert_ptr_equal(k.heard[1].ctx, &one);
    send_leaf(&k, &a);
    assert_int_equal(mint_on_readable(k.m, 15001), 0);
    assert_int_equal(k.count, 2);
    desk_end(&k);
}

static void test_bad_answers(void **state)
{
    struct desk k;
    struct asked a;
    int one;
    desk_begin(&k, *state);
    static const struct {
        enum signer_status status;
        int err;
    } row[] = {{SIGNER_DENIED, ERR_DENIED},
               {SIGNER_MALFORMED, ERR_SIGNER},
               {SIGNER_NOT_VALID, ERR_CERT},
               {SIGNER_FAILED, ERR_SIGNER}};
    for (size_t i = 0; i < ARRAY_LEN(row); i++) {
        assert_int_equal(mint_request(k.m, STR("graph.microsoft.com"), &one, 0), 0);
        assert_true(next_request(&k, &a));
        assert_int_equal(send(k.ends[1], "garbage", 7, 0), 7);
        assert_int_equal(send(k.ends[1], "", 1, 0), 1);
        send_answer(&k, a.r.id + 1, SIGNER_OK, STR("stale"));
        send_answer(&k, a.r.id, row[i].status, STR_NONE);
        assert_int_equal(mint_on_readable(k.m, 0), 0);
        assert_int_equal(k.count, i + 1);
        assert_int_equal(k.heard[i].err, row[i].err);
        assert_false(k.heard[i].leaf);
    }
    /* what is no certificate, one for another key, one of another CA */
    k.count = 0;
    struct buf der = {0};
    struct leafkey other;
    assert_int_equal(leafkey_new(&other), 0);
    struct leafpress *alien = leafpress_new(k.ca->root, k.key, NULL);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mint_request(k.m, STR("graph.microsoft.com"), &one, 0), 0);
        assert_true(next_request(&k, &a));
        buf_clear(&der);
        if (i == 0) {
            buf_z(&der, "no certificate");
        } else {
            assert_int_equal(leafpress_mint(i == 1 ? k.press : alien, a.r.name,
                                            i == 1 ? buf_view(&other.spki) : a.r.spki, KIT_NOW,
                                            LEAF_LIFE_S, &der),
                             0);
        }
        send_answer(&k, a.r.id, SIGNER_OK, buf_view(&der));
        assert_int_equal(mint_on_readable(k.m, 0), 0);
        assert_int_equal(k.count, i + 1);
        assert_int_equal(k.heard[i].err, ERR_SIGNER);
    }
    buf_free(&der);
    leafpress_free(alien);
    leafkey_free(&other);
    /* a signer of the generation before asks to be asked again, soon */
    k.count = 0;
    assert_int_equal(mint_request(k.m, STR("graph.microsoft.com"), &one, 5000), 0);
    assert_true(next_request(&k, &a));
    send_answer(&k, a.r.id, SIGNER_OTHER_CA, STR_NONE);
    assert_int_equal(mint_on_readable(k.m, 5001), 0);
    assert_int_equal(k.count, 0);
    assert_true(mint_next_ms(k.m) == 5101);
    mint_tick(k.m, 5101);
    assert_true(next_request(&k, &a));
    send_leaf(&k, &a);
    assert_int_equal(mint_on_readable(k.m, 5102), 0);
    assert_int_equal(k.count, 1);
    assert_true(k.heard[0].leaf);
    /* the supervisor is gone */
    close(k.ends[1]);
    k.ends[1] = -1;
    assert_int_equal(mint_on_readable(k.m, 5103), -EPIPE);
    desk_end(&k);
}

/* Many names at once: at most a window's worth is under way, nothing is lost, the bound holds. */
static void test_many(void **state)
{
    struct desk k;
    struct asked a;
    char name[64];
    desk_begin(&k, *state);
    for (int i = 0; i < 256; i++) {
        snprintf(name, sizeof(name), "h%d.sharepoint.com", i);
        assert_int_equal(mint_request(k.m, str_z(name), &k, 0), 0);
    }
    assert_int_equal(mint_request(k.m, STR("one.more.sharepoint.com"), &k, 0), ERR_FULL);
    assert_int_equal(mint_request(k.m, STR("h7.sharepoint.com"), &k, 0), 0);
    size_t most = 0;
    while (mint_waiting(k.m) > 0) {
        struct asked batch[MINT_WINDOW + 4];
        size_t n = 0;
        while (n < ARRAY_LEN(batch) && next_request(&k, &batch[n])) {
            n++;
        }
        assert_true(n > 0);
        most = MAX(most, n);
        for (size_t i = 0; i < n; i++) {
            send_leaf(&k, &batch[i]);
        }
        assert_int_equal(mint_on_readable(k.m, 1), 0);
    }
    assert_int_equal(most, MINT_WINDOW);
    assert_int_equal(k.count, 257);
    for (size_t i = 0; i < k.count; i++) {
        assert_true(k.heard[i].leaf);
    }
    /* a full socket: the rest goes when there is room */
    k.count = 0;
    while (send(k.ends[0], "x", 1, MSG_DONTWAIT) == 1) {
    }
    assert_int_equal(mint_request(k.m, STR("graph.microsoft.com"), &k, 1000), 0);
    assert_true(mint_next_ms(k.m) == 1050);
    char junk[8];
    while (recv(k.ends[1], junk, sizeof(junk), MSG_DONTWAIT) > 0) {
    }
    mint_tick(k.m, 1050);
    assert_true(next_request(&k, &a));
    desk_end(&k);
}

static void test_cancel(void **state)
{
    struct desk k;
    struct asked a;
    int one, two, three;
    desk_begin(&k, *state);
    assert_int_equal(mint_request(k.m, STR("graph.microsoft.com"), &one, 0), 0);
    assert_int_equal(mint_request(k.m, STR("graph.microsoft.com"), &two, 0), 0);
    assert_int_equal(mint_request(k.m, STR("graph.microsoft.com"), &three, 0), 0);
    mint_cancel(k.m, &one);
    k.cancel = &three; /* by the callback for the others */
    k.ask = "a.sharepoint.com";
    assert_true(next_request(&k, &a));
    send_leaf(&k, &a);
    assert_int_equal(mint_on_readable(k.m, 0), 0);
    assert_int_equal(k.count, 2);
    assert_null(k.heard[0].ctx); /* the first was canceled; told once all the same, for the cache */
    assert_ptr_equal(k.heard[1].ctx, &two);
    assert_int_equal(mint_waiting(k.m), 1);
    assert_true(next_request(&k, &a));
    assert_true(str_eq(a.r.name, STR("a.sharepoint.com")));
    desk_end(&k);
}

static void test_other_ca(void **state)
{
    struct desk k;
    struct asked a, b;
    struct kit *kit = *state;
    desk_begin(&k, kit);
    assert_int_equal(mint_request(k.m, STR("graph.microsoft.com"), &k, 0), 0);
    assert_true(next_request(&k, &a));
    const struct ca_make make = kit_make(kit);
    assert_int_equal(ca_rotate(&make, &kit->d), 0);
    struct ca *second = kit_load(kit);
    mint_set_ca(k.m, second, 10);
    assert_true(next_request(&k, &b));
    assert_true(a.r.id != b.r.id);
    assert_memory_equal(b.r.issuer, second->id.byte, KEY_ID_LEN);
    send_leaf(&k, &a); /* of the first CA: too late */
    assert_int_equal(mint_on_readable(k.m, 11), 0);
    assert_int_equal(k.count, 0);
    assert_int_equal(mint_waiting(k.m), 1);
    ca_unref(second);
    desk_end(&k);
}

/* --- cache --- */

static void test_cache(void **state)
{
    struct desk k;
    struct asked a;
    struct leaf leaf;
    desk_begin(&k, *state);
    k.lc = leafcache_new(&(struct leafcache_conf){.mint = k.m, .key = &k.leaf, .max = 3});
    assert_int_equal(leafcache_get(k.lc, STR("no name"), KIT_NOW, 0, &k, &leaf), ERR_NAME);
    assert_int_equal(leafcache_get(k.lc, STR("graph.microsoft.com"), KIT_NOW, 0, &k, &leaf),
                     ERR_AGAIN);
    assert_true(next_request(&k, &a));
    send_leaf(&k, &a);
    assert_int_equal(mint_on_readable(k.m, 1), 0);
    assert_int_equal(k.count, 1);
    assert_int_equal(leafcache_get(k.lc, STR("Graph.microsoft.com"), KIT_NOW, 0, &k, &leaf), 0);
    assert_non_null(leaf.cert);
    assert_ptr_equal(leaf.key, k.leaf.key);
    assert_int_equal(mint_waiting(k.m), 0);

    /* 12 hours before its end: another is asked for, once a minute, and the old one serves */
    const time_t near = KIT_NOW + 36 * 3600;
    assert_int_equal(leafcache_get(k.lc, STR("graph.microsoft.com"), near - 1, 0, &k, &leaf), 0);
    assert_int_equal(mint_waiting(k.m), 0);
    X509 *old = leaf.cert;
    for (int i = 0; i < 60; i++) {
        assert_int_equal(leafcache_get(k.lc, STR("graph.microsoft.com"), near + i, 0, &k, &leaf),
                         0);
        assert_ptr_equal(leaf.cert, old);
    }
    assert_int_equal(leafcache_stats(k.lc).renewals, 1);
    assert_true(next_request(&k, &a));
    send_answer(&k, a.r.id, SIGNER_FAILED, STR_NONE);
    assert_int_equal(mint_on_readable(k.m, 1), 0);
    assert_null(k.heard[1].ctx);
    assert_int_equal(leafcache_get(k.lc, STR("graph.microsoft.com"), near + 60, 0, &k, &leaf), 0);
    assert_true(next_request(&k, &a));
    send_leaf(&k, &a);
    assert_int_equal(mint_on_readable(k.m, 1), 0);
    assert_int_equal(leafcache_get(k.lc, STR("graph.microsoft.com"), near + 61, 0, &k, &leaf), 0);
    assert_ptr_not_equal(leaf.cert, old);
    assert_int_equal(leafcache_stats(k.lc).count, 1);

    /* in its last minute it is as good as gone */
    const time_t end = ossl_time(X509_get0_notAfter(leaf.cert));
    assert_int_equal(leafcache_get(k.lc, STR("graph.microsoft.com"), end - 30, 0, &k, &leaf),
                     ERR_AGAIN);
    assert_null(leaf.cert);

    /* the longest unused goes first */
    X509 *cert = NULL;
    struct buf der = {0};
    assert_int_equal(leafpress_mint(k.press, STR("x.sharepoint.com"), buf_view(&k.leaf.spki),
                                    KIT_NOW, 3600, &der),
                     0);
    cert = ossl_read_der(buf_view(&der));
    leafcache_put(k.lc, STR("b.sharepoint.com"), cert, KIT_NOW);
    leafcache_put(k.lc, STR("c.sharepoint.com"), cert, KIT_NOW);
    assert_int_equal(leafcache_get(k.lc, STR("graph.microsoft.com"), KIT_NOW, 0, NULL, &leaf), 0);
    leafcache_put(k.lc, STR("d.sharepoint.com"), cert, KIT_NOW);
    assert_int_equal(leafcache_stats(k.lc).count, 3);
    assert_int_equal(leafcache_stats(k.lc).evicted, 1);
    assert_int_equal(leafcache_get(k.lc, STR("graph.microsoft.com"), KIT_NOW, 0, NULL, &leaf), 0);
    assert_int_equal(leafcache_get(k.lc, STR("b.sharepoint.com"), KIT_NOW, 0, NULL, &leaf),
                     ERR_AGAIN);
    assert_int_equal(leafcache_get(k.lc, STR("c.sharepoint.com"), KIT_NOW, 0, NULL, &leaf), 0);

    /* an hour's leaf is renewed at half its life, and one of seconds is handed out for half of them
     */
    const uint64_t before = leafcache_stats(k.lc).renewals;
    assert_int_equal(leafcache_get(k.lc, STR("c.sharepoint.com"), KIT_NOW + 1799, 0, NULL, &leaf),
                     0);
    assert_int_equal(leafcache_stats(k.lc).renewals, before);
    assert_int_equal(leafcache_get(k.lc, STR("c.sharepoint.com"), KIT_NOW + 1800, 0, NULL, &leaf),
                     0);
    assert_int_equal(leafcache_stats(k.lc).renewals, before + 1);
    leafcache_put(k.lc, STR("c.sharepoint.com"), cert, KIT_NOW + 3590);
    assert_int_equal(leafcache_get(k.lc, STR("c.sharepoint.com"), KIT_NOW + 3594, 0, NULL, &leaf),
                     0);
    assert_int_equal(leafcache_get(k.lc, STR("c.sharepoint.com"), KIT_NOW + 3595, 0, NULL, &leaf),
                     ERR_AGAIN);

    leafcache_clear(k.lc);
    assert_int_equal(leafcache_stats(k.lc).count, 0);
    assert_int_equal(leafcache_get(k.lc, STR("d.sharepoint.com"), KIT_NOW, 0, NULL, &leaf),
                     ERR_AGAIN);
    X509_free(cert);
    buf_free(&der);
    desk_end(&k);
}

static void test_cache_many(void **state)
{
    struct desk k;
    struct leaf leaf;
    struct buf der = {0};
    char name[64];
    desk_begin(&k, *state);
    k.lc = leafcache_new(&(struct leafcache_conf){.mint = k.m, .key = &k.leaf, .max = 100});
    assert_int_equal(leafpress_mint(k.press, STR("x.sharepoint.com"), buf_view(&k.leaf.spki),
                                    KIT_NOW, LEAF_LIFE_S, &der),
                     0);
    X509 *cert = ossl_read_der(buf_view(&der));
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof(name), "h%d.sharepoint.com", i);
        leafcache_put(k.lc, str_z(name), cert, KIT_NOW);
        assert_int_equal(leafcache_get(k.lc, str_z(name), KIT_NOW, 0, NULL, &leaf), 0);
        if (i % 3 == 0) {
            leafcache_put(k.lc, str_z(name), cert, KIT_NOW); /* the very same again */
        }
    }
    assert_int_equal(leafcache_stats(k.lc).count, 100);
    for (int i = 4900; i < 5000; i++) {
        snprintf(name, sizeof(name), "h%d.sharepoint.com", i);
        assert_int_equal(leafcache_get(k.lc, str_z(name), KIT_NOW, 0, NULL, &leaf), 0);
    }
    X509_free(cert);
    buf_free(&der);
    desk_end(&k);
}

int main(void)
{
#define WITH_KIT(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages), WITH_KIT(test_request), WITH_KIT(test_lost_and_late),
        WITH_KIT(test_bad_answers),      WITH_KIT(test_many),    WITH_KIT(test_cancel),
        WITH_KIT(test_other_ca),         WITH_KIT(test_cache),   WITH_KIT(test_cache_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
