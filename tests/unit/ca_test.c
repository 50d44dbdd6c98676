/* SPDX-License-Identifier: Apache-2.0 */
/* Making, renewing and loading CAs, and what is said of bad ones. */
#include "certs/ca.h"
#include "certs/cafiles.h"
#include "certs/camake.h"
#include "certs/cashow.h"
#include "certs/ossl.h"
#include "certs/profile.h"
#include "common/err.h"
#include "common/file.h"
#include "tests/unit/certs_kit.h"

#include <openssl/pem.h>

#include <sys/file.h>

#define YEAR (365 * PROFILE_DAY)

/* --- helpers --- */

static void put_file(struct kit *k, const char *name, struct str data, mode_t mode)
{
    assert_int_equal(file_replace(AT_FDCWD, kit_file(k, name), data, mode), 0);
}

/* The path of the issuing key, below the kit's directory. */
static const char *key_name(const struct ca *ca)
{
    static char name[128];
    snprintf(name, sizeof(name), "private/issuing-%s.key", ca->id.hex);
    return name;
}

/* --- init --- */

static void test_init(void **state)
{
    struct kit *k = *state;
    const mode_t before = umask(077); /* the modes must not depend on it */
    kit_init_ca(k);
    umask(before);
    kit_check_mode(k, "", 0755);
    kit_check_mode(k, "public", 0755);
    kit_check_mode(k, "private", 0700);
    kit_check_mode(k, "private/root.key", 0600);
    kit_check_mode(k, "public/root.pem", 0644);
    kit_check_mode(k, "public/chain.pem", 0644);
    struct ca *ca = kit_load(k);
    kit_check_mode(k, key_name(ca), 0600);
    assert_int_equal(kit_count_files(k, "*"),
                     9); /* three directories, five files, the test's own */
    assert_int_equal(kit_count_files(k, "*.unfinished"), 0);

    assert_int_equal(sk_X509_num(ca->chain), 1);
    assert_true(X509_cmp(sk_X509_value(ca->chain, 0), ca->issuing) == 0);
    assert_int_equal(X509_get_pathlen(ca->issuing), 0);
    assert_int_equal(X509_get_pathlen(ca->root), 1);
    assert_int_equal(X509_get_key_usage(ca->issuing), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
    assert_int_equal(X509_get_extended_key_usage(ca->issuing), XKU_SSL_SERVER);
    assert_int_equal(ca->not_before, KIT_NOW - 2 * PROFILE_DAY);
    assert_int_equal(ca->not_after, KIT_NOW + 730 * PROFILE_DAY);
    assert_int_equal(ossl_time(X509_get0_notAfter(ca->root)), KIT_NOW + 3650 * PROFILE_DAY);
    assert_true(ca->limits.critical && ca->limits.dns_limited && ca->limits.ip_limited &&
                ca->limits.email_limited && ca->limits.uri_limited);
    assert_int_equal(ca->limits.dns.count, 3);
    assert_string_equal(ca->limits.dns.item[1], "proxy.corp.example");

    struct buf url = {0};
    ca_put_crl_url(&url, "http://proxy.corp.example:8080", &ca->above);
    assert_string_equal(ca->crl_url, buf_cstr(&url));
    assert_true(ca->crl.len > 0);
    assert_int_equal(ca->crl_info.revoked, 0);
    assert_int_equal(ca->crl_info.this_update, KIT_NOW - PROFILE_DAY);
    assert_int_equal(ca->crl_info.next_update, KIT_NOW + 365 * PROFILE_DAY);
    EVP_PKEY *key = NULL;
    assert_int_equal(ca_load_key(AT_FDCWD, k->ca, ca, &key, &k->d), 0);
    EVP_PKEY_free(key);
    buf_free(&url);
    ca_unref(ca);
}

static void test_init_refuses(void **state)
{
    struct kit *k = *state;
    struct ca_make make = kit_make(k);
    struct names none = {0};
    make.names = &none;
    assert_int_equal(ca_init(&make, &k->d), ERR_CONFIG);
    kit_check_faults(k, "no host names: a CA is made for the hosts it is needed for and no others; "
                        "name them with --name HOST\n");
    make = kit_make(k);
    make.public_url = "https://proxy.corp.example/";
    assert_int_equal(ca_init(&make, &k->d), ERR_CONFIG);
    kit_check_faults(k, "public URL \"https://proxy.corp.example/\": it must start with http:// "
                        "(clients fetch revocation lists without TLS)\n");
    assert_int_equal(kit_count_files(k, "*"), 1);

    kit_init_ca(k);
    make = kit_make(k);
    assert_int_equal(ca_init(&make, &k->d), ERR_CONFIG);
    kit_check_faults(k, "ca: there is a CA already, and it is never overwritten; photogate ca show "
                        "describes it, photogate ca rotate renews its issuing CA, and another "
                        "directory takes a new one\n");
    assert_int_equal(unlink(kit_file(k, "public/chain.pem")), 0);
    assert_int_equal(ca_init(&make, &k->d), ERR_CONFIG);
    kit_check_faults(k, "ca: it is not empty (is a request of photogate ca csr waiting for its "
                        "certificate?); name a directory that is new or empty\n");
    assert_int_equal(access(kit_file(k, "private/root.key"), F_OK), 0);
}

/* An empty directory is taken; what a crash left behind is not mistaken for a CA, and is cleared.
 */
static void test_init_half_made(void **state)
{
    struct kit *k = *state;
    char unfinished[CA_PATH_MAX];
    struct buf name = {0};
    int lock = -1;
    assert_int_equal(mkdir(k->ca, 0700), 0);
    assert_int_equal(cafiles_begin(k->ca, unfinished, &lock, &k->d), 0);
    buf_printf(&name, "%s/private/root.key", unfinished);
    assert_int_equal(file_replace(AT_FDCWD, buf_cstr(&name), STR("half"), 0600), 0);
    struct stat st;
    assert_int_equal(stat(unfinished, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);

    /* while it is being made */
    const struct ca_make make = kit_make(k);
    assert_int_equal(ca_init(&make, &k->d), ERR_CONFIG);
    kit_check_faults(k, "ca: another photogate ca init is making it right now\n");
    kit_load_fails(k, KIT_NOW,
                   "ca/public/chain.pem: there is no CA here; run photogate ca init "
                   "--dir ca\n");
    /* the maker was killed */
    close(lock);
    kit_init_ca(k);
    assert_int_equal(kit_count_files(k, "*.unfinished"), 0);
    assert_int_not_equal(access(buf_cstr(&name), F_OK), 0);
    kit_check_mode(k, "", 0755);
    buf_free(&name);
}

static void test_init_cannot_write(void **state)
{
    struct kit *k = *state;
    struct ca_make make = kit_make(k);
    char path[128];
    snprintf(path, sizeof(path), "%s/file/ca", k->dir);
    char file[128];
    snprintf(file, sizeof(file), "%s/file", k->dir);
    assert_int_equal(file_replace(AT_FDCWD, file, STR("x"), 0644), 0);
    make.dir = path;
    assert_int_equal(ca_init(&make, &k->d), ERR_CONFIG);
    kit_check_faults(k, "file/ca: cannot put a CA there: Not a directory\n");
}

/* --- load --- */

static void test_load_faults(void **state)
{
    struct kit *k = *state;
    kit_load_fails(k, KIT_NOW,
                   "ca/public/chain.pem: there is no CA here; run photogate ca init "
                   "--dir ca\n");
    kit_init_ca(k);
    struct ca *ca = kit_load(k);
    struct buf subject = {0}, why = {0};
    ossl_put_name(&subject, X509_get_subject_name(ca->issuing));

    buf_printf(&why,
               "ca/public/chain.pem: \"%s\" expired on 2029-01-14; run photogate ca rotate, or ca "
               "csr and ca import\n",
               buf_cstr(&subject));
    kit_load_fails(k, KIT_NOW + 3 * YEAR, buf_cstr(&why));
    buf_clear(&why);
    buf_printf(
        &why,
        "ca/public/chain.pem: \"%s\" is not valid before 2027-01-13; is this machine's clock "
        "right?\n",
        buf_cstr(&subject));
    kit_load_fails(k, KIT_NOW - 30 * PROFILE_DAY, buf_cstr(&why));

    /* expires soon: a warning each for the CA and the list */
    struct ca *late = NULL;
    assert_int_equal(ca_load(AT_FDCWD, k->ca, KIT_NOW + 720 * PROFILE_DAY, &late, &k->d), 0);
    buf_clear(&why);
    buf_printf(&why,
               "ca/public/chain.pem: warning: \"%s\" expires on 2029-01-14, in 10 days; run "
               "photogate ca rotate, or ca csr and ca import\n"
               "ca/public/%s.crl: warning: the revocation list expired on 2028-01-15, and Windows "
               "clients then refuse every site; run photogate ca crl\n",
               buf_cstr(&subject), ca->above.hex);
    kit_check_faults(k, buf_cstr(&why));
    ca_unref(late);

    struct buf pem = {0};
    ossl_put_pem(&pem, ca->issuing);
    put_file(k, "public/chain.pem", buf_view(&pem), 0644);
    kit_load_fails(k, KIT_NOW,
                   "ca/public/chain.pem: there is no self-signed root in the file; add "
                   "the PKI's root certificate\n");
    buf_clear(&pem);
    EVP_PKEY *key = NULL;
    X509 *other = NULL; /* a root that signed nothing here */
    assert_int_equal(key_new(&key), 0);
    assert_int_equal(profile_root(key, "Another Root", KIT_NOW, 1000, &other), 0);
    ossl_put_pem(&pem, ca->issuing);
    ossl_put_pem(&pem, other);
    put_file(k, "public/chain.pem", buf_view(&pem), 0644);
    kit_load_fails(k, KIT_NOW,
                   "ca/public/chain.pem: the issuing certificate does not verify: "
                   "unable to get local issuer certificate\n");
    put_file(k, "public/chain.pem", STR("-----BEGIN CERTIFICATE-----\nMII\n"), 0644);
    kit_load_fails(k, KIT_NOW, "ca/public/chain.pem: not a list of at most 10 PEM certificates\n");
    put_file(k, "public/chain.pem", STR(""), 0644);
    kit_load_fails(k, KIT_NOW, "ca/public/chain.pem: not a list of at most 10 PEM certificates\n");
    X509_free(other);
    EVP_PKEY_free(key);
    buf_free(&pem);
    buf_free(&why);
    buf_free(&subject);
    ca_unref(ca);
}

static void check_key_fails(struct kit *k, const struct ca *ca, const char *format)
{
    EVP_PKEY *key = NULL;
    struct buf why = {0};
    assert_int_equal(ca_load_key(AT_FDCWD, k->ca, ca, &key, &k->d), ERR_CONFIG);
    assert_null(key);
    buf_printf(&why, "ca/%s: %s\n", key_name(ca), format);
    kit_check_faults(k, buf_cstr(&why));
    buf_free(&why);
}

static void test_key_faults(void **state)
{
    struct kit *k = *state;
    kit_init_ca(k);
    struct ca *ca = kit_load(k);
    EVP_PKEY *key = NULL;
    const char *name = key_name(ca);

    assert_int_equal(chmod(kit_file(k, name), 0604), 0);
    check_key_fails(k, ca,
                    "everybody on this machine can use the private key (mode 0604); chmod 600 "
                    "it and, if others had an account, make a new CA");
    assert_int_equal(chmod(kit_file(k, name), 0640), 0);
    assert_int_equal(ca_load_key(AT_FDCWD, k->ca, ca, &key, &k->d), 0);
    EVP_PKEY_free(key);
    assert_int_equal(k->d.warnings, 1);
    diag_free(&k->d);

    assert_int_equal(key_new(&key), 0);
    assert_int_equal(key_write(AT_FDCWD, kit_file(k, name), key), 0);
    struct buf why = {0};
    buf_printf(&why, "the key does not match the issuing certificate in %s/public/chain.pem",
               k->ca);
    EVP_PKEY *none = NULL;
    assert_int_equal(ca_load_key(AT_FDCWD, k->ca, ca, &none, &k->d), ERR_CONFIG);
    assert_true(str_find(buf_view(&k->d.text), buf_view(&why)) > 0);
    diag_free(&k->d);
    buf_free(&why);

    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PKCS8PrivateKey(bio, key, EVP_aes_128_cbc(), "secret", 6, NULL, NULL);
    char *at;
    const long len = BIO_get_mem_data(bio, &at);
    put_file(k, name, str_of(at, (size_t)len), 0600);
    BIO_free(bio);
    EVP_PKEY_free(key);
    check_key_fails(k, ca,
                    "the private key is encrypted; photogate starts without anybody at the "
                    "keyboard and needs it plain, protected by the file's mode");
    put_file(k, name, STR("nothing\n"), 0600);
    check_key_fails(k, ca, "not a PEM private key (unsupported)");
    assert_int_equal(unlink(kit_file(k, name)), 0);
    check_key_fails(k, ca, "cannot read the private key: No such file or directory");
    ca_unref(ca);
}

static void test_covers(void **state)
{
    struct kit *k = *state;
    kit_init_ca(k);
    struct ca *ca = kit_load(k);
    assert_true(ca_covers(ca, STR("graph.microsoft.com")));
    assert_true(ca_covers(ca, STR("*.sharepoint.com")));
    assert_false(ca_covers(ca, STR("outlook.office.com")));
    assert_false(ca_covers(ca, STR("*.microsoft.com")));
    struct names hosts = {0};
    assert_int_equal(names_add(&hosts, STR("graph.microsoft.com")), 0);
    assert_int_equal(ca_check_hosts(ca, &hosts, DIAG_NOWHERE, &k->d), 0);
    assert_int_equal(names_add(&hosts, STR("outlook.office.com")), 0);
    assert_int_equal(ca_check_hosts(ca, &hosts, (struct diag_at){"proxy.toml", 12, 3}, &k->d),
                     ERR_CONFIG);
    kit_check_faults(k,
                     "proxy.toml:12:3: outlook.office.com is outside the CA's constraints; run "
                     "photogate ca rotate (or ca csr and ca import), or take it off the inspected "
                     "hosts\n");
    names_free(&hosts);
    struct ca *other = ca_ref(ca);
    ca_unref(ca);
    assert_true(ca_covers(other, STR("a.sharepoint.com")));
    ca_unref(other);
}

static void test_url(void **state)
{
    (void)state;
    static const struct {
        const char *url, *host, *wrong;
    } row[] = {
        {"http://Proxy.Corp.example:8080", "proxy.corp.example", NULL},
        {"http://proxy.corp.example/gate/", "proxy.corp.example", NULL},
        {"http://10.0.0.1:8080", "", NULL},
        {"http://[2001:db8::1]:8080/", "", NULL},
        {"http://[2001:db8::1]", "", NULL},
        {"http://proxy:8080", "", NULL},
        {"ftp://proxy", "",
         "it must start with http:// (clients fetch revocation lists without TLS)"},
        {"http://", "", "its host is neither a DNS name nor an address"},
        {"http://a_b.c", "", "its host is neither a DNS name nor an address"},
        {"http://a.b:0", "", "its port is no number from 1 to 65535"},
        {"http://a.b:99999", "", "its port is no number from 1 to 65535"},
        {"http://[::1", "", "its port is no number from 1 to 65535"},
        {"http://[zz]", "", "its host is no address"},
        {"http://a.b/?x", "", "it has a character that does not belong there"},
        {"http://u@a.b/", "", "it has a character that does not belong there"},
        {"http://a.b/x y", "", "it has a character that does not belong there"},
    };
    char host[NAME_MAX_LEN + 1];
    for (size_t i = 0; i < ARRAY_LEN(row); i++) {
        const char *wrong = ca_check_url(row[i].url, host);
        if (row[i].wrong == NULL) {
            assert_null(wrong);
        } else {
            assert_non_null(wrong);
            assert_string_equal(wrong, row[i].wrong);
        }
        if (row[i].wrong == NULL) {
            assert_string_equal(host, row[i].host);
        }
    }
    struct buf b = {0};
    struct key_id id = {.hex = "00ff"};
    ca_put_crl_url(&b, "http://a.b:80/x//", &id);
    check_text(&b, "http://a.b:80/x/crl/00ff.crl");
    buf_free(&b);
}

/* --- rotate --- */

static void test_rotate(void **state)
{
    struct kit *k = *state;
    kit_init_ca(k);
    struct ca *first = kit_load(k);
    struct names none = {0};
    struct ca_make make = kit_make(k);
    make.names = &none;
    make.public_url = NULL;
    make.now = KIT_NOW + 3 * YEAR; /* the issuing CA has expired by then */
    assert_int_equal(ca_rotate(&make, &k->d), 0);
    struct ca *second = NULL;
    assert_int_equal(ca_load(AT_FDCWD, k->ca, make.now, &second, &k->d), 0);
    kit_check_faults(k, "");
    assert_int_equal(X509_cmp(first->root, second->root), 0);
    assert_string_not_equal(first->id.hex, second->id.hex);
    assert_int_not_equal(X509_NAME_cmp(X509_get_subject_name(first->issuing),
                                       X509_get_subject_name(second->issuing)),
                         0);
    assert_int_equal(second->limits.dns.count, 3);
    assert_true(ca_covers(second, STR("*.sharepoint.com")));
    assert_true(ca_covers(second, STR("proxy.corp.example")));
    assert_string_equal(first->crl_url, second->crl_url);
    assert_int_equal(second->crl_info.revoked, 0);
    assert_true(second->crl_info.this_update > first->crl_info.this_update);
    /* the last key stays for a proxy that has not reloaded; the certificate for audits */
    EVP_PKEY *key = NULL;
    assert_int_equal(ca_load_key(AT_FDCWD, k->ca, first, &key, &k->d), 0);
    EVP_PKEY_free(key);
    assert_int_equal(kit_count_files(k, "issuing-*.key"), 2);
    assert_int_equal(access(ca_old_path(k->file, k->ca, &first->id), F_OK), 0);

    /* with other names; the next but one key goes */
    assert_int_equal(names_add(&none, STR("outlook.office.com")), 0);
    assert_int_equal(ca_rotate(&make, &k->d), 0);
    struct ca *third = NULL;
    assert_int_equal(ca_load(AT_FDCWD, k->ca, make.now, &third, &k->d), 0);
    assert_false(ca_covers(third, STR("graph.microsoft.com")));
    assert_true(ca_covers(third, STR("outlook.office.com")));
    assert_true(ca_covers(third, STR("proxy.corp.example")));
    assert_int_equal(kit_count_files(k, "issuing-*.key"), 2);
    assert_int_not_equal(access(ca_key_path(k->file, k->ca, &first->id), F_OK), 0);

    /* stolen: revoked and gone at once, and on every later list */
    make.revoke = true;
    assert_int_equal(ca_rotate(&make, &k->d), 0);
    make.revoke = false;
    assert_int_equal(ca_renew_crl(&make, &k->d), 0);
    struct ca *fourth = NULL;
    assert_int_equal(ca_load(AT_FDCWD, k->ca, make.now, &fourth, &k->d), 0);
    assert_int_equal(fourth->crl_info.revoked, 1);
    assert_int_not_equal(access(ca_key_path(k->file, k->ca, &third->id), F_OK), 0);
    assert_int_equal(kit_count_files(k, "issuing-*.key"), 1);
    kit_check_faults(k, "");

    /* the root's key in a safe */
    char safe[128];
    snprintf(safe, sizeof(safe), "%s/safe.key", k->dir);
    assert_int_equal(rename(kit_file(k, "private/root.key"), safe), 0);
    assert_int_equal(ca_rotate(&make, &k->d), ERR_CONFIG);
    kit_check_faults(k,
                     "ca/private/root.key: the root key is not there; bring it back for this, or "
                     "say where it is with --root-key FILE (a CA that another PKI signed has none: "
                     "use photogate ca csr and ca import)\n");
    assert_int_equal(kit_count_files(k, "issuing-*.key"), 1);
    make.root_key = safe;
    assert_int_equal(ca_rotate(&make, &k->d), 0);
    make.root_key = ca_key_path(k->file, k->ca, &fourth->id);
    assert_int_equal(ca_rotate(&make, &k->d), ERR_CONFIG);
    assert_true(str_find(buf_view(&k->d.text), STR("it is not the key of the root in")) > 0);
    diag_free(&k->d);

    /* on a stick whose file system has no modes */
    make.root_key = safe;
    assert_int_equal(chmod(safe, 0755), 0);
    assert_int_equal(ca_rotate(&make, &k->d), 0);
    kit_check_faults(k,
                     "safe.key: warning: everybody on this machine can read the private key there "
                     "(mode 0755)\n");

    int lock;
    assert_int_equal(cafiles_lock(k->ca, &lock, &k->d), 0);
    assert_int_equal(ca_rotate(&make, &k->d), ERR_CONFIG);
    kit_check_faults(k, "ca: another photogate ca command is changing it right now\n");
    close(lock);
    names_free(&none);
    ca_unref(first);
    ca_unref(second);
    ca_unref(third);
    ca_unref(fourth);
}

/* A last list that cannot be read is not replaced by one without its entries. */
static void test_crl_broken(void **state)
{
    struct kit *k = *state;
    kit_init_ca(k);
    struct ca *ca = kit_load(k);
    const struct ca_make make = kit_make(k);
    char name[80];
    snprintf(name, sizeof(name), "public/%s.crl", ca->above.hex);
    put_file(k, name, STR("x"), 0644);
    assert_int_equal(ca_renew_crl(&make, &k->d), ERR_CONFIG);
    struct buf why = {0};
    buf_printf(&why,
               "ca/%s: cannot go on from the last revocation list: syntax error; restore it, or "
               "remove it if nothing was ever revoked\n",
               name);
    kit_check_faults(k, buf_cstr(&why));
    struct ca *other = NULL;
    assert_int_equal(ca_load(AT_FDCWD, k->ca, KIT_NOW, &other, &k->d), 0);
    assert_int_equal(other->crl.len, 0);
    buf_clear(&why);
    buf_printf(&why, "ca/%s: warning: not used: syntax error; run photogate ca crl\n", name);
    kit_check_faults(k, buf_cstr(&why));
    assert_int_equal(unlink(kit_file(k, name)), 0);
    assert_int_equal(ca_renew_crl(&make, &k->d), 0);
    ca_unref(other);
    other = kit_load(k);
    assert_true(other->crl.len > 0);
    ca_unref(other);
    ca_unref(ca);
    buf_free(&why);
}

/* --- show --- */

static void test_show(void **state)
{
    struct kit *k = *state;
    struct buf out = {0};
    assert_int_equal(cashow(k->ca, KIT_NOW, CASHOW_TEXT, &out, &k->d), ERR_CONFIG);
    assert_int_equal(out.len, 0);
    diag_free(&k->d);
    kit_init_ca(k);
    assert_int_equal(cashow(k->ca, KIT_NOW, CASHOW_TEXT, &out, &k->d), 0);
    assert_true(str_find(buf_view(&out), STR("valid 2027-01-13 to 2029-01-14, 730 days left")) > 0);
    assert_true(str_find(buf_view(&out), STR("addresses: no; e-mail: no; URIs: no")) > 0);
    buf_clear(&out);
    assert_int_equal(cashow(k->ca, KIT_NOW + 3 * YEAR, CASHOW_JSON, &out, &k->d), ERR_CONFIG);
    assert_true(str_find(buf_view(&out), STR("\"permitted\":[\"graph.microsoft.com\",")) > 0);
    assert_true(str_find(buf_view(&out), STR("\"usable\":false,\"faults\":[\"")) > 0);
    assert_true(str_find(buf_view(&out), STR("\"days_left\":-365,")) > 0);
    buf_free(&out);
}

int main(void)
{
#define WITH_KIT(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)
    const struct CMUnitTest tests[] = {
        WITH_KIT(test_init),           WITH_KIT(test_init_refuses),
        WITH_KIT(test_init_half_made), WITH_KIT(test_init_cannot_write),
        WITH_KIT(test_load_faults),    WITH_KIT(test_key_faults),
        WITH_KIT(test_covers),         WITH_KIT(test_url),
        WITH_KIT(test_rotate),         WITH_KIT(test_crl_broken),
        WITH_KIT(test_show),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
