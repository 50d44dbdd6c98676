/* SPDX-License-Identifier: Apache-2.0 */
/* Verdicts on whole requests: by table against the embedded packs, then with
 * administrators. */
#include "filters/decide.h"
#include "filters/embedded.h"
#include "filters/vectors.h"
#include "tests/unit/table.h"

#include <pthread.h>
#include <stdlib.h>

static const struct actor nobody;

static struct filters *build(void)
{
    struct filters_conf conf;
    struct filters *f = NULL;
    struct diag d = {0};
    filters_conf_defaults(&conf);
    if (filters_build(&conf, &f, &d) != 0) {
        fail_msg("%s", buf_cstr(&d.text));
    }
    return f;
}

static void test_table(void **state)
{
    (void)state;
    struct filters *f = build();
    struct table t;
    struct arena a = {0};
    table_open(&t, "verdicts.txt");
    while (table_next(&t)) {
        struct filter_request r;
        if (!vector_parse(t.column[2], &r, &a)) {
            fail_msg("verdicts.txt:%u: no request", t.line);
        }
        struct verdict v = filters_decide(f, &r, &nobody, &a);
        bool block = str_eq(t.column[0], STR("block"));
        if ((v.kind == VERDICT_BLOCK) != block ||
            (block && !str_eq(t.column[1], str_z(v.rule->id)))) {
            fail_msg("verdicts.txt:%u: " STR_FMT ": %s", t.line, STR_ARG(t.column[2]),
                     v.rule != NULL ? v.rule->id : "passes");
        }
        arena_reset(&a);
    }
    arena_free(&a);
    filters_free(f);
}

static void test_evidence(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"PUT https://graph.microsoft.com/v1.0/me/%70hoto/$value?x=secret | Cookie: secret",
         "PUT /v1.0/me/photo/$value"},
        {"GET https://graph.microsoft.com/v1.0/me/photo | X-HTTP-Method: PUT",
         "GET /v1.0/me/photo, made a write by x-http-method"},
        {"PUT https://graph.microsoft.com/v1.0/me/photo/../x",
         "PUT /v1.0/me/photo/../x, one of the ways to read it"},
        {"POST https://outlook.office.com/owa/service.svc?action=UploadPhoto&t=secret",
         "POST /owa/service.svc, query action=*uploadphoto*"},
        {"POST https://outlook.office.com/owa/service.svc | Action: x-uploadphoto-secret",
         "POST /owa/service.svc, header action: *uploadphoto*"},
        {"PUT https://graph.microsoft.com/v1.0/me/%00", "the path holds a NUL"},
    };
    struct filters *f = build();
    struct arena a = {0};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct filter_request r;
        assert_true(vector_parse(str_z(rows[i][0]), &r, &a));
        struct verdict v = filters_decide(f, &r, &nobody, &a);
        assert_int_equal(v.kind, VERDICT_BLOCK);
        assert_string_equal(arena_strz(&a, v.evidence), rows[i][1]);
    }
    arena_free(&a);
    filters_free(f);
}

/* What the head forbids does not wait for the body; what it does not, does. */
static void test_head_first(void **state)
{
    (void)state;
    struct filters *f = build();
    struct arena a = {0};
    static const struct {
        const char *request;
        enum verdict_kind kind;
        const char *rule;
    } rows[] = {
        {"POST https://graph.microsoft.com/v1.0/$batch", VERDICT_NEED_BODY, "batch.unreadable"},
        {"GET https://graph.microsoft.com/v1.0/$batch", VERDICT_PASS, ""},
        {"POST https://graph.microsoft.com/v1.0/%00/$batch", VERDICT_BLOCK, "request.unreadable"},
        {"POST https://outlook.office365.com/ews/exchange.asmx", VERDICT_NEED_BODY, ""},
        {"POST https://outlook.office365.com/ews/exchange.asmx | SOAPAction: x/SetUserPhoto",
         VERDICT_BLOCK, "ews.set-user-photo"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct filter_request r;
        assert_true(vector_parse(str_z(rows[i].request), &r, &a));
        r.body_complete = false;
        struct verdict v = filters_decide(f, &r, &nobody, &a);
        const char *id = v.rule != NULL ? v.rule->id : "";
        if (v.kind != rows[i].kind || (rows[i].rule[0] != '\0' && strcmp(id, rows[i].rule) != 0)) {
            fail_msg("row %zu: %d %s", i, v.kind, id);
        }
        assert_true((v.kind == VERDICT_NEED_BODY) == (v.need > 0));
    }
    arena_free(&a);
    filters_free(f);
}

/* [filters] group_photos: Outlook on the web changes both kinds of photos by one operation. */
static void test_groups(void **state)
{
    (void)state;
    static struct schema_str groups[] = {{.text = STR_INIT("Team@contoso.com")}};
    struct filters_conf conf;
    struct filters *f = NULL;
    struct diag d = {0};
    struct arena a = {0};
    static const char *const rows[][2] = {
        {"| Action: UploadPhoto | @body: {\"request\":{\"EmailAddress\":\"team@CONTOSO.com\"}}",
         ""},
        {"| Action: UploadPhoto | @body: {\"request\":{\"EmailAddress\":\"a@contoso.com\"}}",
         "owa.upload-photo"},
        {"| Action: UploadPhoto | @body: {\"a\":{\"EmailAddress\":\"team@contoso.com\"},"
         "\"b\":{\"emailaddress\":\"a@contoso.com\"}}",
         "owa.upload-photo"},
        {"| Action: UploadPhoto | @body: {\"request\":{\"__type\":\"UploadPhotoRequest\","
         "\"EmailAddress\":\"team@contoso.com\"}}",
         ""},
        {"| @body: {\"__type\":\"UploadPhotoRequest\",\"EmailAddress\":\"a@contoso.com\"}",
         "owa.upload-photo-body"},
        {"| Action: GetItem | @body: {\"EmailAddress\":\"a@contoso.com\"}", ""},
        {"| Action: GetItem | @body: x", ""},
        {"| Action: UploadPhoto | @body: {\"request\":{}}", "owa.upload-photo"},
        {"| Action: UploadPhoto", "owa.upload-photo"},
        {"| Action: UploadPhoto | @body: --f--", "owa.upload-photo"},
        {"| Action: UploadPhoto | X-OWA-UrlPostData: %7B%7D | @body: "
         "{\"EmailAddress\":\"team@contoso.com\"}",
         "owa.upload-photo"},
    };
    filters_conf_defaults(&conf);
    conf.filters.groups = (struct schema_strs){groups, 1};
    assert_int_equal(filters_build(&conf, &f, &d), 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf text = {0};
        struct filter_request r;
        buf_printf(&text, "POST https://outlook.office.com/owa/service.svc %s", rows[i][0]);
        assert_true(vector_parse(buf_view(&text), &r, &a));
        struct verdict v = filters_decide(f, &r, &nobody, &a);
        if (strcmp(v.rule != NULL ? v.rule->id : "", rows[i][1]) != 0) {
            fail_msg("row %zu: %s", i, v.rule != NULL ? v.rule->id : "passes");
        }
        buf_free(&text);
    }
    arena_free(&a);
    filters_free(f);
}

static void test_bypass(void **state)
{
    (void)state;
    static struct schema_str users[] = {{.text = STR_INIT("Admin@contoso.com")}};
    struct filters_conf conf;
    struct filters *f = NULL;
    struct diag d = {0};
    struct arena a = {0};
    struct filter_request r;
    filters_conf_defaults(&conf);
    conf.admins.users = (struct schema_strs){users, 1};
    assert_int_equal(filters_build(&conf, &f, &d), 0);
    struct actor admin = {.user = STR("ADMIN@contoso.com")};
    assert_true(vector_parse(STR("PUT https://graph.microsoft.com/v1.0/me/photo"), &r, &a));
    struct verdict v = filters_decide(f, &r, &admin, &a);
    assert_int_equal(v.kind, VERDICT_BYPASS);
    assert_string_equal(v.rule->id, "graph.user-photo");
    assert_true(str_eq(v.bypass, STR("users: ADMIN@contoso.com")));
    assert_true(vector_parse(STR("GET https://graph.microsoft.com/v1.0/me/photo"), &r, &a));
    assert_int_equal(filters_decide(f, &r, &admin, &a).kind, VERDICT_PASS);
    /* Nobody, however trusted, may say one host and mean another. */
    assert_true(vector_parse(
        STR("GET https://graph.microsoft.com/v1.0/me | @connect: outlook.office.com:443"), &r, &a));
    assert_int_equal(filters_decide(f, &r, &admin, &a).kind, VERDICT_BLOCK);
    filters_free(f);
    arena_free(&a);
}

/* One set of filters serves all workers. */
static void *decide_often(void *arg)
{
    const struct filters *f = arg;
    struct arena a = {0};
    size_t wrong = 0;
    for (int i = 0; i < 2000; i++) {
        struct filter_request r;
        wrong +=
            !vector_parse(i % 2 == 0 ? STR("PUT https://graph.microsoft.com/v1.0/me/photo")
                                     : STR("PUT https://graph.microsoft.com/v1.0/groups/7/photo"),
                          &r, &a);
        enum verdict_kind kind = filters_decide(f, &r, &nobody, &a).kind;
        wrong += kind != (i % 2 == 0 ? VERDICT_BLOCK : VERDICT_PASS);
        arena_reset(&a);
    }
    arena_free(&a);
    return wrong == 0 ? arg : NULL;
}

static void test_threads(void **state)
{
    (void)state;
    struct filters *f = build();
    pthread_t thread[4];
    for (size_t i = 0; i < ARRAY_LEN(thread); i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, decide_often, f), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(thread); i++) {
        void *result;
        assert_int_equal(pthread_join(thread[i], &result), 0);
        assert_ptr_equal(result, f);
    }
    filters_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),      cmocka_unit_test(test_evidence),
        cmocka_unit_test(test_head_first), cmocka_unit_test(test_groups),
        cmocka_unit_test(test_bypass),     cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
