/* SPDX-License-Identifier: Apache-2.0 */
/* What the services answer: forms seen live, and forms that nobody should be able to make use of.
 */
#include "admin/answer.h"
#include "common/err.h"
#include "tests/unit/check.h"

#include <stdlib.h>

static void says(const char *body, const char *wanted)
{
    struct buf out = {0};
    answer_error_text(str_z(body), &out);
    assert_string_equal(buf_cstr(&out), wanted);
    buf_free(&out);
}

static void code_is(const char *body, const char *wanted)
{
    char code[64];
    answer_error_code(str_z(body), code, sizeof(code));
    assert_string_equal(code, wanted);
}

#define NOT_FOUND                                                                                \
    "{\"error\":{\"code\":\"NotFound\",\"message\":\"Error executing cmdlet\",\"details\":["     \
    "{\"code\":\"Context\",\"target\":\"\",\"message\":\"Ex6F9304|Microsoft.Exchange."           \
    "Configuration.Tasks.ManagementObjectNotFoundException|The operation couldn't be performed " \
    "because object 'x' couldn't be found on 'DC1'.\"}],\"innererror\":{\"message\":\"Error\"}}}"

static void test_errors(void **state)
{
    (void)state;
    says(NOT_FOUND, "The operation couldn't be performed because object 'x' couldn't be found on "
                    "'DC1'.");
    code_is(NOT_FOUND, "ManagementObjectNotFoundException");
    says("{\"error\":{\"code\":\"BadRequest\",\"message\":\"Invalid Operation\",\"innerError\":{"
         "\"internalException\":{\"message\":\"Cannot convert\\nvalue\"}}}}",
         "Cannot convert value");
    says("{\"error\":{\"code\":\"Unauthorized\",\"message\":\"User is not allowed to call "
         "Get-Mailbox\",\"innererror\":{}}}",
         "User is not allowed to call Get-Mailbox");
    says("{\"error\":\"invalid_client\",\"error_description\":\"AADSTS7000215: wrong\"}",
         "AADSTS7000215: wrong");
    code_is("{\"error\":\"authorization_pending\"}", "authorization_pending");
    says("plain \x1b[31mtext\x7f", "plain [31mtext");
    struct buf out = {0};
    char nul[64] = {0};
    answer_error_text(str_of(nul, sizeof(nul)), &out);
    assert_int_equal(out.len, 0);
    buf_free(&out);
}

static void test_pages(void **state)
{
    (void)state;
    struct answer_page p;
    assert_int_equal(answer_page(STR("{\"value\":[{\"A@odata.type\":\"#Guid\",\"A\":1}],"
                                     "\"@odata.nextLink\":\"https://h/x\",\"@adminapi.warnings\":"
                                     "[\"w\"]}"),
                                 &p),
                     0);
    assert_int_equal(json_array_size(p.rows), 1);
    assert_string_equal(buf_cstr(&p.next), "https://h/x");
    assert_string_equal(buf_cstr(&p.warning), "w");
    assert_int_equal(p.error.len, 0);
    answer_page_free(&p);
    assert_int_equal(answer_page(STR("{\"value\":[],\"@adminapi.errors\":[{\"code\":\"x\"}]}"), &p),
                     0);
    assert_true(p.error.len > 0);
    answer_page_free(&p);
    assert_int_equal(answer_page(STR_NONE, &p), 0);
    answer_page_free(&p);
    static const char *const bad[] = {"{}",
                                      "{\"value\":{}}",
                                      "[]",
                                      "{\"value\":[1]}",
                                      "{\"value\":[]",
                                      "{\"value\":[],\"value\":[]}",
                                      "{\"value\":[],\"@adminapi.errors\":{}}"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(answer_page(str_z(bad[i]), &p), ERR_PROTOCOL);
    }
}

static void link_gives(const char *link, const char *wanted)
{
    struct str path;
    bool good = answer_link_path(str_z(link), STR("outlook.office365.com"), &path);
    assert_int_equal(good, wanted != NULL);
    if (good) {
        assert_true(str_eq(path, str_z(wanted)));
    }
}

static void test_links_stay_at_the_service(void **state)
{
    (void)state;
    link_gives("https://outlook.office365.com/a?b=c", "/a?b=c");
    link_gives("https://OUTLOOK.office365.com:446/a", "/a");
    link_gives("https://by3pr01.prod.outlook.com:446/a", "/a");
    link_gives("https://outlook.office.com/a", "/a");
    link_gives("http://outlook.office365.com/a", NULL);
    link_gives("https://evil.example/a", NULL);
    link_gives("https://evil.example\\@outlook.office365.com/a", NULL);
    link_gives("https://u@outlook.office365.com/a", NULL);
    link_gives("https://outlook.com.evil.example/a", NULL);
    link_gives("https://eviloutlook.com/a", NULL);
    link_gives("https://outlook.office365.com?x/a", NULL);
    link_gives("https://outlook.office365.com", NULL);
    link_gives("https://outlook.office365.com/a\r\nX: y", NULL);
    struct str path;
    assert_false(
        answer_link_path(STR("https://x.outlook.com/a"), STR("graph.microsoft.com"), &path));
}

static void settings_are(const char *text, const char *wanted)
{
    json_t *raw = answer_json(str_z(text)), *got = answer_photo_settings(raw);
    assert_int_equal(got != NULL, wanted != NULL);
    if (got != NULL) {
        char *shown = json_dumps(got, JSON_COMPACT | JSON_SORT_KEYS);
        assert_string_equal(shown, wanted);
        free(shown);
    }
    json_decref(got);
    json_decref(raw);
}

static void test_photo_settings(void **state)
{
    (void)state;
    const char *const nobody = "{\"allowedRoles\":[],\"source\":null}";
    settings_are("{\"source\":null,\"allowedRoles\":[]}", nobody);
    settings_are("{\"source\":\"\",\"allowedRoles\":{}}", nobody);
    settings_are("{\"source\":null}", nobody);
    settings_are("{\"allowedRoles\":null}", nobody);
    settings_are("{\"source\":\"cloud\",\"allowedRoles\":[\" FE\",\"62\"]}",
                 "{\"allowedRoles\":[\"62\",\"fe\"],\"source\":\"cloud\"}");
    settings_are("{}", NULL);
    settings_are("{\"error\":{}}", NULL);
    settings_are("[]", NULL);
    settings_are("{\"source\":1,\"allowedRoles\":[]}", NULL);
    settings_are("{\"source\":\"cloud\",\"allowedRoles\":[1]}", NULL);
    settings_are("{\"source\":\"cloud\",\"allowedRoles\":{\"a\":1}}", NULL);
}

static void test_tokens(void **state)
{
    (void)state;
    struct answer_token t;
    assert_int_equal(answer_token(STR("{\"access_token\":\"a.b.c\",\"expires_in\":3599}"), &t), 0);
    assert_int_equal(t.life_s, 3599);
    answer_token_free(&t);
    assert_int_equal(answer_token(STR("{\"access_token\":\"x\",\"expires_in\":\"86399\"}"), &t), 0);
    assert_int_equal(t.life_s, 86399);
    answer_token_free(&t);
    assert_int_not_equal(answer_token(STR("{\"access_token\":\"x\"}"), &t), 0);
    assert_int_not_equal(answer_token(STR("{\"access_token\":\"\",\"expires_in\":1}"), &t), 0);
    assert_int_not_equal(
        answer_token(STR("{\"access_token\":\"x\\r\\nA: b\",\"expires_in\":1}"), &t), 0);
    json_t *claims = answer_claims(STR("e30.eyJ0aWQiOiJ4In0.s"));
    assert_string_equal(json_string_value(json_object_get(claims, "tid")), "x");
    json_decref(claims);
    assert_null(answer_claims(STR("opaque")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_links_stay_at_the_service),
        cmocka_unit_test(test_photo_settings),
        cmocka_unit_test(test_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
