/* SPDX-License-Identifier: Apache-2.0 */
/* Reading TOML by a table of fields: values, defaults kept, and each kind of mistake with its
 * place. */
#include "common/err.h"
#include "common/schema.h"
#include "tests/unit/check.h"

struct inner {
    uint64_t head_ms;
};

struct sample {
    struct schema_str name;
    struct schema_strs list;
    bool on;
    int64_t count;
    uint64_t wait_ms, size;
    int mode;
    struct ip_nets nets;
    struct inner times;
    struct schema_str custom;
};

static void read_custom(struct schema_reader *r, const struct toml_node *value, void *member)
{
    (void)schema_string(r, value, member);
}

static void write_custom(struct buf *out, const void *member)
{
    buf_json(out, ((const struct schema_str *)member)->text);
}

static const char *const modes[] = {"enforce", "monitor", NULL};
static const struct schema_field inner_fields[] = {
    {.key = "head",
     .kind = SCHEMA_DURATION,
     .offset = offsetof(struct inner, head_ms),
     .min = 1,
     .max = 60000},
    {.key = NULL},
};
static const struct schema_field fields[] = {
    {.key = "name", .kind = SCHEMA_STRING, .offset = offsetof(struct sample, name)},
    {.key = "list", .kind = SCHEMA_STRINGS, .offset = offsetof(struct sample, list)},
    {.key = "on", .kind = SCHEMA_BOOL, .offset = offsetof(struct sample, on)},
    {.key = "count",
     .kind = SCHEMA_INT,
     .offset = offsetof(struct sample, count),
     .min = 0,
     .max = 64},
    {.key = "wait",
     .kind = SCHEMA_DURATION,
     .offset = offsetof(struct sample, wait_ms),
     .min = 1000,
     .max = 3600000},
    {.key = "size",
     .kind = SCHEMA_SIZE,
     .offset = offsetof(struct sample, size),
     .min = 1024,
     .max = 1 << 20},
    {.key = "mode", .kind = SCHEMA_ENUM, .offset = offsetof(struct sample, mode), .names = modes},
    {.key = "nets", .kind = SCHEMA_NETS, .offset = offsetof(struct sample, nets)},
    {.key = "times",
     .kind = SCHEMA_TABLE,
     .offset = offsetof(struct sample, times),
     .fields = inner_fields},
    {.key = "custom",
     .kind = SCHEMA_CUSTOM,
     .offset = offsetof(struct sample, custom),
     .read = read_custom,
     .write = write_custom,
     .what = "something else"},
    {.key = NULL},
};

static int read_text(const char *text, struct sample *out, struct arena *arena, struct diag *d)
{
    struct toml_doc *doc;
    assert_int_equal(toml_parse(str_z(text), "proxy.toml", &doc, d), 0);
    struct schema_reader r = {.doc = doc, .arena = arena, .diag = d};
    int err = schema_read(&r, toml_root(doc), "proxy", fields, out);
    toml_free(doc);
    return err;
}

static void test_values(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct diag d = {0};
    struct sample s = {.count = 7, .size = 4096};
    assert_int_equal(
        read_text("name = 'x'\nlist = ['a', 'b']\non = true\nwait = '90s'\nmode = 'monitor'\n"
                  "nets = ['10.0.0.0/8', '::1']\ntimes = { head = '250ms' }\ncustom = 'c'\n",
                  &s, &arena, &d),
        0);
    assert_true(str_eq(s.name.text, STR("x")) && s.name.at.line == 1);
    assert_true(s.list.count == 2 && str_eq(s.list.item[1].text, STR("b")));
    assert_string_equal(s.list.item[1].at.file, "proxy.toml");
    assert_true(s.on && s.count == 7 && s.wait_ms == 90000 && s.size == 4096 && s.mode == 1);
    assert_true(s.nets.count == 2 && s.times.head_ms == 250 && str_eq(s.custom.text, STR("c")));
    assert_int_equal(read_text("size = '64KiB'\n", &s, &arena, &d), 0);
    assert_int_equal(s.size, 65536);
    arena_free(&arena);
}

static void test_faults(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {
        {"nmae = 'x'", "proxy.toml:1:1: unknown key \"nmae\" in [proxy]; did you mean \"name\"?\n"},
        {"\n  elephant = 1", "proxy.toml:2:3: unknown key \"elephant\" in [proxy]; remove it\n"},
        {"name = 3", "proxy.toml:1:8: name wants a string, not a number\n"},
        {"list = 'a'", "proxy.toml:1:8: list wants a list of strings, not a string\n"},
        {"list = ['a', 1]", "proxy.toml:1:14: wants a string, not a number\n"},
        {"on = 'yes'", "proxy.toml:1:6: on wants true or false, not a string\n"},
        {"count = 65", "proxy.toml:1:9: count lies between 0 and 64\n"},
        {"count = -1", "proxy.toml:1:9: count lies between 0 and 64\n"},
        {"wait = '5 s'",
         "proxy.toml:1:8: wait wants a time such as \"250ms\", \"30s\", \"5m\", \"48h\"\n"},
        {"wait = 5",
         "proxy.toml:1:8: wait wants a time such as \"250ms\", \"30s\", \"5m\", \"48h\"\n"},
        {"wait = '2h'", "proxy.toml:1:8: wait lies between 1s and 3600s\n"},
        {"size = '1GiB'", "proxy.toml:1:8: size lies between 1KiB and 1MiB\n"},
        {"size = '99999999999999999999GiB'",
         "proxy.toml:1:8: size wants a size such as 4096, \"64KiB\", \"4MiB\"\n"},
        {"mode = 'off'", "proxy.toml:1:8: mode is one of \"enforce\", \"monitor\"\n"},
        {"nets = ['10.0.0.1/8']",
         "proxy.toml:1:9: \"10.0.0.1/8\" is no address or network; write 10.0.0.0/8, 192.0.2.7 or "
         "2001:db8::/32, with no bits set behind the prefix\n"},
        {"times = { haed = '1s' }",
         "proxy.toml:1:11: unknown key \"haed\" in [proxy.times]; did you mean \"head\"?\n"},
        {"times = 1", "proxy.toml:1:9: times wants a table, not a number\n"},
        {"name = \"a\\u0000b\"", "proxy.toml:1:8: a string may not hold a NUL\n"},
        {"nmae = 1\ncount = 99",
         "proxy.toml:1:1: unknown key \"nmae\" in [proxy]; did you mean \"name\"?\n"
         "proxy.toml:2:9: count lies between 0 and 64\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct arena arena = {0};
        struct diag d = {0};
        struct sample s = {.count = 7};
        assert_int_equal(read_text(wrong[i][0], &s, &arena, &d), ERR_CONFIG);
        check_text(&d.text, wrong[i][1]);
        assert_int_equal(s.count, 7);
        diag_free(&d);
        arena_free(&arena);
    }
}

/* toml++ asserts that these cannot be. */
static void test_malformed(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "[\x01]",       "[[\x7f",       "[\xc3\xbc]", "\xc3\xbc = 1", "a = 1 \xe3\x81\x82",
        "\xe2\xbc\x80", "[a]\n\x02 = 1"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct diag d = {0};
        struct toml_doc *doc;
        assert_int_equal(toml_parse(str_z(wrong[i]), "proxy.toml", &doc, &d), ERR_CONFIG);
        assert_true(str_starts(buf_view(&d.text), STR("proxy.toml:")));
        diag_free(&d);
    }
}

/* What is written reads back as the same. */
static void test_written(void **state)
{
    (void)state;
    static const char expected[] = "[proxy]\n"
                                   "name = \"a \\\"b\\\" # c\" # string\n"
                                   "list = [\"a\", \"b\"] # list of strings\n"
                                   "on = true # true or false\n"
                                   "count = 7 # number, 0 to 64\n"
                                   "wait = \"90s\" # time, 1s to 1h\n"
                                   "size = \"64KiB\" # size, 1KiB to 1MiB\n"
                                   "mode = \"monitor\" # \"enforce\" or \"monitor\"\n"
                                   "nets = [\"10.0.0.0/8\", \"::1\"] # list of networks\n"
                                   "custom = \"c\" # something else\n"
                                   "\n"
                                   "[proxy.times]\n"
                                   "head = \"250ms\" # time, 1ms to 1m\n";
    struct arena arena = {0};
    struct diag d = {0};
    struct buf out = {0};
    struct sample s = {.count = 7};
    assert_int_equal(read_text("name = 'a \"b\" # c'\nlist = ['a', 'b']\non = true\nwait = '90s'\n"
                               "mode = 'monitor'\nsize = 65536\nnets = ['10.0.0.0/8', '::1/128']\n"
                               "times = { head = '250ms' }\ncustom = 'c'\n",
                               &s, &arena, &d),
                     0);
    schema_write(&out, "proxy", fields, &s);
    assert_string_equal(buf_cstr(&out), expected);

    struct sample again = {0};
    struct toml_doc *doc;
    assert_int_equal(toml_parse(buf_view(&out), "written", &doc, &d), 0);
    struct schema_reader r = {.doc = doc, .arena = &arena, .diag = &d};
    assert_int_equal(schema_read(&r, toml_get(toml_root(doc), "proxy"), "proxy", fields, &again),
                     0);
    toml_free(doc);
    buf_clear(&out);
    schema_write(&out, "proxy", fields, &again);
    check_text(&out, expected);
    buf_free(&out);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values), cmocka_unit_test(test_written),
        cmocka_unit_test(test_faults), cmocka_unit_test(test_malformed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
