/* SPDX-License-Identifier: Apache-2.0 */
/* Password files, the hashes in them, and the header that brings a login. */
#include "common/b64.h"
#include "common/err.h"
#include "proxy/auth.h"
#include "proxy/htpasswd.h"
#include "tests/unit/check.h"

#define PASSWORD       \
    "sesame, \xc3\xb6" \
    "ffne dich"

/* Of PASSWORD, by libxcrypt 4.4. */
#define BCRYPT  "$2y$05$abcdefghijklmnopqrstuucEJhk6AdusY5eRoiOmkRe5b2rdufPUq"
#define BCRYPTB "$2b$05$abcdefghijklmnopqrstuucEJhk6AdusY5eRoiOmkRe5b2rdufPUq"
#define YESCRYPT                       \
    "$y$j9T$k1kRcBrKwEKJRqP5DU8dh0$t/" \
    "z.CzIiaasSu69ErDVb0CBBQFIf6rhyvBKkQG0/5xC"
#define SHA256 "$5$rounds=1000$saltsalt$5.x92VAYhC8qfSzZ.ffpNOByZCAo3fWUueallf1WWHA"
#define SHA512       \
    "$6$saltsalt$W/" \
    "YcezYUvAuZUe08LaB88QlnSxNjV5CUlEsdwKdJ1LAksVh6TCRHkoWDp1sL4dvdZwI.sPxhALB1M5WznJJpB/"

static struct htpasswd *parse(const char *text)
{
    struct htpasswd *h = NULL;
    struct diag d = {0};
    assert_int_equal(htpasswd_parse(str_z(text), "users", &h, &d), 0);
    assert_int_equal(d.errors, 0);
    return h;
}

static void check_fault(const char *text, const char *expected)
{
    struct htpasswd *h = NULL;
    struct diag d = {0};
    assert_int_equal(htpasswd_parse(str_z(text), "users", &h, &d), ERR_CONFIG);
    if (strstr(buf_cstr(&d.text), expected) == NULL) {
        fail_msg("\"%s\" gave: %s", text, buf_cstr(&d.text));
    }
    diag_free(&d);
}

static void test_kinds_of_hashes(void **state)
{
    (void)state;
    static const char *const good[] = {BCRYPT, BCRYPTB, YESCRYPT, SHA256, SHA512};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct str hash = str_z(good[i]);
        assert_true(htpasswd_check(hash, STR(PASSWORD)));
        assert_false(htpasswd_check(hash, STR("Sesame, \xc3\xb6"
                                              "ffne dich")));
        assert_false(htpasswd_check(hash, STR("")));
        assert_false(htpasswd_check(hash, STR(PASSWORD "\0more")));
        assert_false(htpasswd_check(hash, hash));
    }
    assert_false(htpasswd_check(STR(""), STR("")));
    assert_false(htpasswd_check(STR("*0"), STR("")));
    assert_false(htpasswd_check(STR("$2y$05$"), STR("x")));
}

static void test_finds_users(void **state)
{
    (void)state;
    struct htpasswd *h = parse("\xef\xbb\xbf"
                               "# administrators\n"
                               "\n"
                               "zoe:" SHA256 "\r\n"
                               "alice@contoso.com:" BCRYPT "\n"
                               "M\xc3\xbcller with spaces:" YESCRYPT);
    struct str hash;
    assert_true(htpasswd_find(h, STR("zoe"), &hash));
    assert_true(str_eq(hash, STR(SHA256)));
    assert_true(htpasswd_find(h, STR("alice@contoso.com"), &hash));
    assert_true(str_eq(hash, STR(BCRYPT)));
    assert_true(htpasswd_find(h, STR("M\xc3\xbcller with spaces"), &hash));
    static const char *const nobody[] = {"Zoe", "alice", "", "# administrators", "zoe:", "zo"};
    for (size_t i = 0; i < ARRAY_LEN(nobody); i++) {
        hash = STR_NONE;
        assert_false(htpasswd_find(h, str_z(nobody[i]), &hash));
        assert_true(hash.len > 0); /* something to spend the time on */
    }
    htpasswd_free(h);
    h = parse("");
    assert_false(htpasswd_find(h, STR("zoe"), &hash));
    assert_false(htpasswd_check(hash, STR("anything")));
    htpasswd_free(h);
}

static void test_faults(void **state)
{
    (void)state;
    check_fault("a:$apr1$GR9UAmnb$FnbMzYnvPA3BFgdNciaVI0", "users:1:1: the hash is $apr1$");
    check_fault("# one\na:{SHA}EfatjsUqKYSrqv18O1FlA3hcIHI=", "users:2:1: the hash is unsalted");
    check_fault("a:iR05ajwefCQyg", "of no kind");
    check_fault("a:secret", "of no kind");
    check_fault("a:", "of no kind");
    check_fault("a:$1$saltsalt$YMWZPQLufbqSrdmw1vYqn1", "of no kind");
    check_fault("a", "not a line");
    check_fault(":" BCRYPT, "not a line");
    check_fault("a:" BCRYPT "\nb:" BCRYPT "\na:" SHA256, "users:3:1: user \"a\" is there twice");
    check_fault("a:$2y$05$abcdefghijklmnopqrstuucEJhk6AdusY5eRoiOmkRe5b2rdufPU", "cut off");
    check_fault("a:" BCRYPT " ", "cut off");
    check_fault("a:" SHA512 ":19000:0:99999:7:::", "cut off");
    check_fault("a:$6$saltsalt$", "cut off");
    check_fault("a:$2y$", "cut off");
}

static void check_basic(const char *value, const char *user, const char *password)
{
    struct buf text = {0};
    struct str got_user, got_password;
    bool good = auth_parse_basic(str_z(value), &text, &got_user, &got_password);
    assert_int_equal(good, user != NULL);
    if (good) {
        assert_true(str_eq(got_user, str_z(user)));
        assert_true(str_eq(got_password, str_z(password)));
    }
    buf_free(&text);
}

static void test_basic(void **state)
{
    (void)state;
    check_basic("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin", "open sesame"); /* RFC 7617, 2 */
    check_basic("Basic dGVzdDoxMjPCow==", "test", "123\xc2\xa3");                /* RFC 7617, 2.1 */
    check_basic("BASIC YTpi", "a", "b");
    check_basic("basic   YTpi  ", "a", "b");
    check_basic("Basic YTo=", "a", "");
    check_basic("Basic YTpiOmM=", "a", "b:c");
    check_basic("Basic OmI=", NULL, NULL);  /* nobody */
    check_basic("Basic YWI=", NULL, NULL);  /* no colon */
    check_basic("Basic YTpi=", NULL, NULL); /* base64 gone wrong */
    check_basic("Basic YTp", NULL, NULL);
    check_basic("Basic YT pi", NULL, NULL);
    check_basic("Basic YQA6Yg==", NULL, NULL); /* control characters: RFC 7617, 2 */
    check_basic("Basic YQo6Yg==", NULL, NULL);
    check_basic("Basic YTpiAA==", NULL, NULL);
    check_basic("Basic", NULL, NULL);
    check_basic("Basic ", NULL, NULL);
    check_basic("", NULL, NULL);
    check_basic("BasicYTpi", NULL, NULL);
    check_basic("Bearer YTpi", NULL, NULL);
    check_basic("NTLM TlRMTVNTUAABAAAA", NULL, NULL);
    check_basic("Negotiate YTpi", NULL, NULL);
}

static bool takes(size_t password_len)
{
    struct buf login = {0}, value = {0}, text = {0};
    struct str user, password;
    buf_z(&login, "a:");
    memset(buf_room(&login, password_len), 'x', password_len);
    login.len += password_len;
    buf_z(&value, "Basic ");
    b64_encode(&value, login.ptr, login.len, B64_STANDARD);
    bool good = auth_parse_basic(buf_view(&value), &text, &user, &password);
    assert_true(!good || password.len == password_len);
    buf_free(&login);
    buf_free(&value);
    buf_free(&text);
    return good;
}

static void test_basic_is_bounded(void **state)
{
    (void)state;
    assert_true(takes(1022));
    assert_false(takes(1023));
    assert_false(takes(1 << 20));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds_of_hashes),  cmocka_unit_test(test_finds_users),
        cmocka_unit_test(test_faults),           cmocka_unit_test(test_basic),
        cmocka_unit_test(test_basic_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
