/* SPDX-License-Identifier: Apache-2.0 */
/* Journals: what was written is read, what was torn is passed over, what is taken back comes in the
 * opposite order. */
#include "admin/journal.h"
#include "common/err.h"
#include "tests/unit/check.h"

#include <stdio.h>

#define HEAD                                                                                       \
    "{\"journal\":1,\"run\":\"run-1.jsonl\",\"what\":\"apply\",\"undoes\":\"\",\"started\":\"x\"}" \
    "\n"
#define STEP(n, kind, phase, before, after)                                      \
    "{\"step\":" #n ",\"kind\":\"" kind "\",\"phase\":" #phase ",\"target\":\"t" \
    "\",\"label\":\"l\",\"before\":" before ",\"after\":" after "}\n"
#define PLAN                                                                                      \
    HEAD STEP(0, "owa-policy", 10, "null", "{}") STEP(1, "owa-policy.photo", 11, "true", "false") \
        STEP(2, "cas-mailbox.policy", 30, "\"a\"", "\"b\"") "{\"planned\":3}\n"

static int parse(const char *text, struct plan *p, struct journal_info *info)
{
    *p = (struct plan){0};
    return journal_parse(str_z(text), p, info);
}

static void test_marks(void **state)
{
    (void)state;
    struct plan p, back = {0};
    struct journal_info info;
    assert_int_equal(
        parse(PLAN "{\"begin\":0}\n{\"done\":0}\n{\"begin\":2}\n{\"begin\":1}\n{\"don", &p, &info),
        0);
    assert_true(info.whole && !info.ended);
    assert_int_equal(info.done, 1);
    assert_int_equal(info.begun, 2);
    plan_reverse(&p, &back);
    assert_int_equal(back.count, 3);
    assert_string_equal(back.steps[0].kind->name, "cas-mailbox.policy");
    assert_string_equal(json_string_value(back.steps[0].after), "a");
    assert_true(json_is_true(back.steps[1].after));
    assert_true(json_is_null(back.steps[2].after));
    plan_free(&back);
    plan_free(&p);
}

static void test_what_was_not_begun_is_not_taken_back(void **state)
{
    (void)state;
    struct plan p, back = {0};
    struct journal_info info;
    assert_int_equal(
        parse(PLAN
              "{\"begin\":0}\n{\"done\":0}\n{\"skip\":1}\n{\"conflict\":2}\n{\"end\":\"done\"}\n",
              &p, &info),
        0);
    assert_true(info.ended);
    plan_reverse(&p, &back);
    assert_int_equal(back.count, 1);
    plan_free(&back);
    plan_free(&p);
}

static void test_torn_and_foreign(void **state)
{
    (void)state;
    struct plan p;
    struct journal_info info;
    assert_int_equal(parse("", &p, &info), ERR_SYNTAX);
    assert_int_equal(parse("{\"journal\":2}\n", &p, &info), ERR_SYNTAX);
    assert_int_equal(
        parse(HEAD STEP(0, "owa-policy", 10, "null", "{}") "{\"planned\":2}\n", &p, &info), 0);
    assert_false(info.whole); /* a step is missing: nothing of it was begun */
    plan_free(&p);
    assert_int_equal(parse(PLAN "{\"do\n{\"begin\":9}\n{\"begin\":-1}\n{\"done\":1}\n", &p, &info),
                     0);
    assert_int_equal(info.done, 1);
    plan_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_what_was_not_begun_is_not_taken_back),
        cmocka_unit_test(test_torn_and_foreign),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
