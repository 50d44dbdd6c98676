/* SPDX-License-Identifier: Apache-2.0 */
/* Path patterns and text patterns. */
#include "filters/glob.h"
#include "filters/trie.h"
#include "tests/unit/check.h"

static bool fits(const char *pattern, const char *path)
{
    struct arena a = {0};
    struct paths paths = {.faults = 0};
    struct trie_hits hits = {0};
    const char *why;
    struct trie *t = trie_new();
    uint32_t root = trie_root(t);
    assert_int_equal(trie_add(t, root, str_z(pattern), 7, &why), 0);
    path_read(&paths, str_z(path), &a);
    path_mark_files(&paths.reading[0]);
    trie_match(t, root, &paths.reading[0], &hits, &a);
    for (size_t i = 0; i < hits.count; i++) {
        assert_int_equal(hits.value[i], 7);
    }
    bool hit = hits.count > 0;
    trie_free(t);
    arena_free(&a);
    return hit;
}

static void test_patterns(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *path;
        bool fits;
    } rows[] = {
        {"a/b", "/a/b", true},
        {"a/b", "/a/b/c", false},
        {"a/b", "/a", false},
        {"a/*/c", "/a/b/c", true},
        {"a/*/c", "/a('b')/c", true},
        {"a/*/c", "/a/c", false},
        {"**", "/", true},
        {"**", "/a/b", true},
        {"**/c", "/c", true},
        {"**/c", "/a/b/c", true},
        {"**/c", "/a/c/b", false},
        {"**/c/**", "/a/c/b", true},
        {"**/c/**", "/c", true},
        {"**/c/**/d/**", "/a/c/x/d/y", true},
        {"**/c/**/d", "/a/d/c", false},
        {"**/c/*/d", "/c/c/x/d", true},
        {"**/a/**/a/**/a", "/a/a/a/a", true},
        {"**/a/**/a/**/a", "/a/b/a", false},
        {"x*y", "/xy", true},
        {"x*y", "/x-y", true},
        {"x*y", "/x-y-z", false},
        {"*photo", "/upload-photo", true},
        {"*photo", "/a@contoso.photo", false},
        {"a/photo", "/a('photo')", false},
        {"a/photo", "/a(photo)", false},
        {"a/(*photo*)", "/a('photo')", true},
        {"a/(*x/y*)/b", "/a('q/x/y')/b", true},
        {"a/(*x/y*)/b", "/a('q/x/z')/b", false},
        {"**/photo/**", "/drive/root:/photo/x:/content", false},
        {"**/content", "/drive/root:/photo/x:/content", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (fits(rows[i].pattern, rows[i].path) != rows[i].fits) {
            fail_msg("%s on %s", rows[i].pattern, rows[i].path);
        }
    }
}

/* Many patterns in one trie: each path finds its own and no other. */
static void test_many(void **state)
{
    (void)state;
    enum {
        COUNT = 20000
    };
    struct trie *t = trie_new();
    uint32_t root = trie_root(t);
    struct arena a = {0};
    struct buf b = {0};
    const char *why;
    for (uint32_t i = 0; i < COUNT; i++) {
        buf_clear(&b);
        buf_printf(&b, "a%u/*/b%u/**", i % 100, i);
        assert_int_equal(trie_add(t, root, buf_view(&b), i, &why), 0);
    }
    for (uint32_t i = 0; i < COUNT; i += 7) {
        struct paths paths = {.faults = 0};
        struct trie_hits hits = {0};
        buf_clear(&b);
        buf_printf(&b, "/A%u/x/b%u/y", i % 100, i);
        path_read(&paths, buf_view(&b), &a);
        trie_match(t, root, &paths.reading[0], &hits, &a);
        assert_true(hits.count == 1 && hits.value[0] == i);
        arena_reset(&a);
    }
    buf_free(&b);
    arena_free(&a);
    trie_free(t);
}

static void test_glob(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool fits;
    } rows[] = {
        {"", "", true},
        {"", "a", false},
        {"*", "", true},
        {"*", "abc", true},
        {"abc", "ABC", true},
        {"abc", "abcd", false},
        {"a*c", "abbc", true},
        {"a*c", "ac", true},
        {"a*c", "acd", false},
        {"*b*", "abc", true},
        {"*b*b*", "abc", false},
        {"*ab", "aab", true},
        {"a*b*c", "axbxbxc", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(glob_fits(str_z(rows[i].pattern), str_z(rows[i].text)), rows[i].fits);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_patterns), cmocka_unit_test(test_many),
                                       cmocka_unit_test(test_glob)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
