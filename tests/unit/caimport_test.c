/* SPDX-License-Identifier: Apache-2.0 */
/* Issuing CAs that another PKI signs, and that ours signs for another node. */
#include "certs/camake.h"
#include "certs/ossl.h"
#include "certs/profile.h"
#include "common/err.h"
#include "tests/unit/certs_kit.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

/* --- a corporate PKI, as unhelpful as wanted --- */

struct corp {
    EVP_PKEY *key;
    X509 *root;
};

static void corp_new(struct corp *c)
{
    assert_int_equal(key_new(&c->key), 0);
    assert_int_equal(profile_root(c->key, "Corporate Root", KIT_NOW, 1000, &c->root), 0);
}

static void corp_free(struct corp *c)
{
    EVP_PKEY_free(c->key);
    X509_free(c->root);
}

/* What one wants to be different from what the request asks for. */
struct whims {
    const char *drop;      /* extension left out */
    const char *add[2];    /* extension put in its place: name, value */
    const EVP_MD *digest;  /* NULL: SHA-256 */
    long from_day, to_day; /* relative to KIT_NOW; 0, 0: the usual */
};

/* Signs the request in `csr`; appends certificate and root to `pem`. */
static void corp_sign(struct corp *c, struct str csr, const struct whims *w, struct buf *pem)
{
    BIO *bio = BIO_new_mem_buf(csr.ptr, (int)csr.len);
    X509_REQ *req = PEM_read_bio_X509_REQ(bio, NULL, NULL, NULL);
    assert_non_null(req);
    BIO_free(bio);
    EVP_PKEY *subject = X509_REQ_get_pubkey(req);
    assert_int_equal(X509_REQ_verify(req, subject), 1);
    X509 *cert = X509_new();
    X509_set_version(cert, X509_VERSION_3);
    assert_int_equal(profile_serial(cert), 0);
    assert_int_equal(profile_validity(cert, KIT_NOW + w->from_day * PROFILE_DAY,
                                      KIT_NOW + (w->to_day != 0 ? w->to_day : 500) * PROFILE_DAY),
                     0);
    X509_set_subject_name(cert, X509_REQ_get_subject_name(req));
    X509_set_issuer_name(cert, X509_get_subject_name(c->root));
    X509_set_pubkey(cert, subject);
    STACK_OF(X509_EXTENSION) *exts = X509_REQ_get_extensions(req);
    for (int i = 0; i < sk_X509_EXTENSION_num(exts); i++) {
        X509_EXTENSION *e = sk_X509_EXTENSION_value(exts, i);
        const char *name = OBJ_nid2sn(OBJ_obj2nid(X509_EXTENSION_get_object(e)));
        if (w->drop == NULL || strcmp(name, w->drop) != 0) {
            X509_add_ext(cert, e, -1);
        }
    }
    if (w->add[0] != NULL) {
        X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, OBJ_sn2nid(w->add[0]), w->add[1]);
        assert_non_null(e);
        X509_add_ext(cert, e, -1);
        X509_EXTENSION_free(e);
    }
    AUTHORITY_KEYID *aki = profile_authority(c->root);
    X509_add1_ext_i2d(cert, NID_authority_key_identifier, aki, 0, 0);
    AUTHORITY_KEYID_free(aki);
    assert_true(X509_sign(cert, c->key, w->digest != NULL ? w->digest : EVP_sha256()) > 0);
    ossl_put_pem(pem, cert);
    ossl_put_pem(pem, c->root);
    sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
    X509_free(cert);
    EVP_PKEY_free(subject);
    X509_REQ_free(req);
}

/* --- csr and import --- */

static void request(struct kit *k, struct buf *csr)
{
    const struct ca_make make = kit_make(k);
    int err = ca_request(&make, csr, &k->d);
    kit_check_faults(k, "");
    assert_int_equal(err, 0);
}

static int import(struct kit *k, const struct buf *pem, bool force)
{
    struct ca_make make = kit_make(k);
    make.force = force;
    return ca_import(&make, buf_view(pem), "signed.pem", &k->d);
}

static void test_import(void **state)
{
    struct kit *k = *state;
    struct corp corp;
    struct buf csr = {0}, pem = {0};
    const struct whims none = {0};
    corp_new(&corp);
    request(k, &csr);
    kit_check_mode(k, "private", 0700);
    assert_int_equal(kit_count_files(k, "issuing-*.key"), 1);
    kit_load_fails(k, KIT_NOW,
                   "ca/public/chain.pem: there is no CA here; run photogate ca init "
                   "--dir ca\n");
    corp_sign(&corp, buf_view(&csr), &none, &pem);
    assert_int_equal(import(k, &pem, false), 0);
    struct ca *ca = kit_load(k);
    assert_true(ca_covers(ca, STR("*.sharepoint.com")));
    assert_null(ca->crl_url);
    assert_int_equal(X509_cmp(ca->root, corp.root), 0);
    assert_int_equal(ca->crl.len, 0);
    const struct ca_make make = kit_make(k);
    assert_int_equal(ca_rotate(&make, &k->d), ERR_CONFIG);
    assert_true(str_find(buf_view(&k->d.text), STR("use photogate ca csr and ca import")) > 0);
    diag_free(&k->d);

    /* renewed with a new request; DER of one file, then the old certificate again */
    buf_clear(&csr);
    request(k, &csr);
    assert_int_equal(kit_count_files(k, "issuing-*.key"), 2);
    struct buf second = {0};
    corp_sign(&corp, buf_view(&csr), &none, &second);
    assert_int_equal(import(k, &second, false), 0);
    struct ca *renewed = kit_load(k);
    assert_string_not_equal(renewed->id.hex, ca->id.hex);
    assert_int_equal(import(k, &pem, false), 0);
    ca_unref(renewed);
    ca_unref(ca);
    corp_free(&corp);
    buf_free(&csr);
    buf_free(&pem);
    buf_free(&second);
}

static void test_import_refuses(void **state)
{
    struct kit *k = *state;
    struct corp corp;
    corp_new(&corp);
    struct buf csr = {0}, pem = {0};
    request(k, &csr);
#define REMEDY "; have it signed as photogate ca csr asks for, or take it as it is with --force\n"
    static const struct {
        struct whims whims;
        const char *why;
        bool forced; /* --force takes it */
    } row[] = {
        {{.drop = "nameConstraints"},
         "signed.pem: the issuing certificate has no critical name constraints, so whoever has its "
         "key can pose as any site" REMEDY,
         true},
        {{.drop = "nameConstraints",
          .add = {"nameConstraints", "permitted;DNS:graph.microsoft.com"}},
         "signed.pem: the issuing certificate has no critical name constraints, so whoever has its "
         "key can pose as any site" REMEDY "signed.pem: the issuing certificate's name constraints "
         "do not permit *.sharepoint.com" REMEDY,
         true},
        {{.drop = "nameConstraints",
          .add = {"nameConstraints", "critical,permitted;DNS:graph.microsoft.com"}},
         "signed.pem: the issuing certificate's name constraints do not exclude addresses "
         "(0.0.0.0/0 "
         "and ::/0)" REMEDY "signed.pem: the issuing certificate's name constraints do not permit "
         "*.sharepoint.com" REMEDY,
         true},
        {{.drop = "basicConstraints", .add = {"basicConstraints", "critical,CA:TRUE"}},
         "signed.pem: the issuing certificate has no pathlen:0, so whoever has its key can make "
         "CAs "
         "of his own" REMEDY,
         true},
        {{.drop = "keyUsage", .add = {"keyUsage", "critical,keyCertSign"}},
         "signed.pem: the issuing certificate may not sign revocation lists (keyUsage "
         "cRLSign)" REMEDY,
         true},
        {{.drop = "basicConstraints"},
         "signed.pem: the first certificate is not a CA's (basicConstraints CA:TRUE); have the "
         "request signed as a subordinate CA\n",
         false},
        {{.drop = "keyUsage", .add = {"keyUsage", "critical,digitalSignature"}},
         "signed.pem: the issuing certificate may not sign certificates (keyUsage keyCertSign is "
         "missing)\n",
         false},
        {{.drop = "extendedKeyUsage", .add = {"extendedKeyUsage", "clientAuth"}},
         "signed.pem: the issuing certificate is not for servers (extendedKeyUsage serverAuth is "
         "missing)\n",
         false},
    };
    for (size_t i = 0; i < ARRAY_LEN(row); i++) {
        buf_clear(&pem);
        corp_sign(&corp, buf_view(&csr), &row[i].whims, &pem);
        assert_int_equal(import(k, &pem, false), ERR_CONFIG);
        kit_check_faults(k, row[i].why);
        assert_int_not_equal(access(kit_file(k, CA_CHAIN), F_OK), 0);
        if (!row[i].forced) {
            assert_int_equal(import(k, &pem, true), ERR_CONFIG);
        } else {
            assert_int_equal(import(k, &pem, true), 0);
            assert_true(k->d.warnings > 0);
            assert_int_equal(unlink(kit_file(k, CA_CHAIN)), 0);
        }
        diag_free(&k->d);
    }
    corp_free(&corp);
    buf_free(&csr);
    buf_free(&pem);
}

static void test_import_bad_chains(void **state)
{
    struct kit *k = *state;
    struct corp corp, weak = {0};
    struct buf csr = {0}, pem = {0}, why = {0};
    corp_new(&corp);
    assert_int_equal(mkdir(k->ca, 0755), 0);
    buf_z(&pem, "x");
    assert_int_equal(import(k, &pem, false), ERR_CONFIG);
    kit_check_faults(k, "ca/private: there is no CA here; run photogate ca init --dir ca\n");
    request(k, &csr);
    assert_int_equal(import(k, &pem, false), ERR_CONFIG);
    kit_check_faults(k, "signed.pem: no certificates in it (PEM, DER and PKCS#7 are understood)\n");
    buf_clear(&pem);
    ossl_put_pem(&pem, corp.root);
    assert_int_equal(import(k, &pem, false), ERR_CONFIG);
    kit_check_faults(k, "signed.pem: none of its certificates is for a key in ca/private; run "
                        "photogate ca csr there and have that request signed\n");

    /* expired, and not yet */
    buf_clear(&pem);
    corp_sign(&corp, buf_view(&csr), &(struct whims){.from_day = -20, .to_day = -10}, &pem);
    assert_int_equal(import(k, &pem, true), ERR_CONFIG);
    assert_true(str_find(buf_view(&k->d.text), STR("expired on 2027-01-05;")) > 0);
    diag_free(&k->d);
    buf_clear(&pem);
    corp_sign(&corp, buf_view(&csr), &(struct whims){.from_day = 1, .to_day = 10}, &pem);
    assert_int_equal(import(k, &pem, true), ERR_CONFIG);
    assert_true(str_find(buf_view(&k->d.text), STR("is not valid before 2027-01-16;")) > 0);
    diag_free(&k->d);

    /* hashed with SHA-1 */
    buf_clear(&pem);
    corp_sign(&corp, buf_view(&csr), &(struct whims){.digest = EVP_sha1()}, &pem);
    assert_int_equal(import(k, &pem, true), ERR_CONFIG);
    assert_true(str_find(buf_view(&k->d.text), STR("is signed with SHA-1; it must be SHA-256 or "
                                                   "better")) > 0);
    diag_free(&k->d);

    /* a root with a weak key */
    weak.key = EVP_RSA_gen(1024);
    assert_int_equal(profile_root(weak.key, "Weak Root", KIT_NOW, 1000, &weak.root), 0);
    buf_clear(&pem);
    corp_sign(&weak, buf_view(&csr), &(struct whims){0}, &pem);
    assert_int_equal(import(k, &pem, true), ERR_CONFIG);
    kit_check_faults(k,
                     "signed.pem: \"Weak Root\" has RSA with 1024 bits; clients want RSA from 2048 "
                     "bits or ECDSA from 256\n");

    /* the chain is not there */
    buf_clear(&pem);
    corp_sign(&corp, buf_view(&csr), &(struct whims){0}, &pem);
    pem.len = (size_t)str_find(buf_view(&pem), STR("-----END")) + 26;
    assert_int_equal(import(k, &pem, true), ERR_CONFIG);
    kit_check_faults(k, "signed.pem: there is no self-signed root in the file; add the PKI's root "
                        "certificate\n");
    corp_free(&corp);
    corp_free(&weak);
    buf_free(&csr);
    buf_free(&pem);
    buf_free(&why);
}

/* One root signs for another node, which needs nothing else. */
static void test_issue(void **state)
{
    struct kit *k = *state;
    kit_init_ca(k);
    struct kit *node = kit_new();
    struct buf csr = {0}, pem = {0};
    struct names none = {0};
    struct ca_make make = kit_make(k);
    request(node, &csr);
    make.names = &none;
    make.public_url = "http://node2.corp.example:8080";
    assert_int_equal(ca_issue(&make, "node2", STR("garbage"), "n.csr", &pem, &k->d), ERR_CONFIG);
    kit_check_faults(k, "n.csr: not a certificate request (PEM or DER PKCS#10)\n");
    assert_int_equal(ca_issue(&make, "node2", buf_view(&csr), "n.csr", &pem, &k->d), 0);
    kit_check_faults(k, "");
    assert_int_equal(import(node, &pem, false), 0);
    struct ca *mine = kit_load(k), *theirs = kit_load(node);
    assert_int_equal(X509_cmp(mine->root, theirs->root), 0);
    assert_string_not_equal(mine->id.hex, theirs->id.hex);
    assert_string_equal(mine->above.hex, theirs->above.hex);
    assert_true(theirs->crl.len > 0);
    assert_true(ca_covers(theirs, STR("node2.corp.example")));
    assert_non_null(strstr(theirs->crl_url, "http://node2.corp.example:8080/crl/"));
    struct buf name = {0};
    ossl_put_name(&name, X509_get_subject_name(theirs->issuing));
    assert_true(str_starts(buf_view(&name), STR("photogate issuing CA (node2, 2027-01-15) ")));
    assert_int_not_equal(access(kit_file(node, CA_ROOT_KEY), F_OK), 0);
    ca_unref(mine);
    ca_unref(theirs);
    buf_free(&name);
    buf_free(&csr);
    buf_free(&pem);
    kit_free(node);
}

int main(void)
{
#define WITH_KIT(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)
    const struct CMUnitTest tests[] = {
        WITH_KIT(test_import),
        WITH_KIT(test_import_refuses),
        WITH_KIT(test_import_bad_chains),
        WITH_KIT(test_issue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
