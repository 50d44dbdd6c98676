/* SPDX-License-Identifier: Apache-2.0 */
/* Who is let through: names, networks, tokens and the exported file. */
#include "common/file.h"
#include "filters/admins.h"
#include "tests/unit/check.h"
#include "tests/unit/jwt.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define TENANT "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
#define OID    "22222222-2222-3333-4444-555555555555"
#define APP    "44444444-2222-3333-4444-555555555555"
#define ROLE   "62e90394-69f5-4237-9190-012177145e10"
#define NOW    2000000000
#define LATER  "\"exp\":2000000001"

static const char section[] = "[admins]\n"
                              "users = ['Admin@contoso.com', 'CORP\\anna']\n"
                              "oids = ['" OID "']\napps = ['" APP "']\nroles = ['" ROLE "']\n"
                              "networks = ['10.1.0.0/16', '2001:db8::/32']\n"
                              "tenant_id = '" TENANT "'\n";

static struct admins *build(const char *text, int dir, struct diag *d)
{
    struct toml_doc *doc;
    struct arena a = {0};
    struct filters_conf conf;
    struct admins *ad = NULL;
    filters_conf_defaults(&conf);
    conf.dir = dir;
    assert_int_equal(toml_parse(str_z(text), "proxy.toml", &doc, d), 0);
    struct schema_reader r = {.doc = doc, .arena = &a, .diag = d};
    int err = filters_conf_read(&conf, &r, NULL, NULL, toml_get(toml_root(doc), "admins"));
    toml_free(doc);
    if (err == 0) {
        err = admins_build(&ad, &conf, d);
    }
    assert_true((err != 0) == (d->errors > 0));
    arena_free(&a);
    return ad;
}

/* The entry that lets a request through, or "". */
static const char *entry_for(const struct admins *ad, const struct actor *who,
                             enum class_bearer host, const char *target,
                             const struct filter_field *field, size_t fields, struct arena *a)
{
    struct canon c;
    struct str entry = STR("");
    struct filter_request r = {.method = STR("PUT"),
                               .authority = STR("graph.microsoft.com"),
                               .target = str_z(target),
                               .field = field,
                               .fields = fields,
                               .now = NOW};
    canon_make(&c, &r, a);
    return admins_pass(ad, who, &c, host, &entry, a) ? arena_strz(a, entry) : "";
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *user, *ip, *entry;
    } rows[] = {
        {"admin@contoso.com", "", "users: admin@contoso.com"},
        {"ADMIN@CONTOSO.COM", "", "users: ADMIN@CONTOSO.COM"},
        {"corp\\Anna", "", "users: corp\\Anna"},
        {"admin@contoso.co", "", ""},
        {"admin@contoso.com.evil", "", ""},
        {"\xD0\xB0"
         "dmin@contoso.com",
         "", ""},
        {"", "", ""},
        {"", "10.1.2.3", "networks: 10.1.0.0/16"},
        {"", "::ffff:10.1.2.3", "networks: 10.1.0.0/16"},
        {"", "2001:db8::5", "networks: 2001:db8::/32"},
        {"", "10.2.0.1", ""},
    };
    struct diag d = {0};
    struct admins *ad = build(section, AT_FDCWD, &d);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena a = {0};
        struct actor who = {.user = str_z(rows[i].user)};
        who.has_ip = ip_parse(str_z(rows[i].ip), &who.ip);
        assert_string_equal(entry_for(ad, &who, BEARER_NO, "/x", NULL, 0, &a), rows[i].entry);
        arena_free(&a);
    }
    admins_free(ad);
}

#define CLAIMS(rest) "{\"tid\":\"" TENANT "\"," LATER rest "}"

static void test_tokens(void **state)
{
    (void)state;
    static const struct {
        const char *payload, *entry;
    } rows[] = {
        {CLAIMS(",\"scp\":\"x\",\"oid\":\"" OID "\""), "oids: " OID},
        {CLAIMS(",\"scp\":\"x\",\"upn\":\"admin@contoso.com\""), "users: admin@contoso.com"},
        {CLAIMS(",\"scp\":\"x\",\"upn\":\"\\u0430dmin@contoso.com\""), ""},
        {CLAIMS(",\"scp\":\"x\",\"unique_name\":\"admin@contoso.com\""), ""},
        {CLAIMS(",\"scp\":\"x\",\"preferred_username\":\"admin@contoso.com\""), ""},
        {CLAIMS(",\"scp\":\"x\",\"wids\":[\"x\",\"" ROLE "\"]"), "roles: " ROLE},
        {CLAIMS(",\"scp\":\"x\",\"wids\":[\"b79fbf4d-3ef9-4689-8143-76b194e85509\"]"), ""},
        {CLAIMS(",\"scp\":\"x\",\"wids\":\"" ROLE "\""), ""},
        {CLAIMS(",\"idtyp\":\"app\",\"appid\":\"" APP "\""), "apps: " APP},
        {CLAIMS(",\"azp\":\"" APP "\""), "apps: " APP},
        /* A user who signs in with an app of the list is still that user. */
        {CLAIMS(",\"scp\":\"x\",\"appid\":\"" APP "\""), ""},
        {CLAIMS(",\"idtyp\":\"user\",\"appid\":\"" APP "\""), ""},
        {CLAIMS(",\"idtyp\":\"app\",\"wids\":[\"" ROLE "\"]"), ""},
        {CLAIMS(""), ""},
        {"{\"tid\":\"ffffffff-bbbb-cccc-dddd-eeeeeeeeeeee\"," LATER ",\"oid\":\"" OID "\"}", ""},
        {"{" LATER ",\"oid\":\"" OID "\"}", ""},
        {"{\"tid\":\"" TENANT "\",\"oid\":\"" OID "\",\"exp\":2000000000}", ""},
        {"{\"tid\":\"" TENANT "\",\"oid\":\"" OID "\"}", ""},
        {"{\"tid\":\"" TENANT "\",\"oid\":\"" OID "\",\"exp\":\"2000000001\"}", ""},
        {CLAIMS(",\"oid\":\"x\",\"oid\":\"" OID "\""), ""},
        {"[1]", ""},
        {"not json", ""},
        {"", ""},
    };
    struct diag d = {0};
    const struct actor nobody = {.has_ip = false};
    struct admins *ad = build(section, AT_FDCWD, &d);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena a = {0};
        struct buf b = {0};
        buf_z(&b, "Bearer ");
        buf_str(&b, jwt(rows[i].payload, &a));
        struct filter_field f = {STR("Authorization"), buf_view(&b)};
        const char *entry = entry_for(ad, &nobody, BEARER_ONLY, "/x", &f, 1, &a);
        if (strcmp(entry, rows[i].entry) != 0) {
            fail_msg("row %zu: %s", i, entry);
        }
        buf_free(&b);
        arena_free(&a);
    }
    admins_free(ad);
}

/* When a token may count at all. TOKEN in a value stands for a good one. */
static void test_when(void **state)
{
    (void)state;
    static const struct {
        enum class_bearer host;
        const char *target;
        const char *field[3][2];
        bool counts;
    } rows[] = {
        {BEARER_ONLY, "/x", {{"Authorization", "Bearer TOKEN"}}, true},
        {BEARER_ONLY, "/x", {{"authorization", "  bearer   TOKEN "}}, true},
        {BEARER_ONLY, "/x", {{"Authorization", "Bearer TOKEN"}, {"Cookie", "a=b"}}, true},
        {BEARER_ALONE, "/x", {{"Authorization", "Bearer TOKEN"}}, true},
        {BEARER_ALONE, "/x", {{"Authorization", "Bearer TOKEN"}, {"Cookie", "a=b"}}, false},
        {BEARER_ALONE, "/x", {{"Authorization", "Bearer TOKEN"}, {"COOKIE", ""}}, false},
        {BEARER_NO, "/x", {{"Authorization", "Bearer TOKEN"}}, false},
        {BEARER_ONLY,
         "/x",
         {{"Authorization", "Bearer TOKEN"}, {"Authorization", "Bearer x"}},
         false},
        {BEARER_ONLY, "/x", {{"Authorization", "Basic TOKEN"}}, false},
        {BEARER_ONLY, "/x", {{"Authorization", "TOKEN"}}, false},
        {BEARER_ONLY, "/x", {{"Authorization", "Bearer"}}, false},
        {BEARER_ONLY, "/x", {{"Authorization", "Bearer TOKEN.x"}}, false},
        {BEARER_ONLY, "/x", {{"Authorization", "Bearer TOKEN TOKEN"}}, false},
        {BEARER_ONLY, "/x", {{"X-Authorization", "Bearer TOKEN"}}, false},
        {BEARER_ONLY, "/x", {{"Authorization", "Bearer TOKEN"}, {"X-SkypeToken", "t"}}, false},
        {BEARER_ONLY, "/x?access_token=t", {{"Authorization", "Bearer TOKEN"}}, false},
        {BEARER_ONLY, "/x?%41uthToken=t", {{"Authorization", "Bearer TOKEN"}}, false},
        {BEARER_ONLY, "/x?ConvertGetPost=true", {{"Authorization", "Bearer TOKEN"}}, false},
        {BEARER_ONLY, "/x?$select=id", {{"Authorization", "Bearer TOKEN"}}, true},
        {BEARER_ONLY,
         "/x",
         {{"Authorization", "Bearer TOKEN"},
          {"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"}},
         false},
        {BEARER_ONLY,
         "/x",
         {{"Authorization", "Bearer TOKEN"}, {"Content-Type", "image/jpeg"}},
         true},
    };
    struct diag d = {0};
    const struct actor nobody = {.has_ip = false};
    struct admins *ad = build(section, AT_FDCWD, &d);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena a = {0};
        struct str token = jwt(CLAIMS(",\"oid\":\"" OID "\""), &a);
        struct filter_field f[3];
        size_t fields = 0;
        for (; fields < 3 && rows[i].field[fields][0] != NULL; fields++) {
            struct str value = str_z(rows[i].field[fields][1]);
            struct buf b = {0};
            ptrdiff_t at;
            while ((at = str_find(value, STR("TOKEN"))) >= 0) {
                buf_str(&b, str_of(value.ptr, (size_t)at));
                buf_str(&b, token);
                value = str_skip(value, (size_t)at + 5);
            }
            buf_str(&b, value);
            f[fields] =
                (struct filter_field){str_z(rows[i].field[fields][0]), arena_str(&a, buf_view(&b))};
            buf_free(&b);
        }
        const char *entry = entry_for(ad, &nobody, rows[i].host, rows[i].target, f, fields, &a);
        if ((entry[0] != '\0') != rows[i].counts) {
            fail_msg("row %zu: %s", i, entry);
        }
        arena_free(&a);
    }
    admins_free(ad);
}

static void test_long_tokens(void **state)
{
    (void)state;
    struct arena a = {0};
    struct claims c;
    struct buf b = {0};
    buf_z(&b, "{\"wids\":[\"0\"");
    for (int i = 0; i < CLAIMS_VALUES; i++) {
        buf_z(&b, ",\"1\"");
    }
    buf_z(&b, "]}");
    assert_int_equal(claims_read(jwt(buf_cstr(&b), &a), &c, &a), 0);
    assert_int_equal(c.wids.count, 0);
    buf_clear(&b);
    while (b.len <= CLAIMS_TOKEN) {
        buf_z(&b, "aaaaaaaa");
    }
    assert_true(claims_read(buf_view(&b), &c, &a) < 0);
    buf_free(&b);
    arena_free(&a);
}

static void test_faults(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"[admins]\noids = ['x']", "proxy.toml:2:9: \"x\" is no object id; it looks like "
                                   "62e90394-69f5-4237-9190-012177145e10\n"},
        {"[admins]\nusers = ['\xC3\xBCnal@contoso.com']",
         "proxy.toml:2:10: \"\xC3\xBCnal@contoso.com\" is no user; write a login or UPN in ASCII, "
         "or list the oid\n"},
        {"[admins]\ntenant_id = '" TENANT "'\nroles = ['B79FBF4D-3ef9-4689-8143-76b194e85509']",
         "proxy.toml:3:10: this role is in every user's token and would let everybody through; "
         "remove it\n"},
        {"[admins]\ngroups = ['Photo admins']",
         "proxy.toml:2:11: groups need LDAP, which this build does not have; list users, oids or "
         "roles\n"},
        {"[admins]\noids = ['" OID "']", "[admins] oids, apps and roles need tenant_id: a token of "
                                         "another tenant must not count\n"},
        {"[admins]\ntenant_id = 'contoso'",
         "proxy.toml:2:13: \"contoso\" is no tenant id; the Entra admin center shows it\n"},
        {"[admins]\nfile = 'none.json'",
         "proxy.toml:2:8: cannot read none.json: No such file or directory\n"},
        {"[admins]\nnetworks = ['10.0.0.1/8']",
         "proxy.toml:2:13: \"10.0.0.1/8\" is no address or network; write 10.0.0.0/8, 192.0.2.7 or "
         "2001:db8::/32, with no bits set behind the prefix\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct diag d = {0};
        assert_null(build(rows[i][0], AT_FDCWD, &d));
        check_text(&d.text, rows[i][1]);
        diag_free(&d);
    }
}

static void test_file(void **state)
{
    (void)state;
    static const struct {
        const char *json, *fault;
    } rows[] = {
        {"{\"version\":1,\"tenant_id\":\"" TENANT "\",\"generated\":\"x\",\"admins\":[{\"upn\":"
         "\"Eve@contoso.com\",\"oid\":\"" OID "\",\"source\":\"role\"}],\"apps\":[{\"appid\":\"" APP
         "\",\"name\":\"x\"}]}",
         ""},
        {"{\"version\":2}", "admins.json: is not an export of version 1"},
        {"{\"version\":1,\"tenant_id\":\"ffffffff-bbbb-cccc-dddd-eeeeeeeeeeee\"}",
         "admins.json: is of another tenant than [admins] tenant_id"},
        {"{\"version\":1,", "admins.json:1:13: "},
        {"", "admins.json:1:0: "},
    };
    char dir[] = "/tmp/admins-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    int fd = open(dir, O_RDONLY | O_DIRECTORY);
    assert_true(fd >= 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct diag d = {0};
        assert_int_equal(file_replace(fd, "admins.json", str_z(rows[i].json), 0600), 0);
        struct admins *ad =
            build("[admins]\ntenant_id = '" TENANT "'\nfile = 'admins.json'\n", fd, &d);
        assert_true((ad != NULL) == (rows[i].fault[0] == '\0'));
        assert_true(str_starts(buf_view(&d.text), str_z(rows[i].fault)));
        if (ad != NULL) {
            struct arena a = {0};
            struct actor eve = {.user = STR("eve@contoso.com")};
            assert_string_equal(entry_for(ad, &eve, BEARER_NO, "/x", NULL, 0, &a),
                                "users: eve@contoso.com");
            arena_free(&a);
        }
        admins_free(ad);
        diag_free(&d);
    }
    assert_int_equal(unlinkat(fd, "admins.json", 0), 0);
    close(fd);
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),  cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_when),   cmocka_unit_test(test_long_tokens),
        cmocka_unit_test(test_faults), cmocka_unit_test(test_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
