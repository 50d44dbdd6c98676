/* SPDX-License-Identifier: Apache-2.0 */
/* Leaves, field by field, and who would take them. */
#include "certs/leaf.h"
#include "certs/ossl.h"
#include "common/clock.h"
#include "common/err.h"
#include "tests/unit/certs_kit.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define CRL_URL "http://proxy.corp.example:8080/crl/x.crl"

struct bench {
    struct kit *k;
    struct ca *ca;
    EVP_PKEY *key;
    struct leafpress *press;
    struct leafkey leaf;
};

static void begin(struct bench *b, struct kit *k)
{
    *b = (struct bench){.k = k};
    kit_init_ca(k);
    b->ca = kit_load(k);
    assert_int_equal(ca_load_key(AT_FDCWD, k->ca, b->ca, &b->key, &k->d), 0);
    b->press = leafpress_new(b->ca->issuing, b->key, CRL_URL);
    assert_int_equal(leafkey_new(&b->leaf), 0);
}

static void end(struct bench *b)
{
    leafpress_free(b->press);
    leafkey_free(&b->leaf);
    EVP_PKEY_free(b->key);
    ca_unref(b->ca);
}

static X509 *mint(struct bench *b, const char *name, time_t now, unsigned life_s)
{
    struct buf der = {0};
    int err = leafpress_mint(b->press, str_z(name), buf_view(&b->leaf.spki), now, life_s, &der);
    assert_int_equal(err, 0);
    X509 *leaf = ossl_read_der(buf_view(&der));
    assert_non_null(leaf);
    buf_free(&der);
    return leaf;
}

static int verify(const struct ca *ca, X509 *leaf, const char *host, time_t now)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    assert_int_equal(X509_STORE_add_cert(store, ca->root), 1);
    assert_int_equal(X509_STORE_CTX_init(ctx, store, leaf, ca->chain), 1);
    X509_VERIFY_PARAM *p = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_time(p, now);
    X509_VERIFY_PARAM_set_purpose(p, X509_PURPOSE_SSL_SERVER);
    X509_VERIFY_PARAM_set_flags(p, X509_V_FLAG_X509_STRICT);
    X509_VERIFY_PARAM_set1_host(p, host, 0);
    int why = X509_verify_cert(ctx) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(ctx);
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    return why;
}

static void check_ext(X509 *cert, int nid, int critical, const char *text)
{
    const int at = X509_get_ext_by_NID(cert, nid, -1);
    assert_true(at >= 0);
    X509_EXTENSION *ext = X509_get_ext(cert, at);
    assert_int_equal(X509_EXTENSION_get_critical(ext), critical);
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(X509V3_EXT_print(bio, ext, 0, 0), 1);
    char *p;
    const long len = BIO_get_mem_data(bio, &p);
    struct buf printed = {0};
    buf_put(&printed, p, (size_t)len);
    if (str_find(buf_view(&printed), str_z(text)) < 0) {
        assert_string_equal(buf_cstr(&printed), text);
    }
    buf_free(&printed);
    BIO_free(bio);
}

static void test_fields(void **state)
{
    struct bench b;
    begin(&b, *state);
    X509 *leaf = mint(&b, "graph.microsoft.com", KIT_NOW, LEAF_LIFE_S);
    struct buf text = {0};

    assert_int_equal(X509_get_version(leaf), X509_VERSION_3);
    assert_int_equal(X509_get_signature_nid(leaf), NID_ecdsa_with_SHA256);
    ossl_put_name(&text, X509_get_subject_name(leaf));
    check_text(&text, "graph.microsoft.com");
    assert_int_equal(
        X509_NAME_cmp(X509_get_issuer_name(leaf), X509_get_subject_name(b.ca->issuing)), 0);
    assert_int_equal(ossl_time(X509_get0_notBefore(leaf)), KIT_NOW - 24 * 3600);
    assert_int_equal(ossl_time(X509_get0_notAfter(leaf)), KIT_NOW + 48 * 3600);
    assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(leaf), b.leaf.key), 1);
    assert_int_equal(X509_get_ext_count(leaf), 7);
    check_ext(leaf, NID_basic_constraints, 1, "CA:FALSE");
    check_ext(leaf, NID_key_usage, 1, "Digital Signature");
    check_ext(leaf, NID_ext_key_usage, 0, "TLS Web Server Authentication");
    check_ext(leaf, NID_subject_alt_name, 0, "DNS:graph.microsoft.com");
    check_ext(leaf, NID_crl_distribution_points, 0, "URI:" CRL_URL);
    assert_int_equal(X509_get_key_usage(leaf), KU_DIGITAL_SIGNATURE);
    assert_int_equal(X509_get_extended_key_usage(leaf), XKU_SSL_SERVER);

    const ASN1_OCTET_STRING *ski = X509_get0_subject_key_id(leaf),
                            *aki = X509_get0_authority_key_id(leaf),
                            *ca_ski = X509_get0_subject_key_id(b.ca->issuing);
    assert_int_equal(ASN1_OCTET_STRING_cmp(aki, ca_ski), 0);
    assert_int_not_equal(ASN1_OCTET_STRING_cmp(ski, ca_ski), 0);
    assert_int_equal(ASN1_STRING_length(ski), 20);
    assert_true(ca_issued(b.ca, leaf));
    assert_int_equal(verify(b.ca, leaf, "graph.microsoft.com", KIT_NOW), X509_V_OK);
    assert_int_equal(verify(b.ca, leaf, "outlook.office.com", KIT_NOW),
                     X509_V_ERR_HOSTNAME_MISMATCH);
    assert_int_equal(verify(b.ca, leaf, "graph.microsoft.com", KIT_NOW + 49 * 3600),
                     X509_V_ERR_CERT_HAS_EXPIRED);
    /* a client whose clock is 20 hours late */
    assert_int_equal(verify(b.ca, leaf, "graph.microsoft.com", KIT_NOW - 20 * 3600), X509_V_OK);
    X509_free(leaf);
    buf_free(&text);
    end(&b);
}

/* The constraints do not depend on who mints: a leaf signed with the stolen key is refused. */
static void test_constraints_hold(void **state)
{
    struct bench b;
    begin(&b, *state);
    static const struct {
        const char *name;
        int why;
    } row[] = {
        {"graph.microsoft.com", X509_V_OK},
        {"a.b.sharepoint.com", X509_V_OK},
        {"proxy.corp.example", X509_V_OK},
        {"login.microsoftonline.com", X509_V_ERR_PERMITTED_VIOLATION},
        {"xgraph.microsoft.com", X509_V_ERR_PERMITTED_VIOLATION},
        {"microsoft.com", X509_V_ERR_PERMITTED_VIOLATION},
    };
    for (size_t i = 0; i < ARRAY_LEN(row); i++) {
        X509 *leaf = mint(&b, row[i].name, KIT_NOW, LEAF_LIFE_S);
        assert_int_equal(verify(b.ca, leaf, row[i].name, KIT_NOW), row[i].why);
        X509_free(leaf);
    }
    end(&b);
}

static void test_ends_and_serials(void **state)
{
    struct bench b;
    begin(&b, *state);
    const time_t issuer_end = ossl_time(X509_get0_notAfter(b.ca->issuing));
    X509 *leaf = mint(&b, "graph.microsoft.com", issuer_end - 3600, LEAF_LIFE_S);
    assert_int_equal(ossl_time(X509_get0_notAfter(leaf)), issuer_end);
    X509_free(leaf);
    struct buf der = {0};
    assert_int_equal(leafpress_mint(b.press, STR("a.sharepoint.com"), buf_view(&b.leaf.spki),
                                    issuer_end, LEAF_LIFE_S, &der),
                     ERR_CERT);
    assert_int_equal(leafpress_mint(b.press, STR("a.sharepoint.com"), buf_view(&b.leaf.spki), 1000,
                                    LEAF_LIFE_S, &der),
                     ERR_CERT);
    assert_int_equal(der.len, 0);

    int longest = 0;
    X509 *last = mint(&b, "a.sharepoint.com", KIT_NOW, 3600);
    for (int i = 0; i < 50; i++) {
        leaf = mint(&b, "a.sharepoint.com", KIT_NOW, 3600);
        const ASN1_INTEGER *serial = X509_get0_serialNumber(leaf);
        assert_int_not_equal(ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(last)), 0);
        assert_int_equal(ASN1_STRING_type(serial), V_ASN1_INTEGER); /* not negative */
        BIGNUM *n = ASN1_INTEGER_to_BN(serial, NULL);
        longest = MAX(longest, BN_num_bits(n));
        BN_free(n);
        X509_free(last);
        last = leaf;
    }
    assert_true(longest > 120 && longest <= 128);
    X509_free(last);
    end(&b);
}

static void test_long_name(void **state)
{
    struct bench b;
    begin(&b, *state);
    static const char *const name =
        "a-name-that-is-longer-than-a-common-name-may-be.because-it-has-over-64.sharepoint.com";
    X509 *first = mint(&b, "graph.microsoft.com", KIT_NOW, LEAF_LIFE_S);
    X509 *leaf = mint(&b, name, KIT_NOW, LEAF_LIFE_S);
    assert_int_equal(X509_NAME_entry_count(X509_get_subject_name(leaf)), 0);
    check_ext(leaf, NID_subject_alt_name, 1, name);
    assert_int_equal(X509_get_ext_count(leaf), X509_get_ext_count(first));
    assert_int_equal(verify(b.ca, leaf, name, KIT_NOW), X509_V_OK);
    X509_free(leaf);
    leaf = mint(&b, "graph.microsoft.com", KIT_NOW, LEAF_LIFE_S);
    check_ext(leaf, NID_subject_alt_name, 0, "DNS:graph.microsoft.com");
    X509_free(leaf);
    X509_free(first);
    end(&b);
}

static void test_refused(void **state)
{
    struct bench b;
    begin(&b, *state);
    struct buf der = {0}, spki = {0};
    static const char *const bad_name[] = {"Graph.microsoft.com",  "*.sharepoint.com", "10.0.0.1",
                                           "graph.microsoft.com.", "a,DNS:b.example",  ""};
    for (size_t i = 0; i < ARRAY_LEN(bad_name); i++) {
        assert_int_equal(leafpress_mint(b.press, str_z(bad_name[i]), buf_view(&b.leaf.spki),
                                        KIT_NOW, LEAF_LIFE_S, &der),
                         ERR_NAME);
    }
    /* the CA's own key must not get into a handshake */
    assert_int_equal(key_put_spki(&spki, b.key), 0);
    assert_int_equal(leafpress_mint(b.press, STR("graph.microsoft.com"), buf_view(&spki), KIT_NOW,
                                    LEAF_LIFE_S, &der),
                     ERR_DENIED);
    /* other kinds of key, points off the curve, cut and extended ones */
    EVP_PKEY *other[] = {EVP_EC_gen("P-384"), EVP_RSA_gen(2048),
                         EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")};
    for (size_t i = 0; i < ARRAY_LEN(other); i++) {
        buf_clear(&spki);
        assert_int_equal(key_put_spki(&spki, other[i]), 0);
        assert_int_equal(leafpress_mint(b.press, STR("graph.microsoft.com"), buf_view(&spki),
                                        KIT_NOW, LEAF_LIFE_S, &der),
                         ERR_SYNTAX);
        EVP_PKEY_free(other[i]);
    }
    buf_clear(&spki);
    buf_str(&spki, buf_view(&b.leaf.spki));
    for (size_t i = 0; i < spki.len; i++) {
        spki.ptr[i] ^= 0x40;
        assert_int_equal(leafpress_mint(b.press, STR("graph.microsoft.com"), buf_view(&spki),
                                        KIT_NOW, LEAF_LIFE_S, &der),
                         ERR_SYNTAX);
        spki.ptr[i] ^= 0x40;
        assert_int_equal(leafpress_mint(b.press, STR("graph.microsoft.com"), str_of(spki.ptr, i),
                                        KIT_NOW, LEAF_LIFE_S, &der),
                         ERR_SYNTAX);
    }
    buf_char(&spki, '\0');
    assert_int_equal(leafpress_mint(b.press, STR("graph.microsoft.com"), buf_view(&spki), KIT_NOW,
                                    LEAF_LIFE_S, &der),
                     ERR_SYNTAX);
    assert_int_equal(der.len, 0);
    /* and after all that it still works */
    X509_free(mint(&b, "graph.microsoft.com", KIT_NOW, LEAF_LIFE_S));
    buf_free(&spki);
    end(&b);
}

/* Not a test of speed, which other work on the machine would upset: prints what it measured. */
static void test_rate(void **state)
{
    struct bench b;
    begin(&b, *state);
    struct buf der = {0};
    char name[64];
    const uint64_t from = clock_ns();
    enum {
        COUNT = 500
    };
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof(name), "h%d.sharepoint.com", i);
        buf_clear(&der);
        assert_int_equal(leafpress_mint(b.press, str_z(name), buf_view(&b.leaf.spki), KIT_NOW,
                                        LEAF_LIFE_S, &der),
                         0);
    }
    const double s = (double)(clock_ns() - from) / 1e9;
    print_message("%d leaves of %zu bytes in %.3f s: %.0f/s\n", COUNT, der.len, s, COUNT / s);
    buf_free(&der);
    end(&b);
}

int main(void)
{
#define WITH_KIT(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)
    const struct CMUnitTest tests[] = {
        WITH_KIT(test_fields),    WITH_KIT(test_constraints_hold), WITH_KIT(test_ends_and_serials),
        WITH_KIT(test_long_name), WITH_KIT(test_refused),          WITH_KIT(test_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
