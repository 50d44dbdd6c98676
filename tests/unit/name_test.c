/* SPDX-License-Identifier: Apache-2.0 */
/* DNS names, patterns and constraints. */
#include "certs/name.h"
#include "common/err.h"
#include "tests/unit/check.h"

#include <stdio.h>

static void test_fold(void **state)
{
    (void)state;
    static const char *const good[][2] = {
        {"graph.microsoft.com", "graph.microsoft.com"},
        {"Graph.MICROSOFT.com", "graph.microsoft.com"},
        {"localhost", "localhost"},
        {"a-b.c3", "a-b.c3"},
        {"xn--mnchen-3ya.example", "xn--mnchen-3ya.example"},
        {"1.2.3.4.example", "1.2.3.4.example"},
        {"3com.com", "3com.com"},
        {"a.0x1g", "a.0x1g"},
        {"123456789012345678901234567890123456789012345678901234567890123.com",
         "123456789012345678901234567890123456789012345678901234567890123.com"},
    };
    static const char *const bad[] = {
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "-a.com",
        "a-.com",
        "a_b.com",
        "*.a.com",
        "a b",
        "a\xc3\xa4.com",
        "a.com:443",
        "1.2.3.4",
        "1",
        "0x7f000001",
        "a.0x1f",
        "a.0x",
        "127.1",
        "::1",
        "[::1]",
        "a/b",
        "1234567890123456789012345678901234567890123456789012345678901234.com",
    };
    char out[NAME_MAX_LEN + 1], longest[400];
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_int_equal(name_fold(str_z(good[i][0]), out), 0);
        assert_string_equal(out, good[i][1]);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(name_fold(str_z(bad[i]), out), ERR_NAME);
        assert_string_equal(out, "");
    }
    assert_int_equal(name_fold(STR("a\0.com"), out), ERR_NAME);
    for (size_t i = 0; i < sizeof(longest); i++) {
        longest[i] = i % 2 == 0 ? 'a' : '.';
    }
    assert_int_equal(name_fold(str_of(longest, 253), out), 0);
    assert_int_equal(name_fold(str_of(longest, 255), out), ERR_NAME);
}

static void test_pattern(void **state)
{
    (void)state;
    char out[NAME_MAX_LEN + 1];
    assert_int_equal(name_fold_pattern(STR("*.SharePoint.com"), out), 0);
    assert_string_equal(out, "*.sharepoint.com");
    assert_int_equal(name_fold_pattern(STR("a.b"), out), 0);
    static const char *const bad[] = {"*.com",   "com",   "*",      "*.",
                                      "*.*.a.b", "a.*.b", "**.a.b", "*a.b.c"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(name_fold_pattern(str_z(bad[i]), out), ERR_NAME);
        assert_string_equal(out, "");
    }
    assert_true(name_matches(STR("*.a.b"), STR("x.a.b")));
    assert_true(name_matches(STR("*.a.b"), STR("y.x.a.b")));
    assert_false(name_matches(STR("*.a.b"), STR("a.b")));
    assert_false(name_matches(STR("*.a.b"), STR("xa.b")));
    assert_true(name_matches(STR("a.b"), STR("a.b")));
    assert_false(name_matches(STR("a.b"), STR("x.a.b")));
}

static void test_within(void **state)
{
    (void)state;
    static const struct {
        const char *constraint, *name;
        bool within;
    } row[] = {
        {"a.b", "a.b", true},    {"a.b", "x.a.b", true},  {"a.b", "xa.b", false},
        {"a.b", "b", false},     {".a.b", "a.b", false},  {".a.b", "x.a.b", true},
        {".a.b", "xa.b", false}, {"a.b", "a.b.c", false}, {"com", "example.com", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(row); i++) {
        assert_int_equal(name_within(str_z(row[i].constraint), str_z(row[i].name)), row[i].within);
    }
    struct names n = {0};
    assert_int_equal(names_add_constraint(&n, STR("a.b")), 0);
    assert_int_equal(names_add_constraint(&n, STR(".C.d")), 0);
    assert_int_equal(names_add_constraint(&n, STR("corp")), 0);
    assert_int_equal(names_add_constraint(&n, STR("")), ERR_NAME);
    assert_int_equal(names_add_constraint(&n, STR(".")), ERR_NAME);
    assert_true(names_cover(&n, STR("a.b")));
    assert_true(names_cover(&n, STR("*.a.b")));
    assert_true(names_cover(&n, STR("*.x.a.b")));
    assert_true(names_cover(&n, STR("*.c.d")));
    assert_false(names_cover(&n, STR("c.d")));
    assert_false(names_cover(&n, STR("*.b")));
    assert_true(names_cover(&n, STR("pc1.corp")));
    names_free(&n);
}

static void test_list(void **state)
{
    (void)state;
    static const char *const in[] = {"Graph.microsoft.com", "*.sharepoint.com",    "sharepoint.com",
                                     "a.sharepoint.com",    "graph.microsoft.com", "z.example"};
    struct names n = {0}, out = {0};
    char text[32];
    for (size_t i = 0; i < ARRAY_LEN(in); i++) {
        assert_int_equal(names_add(&n, str_z(in[i])), 0);
    }
    assert_int_equal(n.count, 5);
    assert_int_equal(names_add(&n, STR("1.2.3.4")), ERR_NAME);
    assert_true(names_match(&n, STR("b.sharepoint.com")));
    assert_false(names_match(&n, STR("x.graph.microsoft.com")));
    names_to_constraints(&n, &out);
    assert_int_equal(out.count, 3);
    assert_string_equal(out.item[0], "graph.microsoft.com");
    assert_string_equal(out.item[1], "sharepoint.com");
    assert_string_equal(out.item[2], "z.example");
    names_free(&out);
    for (size_t i = n.count; i < NAMES_MAX; i++) {
        snprintf(text, sizeof(text), "h%zu.example", i);
        assert_int_equal(names_add(&n, str_z(text)), 0);
    }
    assert_int_equal(names_add(&n, STR("one.more")), ERR_LIMIT);
    assert_int_equal(names_add(&n, STR("z.example")), 0);
    names_free(&n);
    names_to_constraints(&n, &out);
    assert_int_equal(out.count, 0);
    names_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fold),
        cmocka_unit_test(test_pattern),
        cmocka_unit_test(test_within),
        cmocka_unit_test(test_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
