/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A property: whatever equivalent spelling of a path a client finds, a blocked request stays
 * blocked and a passing one passes. The requests are the packs' own vectors; the spellings are
 * drawn from a fixed seed, or from the one in the first argument.
 */
#include "filters/decide.h"
#include "filters/embedded.h"
#include "filters/vectors.h"
#include "tests/unit/check.h"

#include <stdlib.h>

#define SPELLINGS 100000 /* of each kind */

static uint64_t seed = 20261123;

static unsigned draw(unsigned below)
{
    assert_true(below > 0);
    seed ^= seed << 13; /* xorshift64 */
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed >> 33) % below;
}

static void put_escaped(struct buf *b, unsigned char c, unsigned rounds)
{
    static const char digits[2][17] = {"0123456789abcdef", "0123456789ABCDEF"};
    buf_char(b, '%');
    for (unsigned i = 1; i < rounds; i++) {
        buf_z(b, "25");
    }
    buf_char(b, digits[draw(2)][c >> 4]);
    buf_char(b, digits[draw(2)][c & 15]);
}

static void put_letter(struct buf *b, char c, unsigned rounds)
{
    if (draw(4) == 0) {
        put_escaped(b, (unsigned char)c, 1 + draw(rounds));
    } else if (draw(3) == 0 && c >= 'a' && c <= 'z') {
        buf_char(b, (char)(c - 32));
    } else if (draw(3) == 0) {
        buf_char(b, ascii_lower(c));
    } else {
        buf_char(b, c);
    }
}

static void put_slash(struct buf *b, unsigned rounds, bool odata)
{
    /* elsewhere than in Graph a path that goes by way of users is kept to be one */
    static const char *const junk[] = {"x", "groups", "me", "api", "a%20b", "users"};
    const unsigned kinds = ARRAY_LEN(junk) - !odata;
    switch (draw(12)) {
    case 0:
        put_escaped(b, '/', 1 + draw(rounds));
        break;
    case 1:
        buf_char(b, '\\');
        break;
    case 2:
        put_escaped(b, '\\', 1 + draw(rounds));
        break;
    case 3:
        buf_z(b, "//");
        break;
    case 4:
        buf_z(b, draw(2) ? "/./" : "/%2e/");
        break;
    case 5:
        buf_printf(b, "/%s/%s/", junk[draw(kinds)], draw(2) ? ".." : "%2E.");
        break;
    case 6:
        buf_z(b, draw(2) ? ";p=1/" : "%20/");
        break;
    default:
        buf_char(b, '/');
    }
}

/* An OData key in its other form: users/x as users('x'). Returns what was taken of `rest`. */
static size_t put_key(struct buf *b, struct str rest)
{
    size_t len = 0;
    while (len < rest.len && rest.ptr[len] != '/') {
        if (str_index(STR("'()%;:$"), rest.ptr[len]) >= 0) {
            return 0;
        }
        len++;
    }
    if (len == 0 || draw(2) == 0) {
        return 0;
    }
    buf_z(b, draw(2) ? "('" : "(%27");
    buf_str(b, str_of(rest.ptr, len));
    buf_z(b, draw(2) ? "')" : "%27%29");
    return len;
}

static bool ends_with_collection(struct str before)
{
    static const char *const names[] = {"/users", "/groups", "/teams", "/contacts"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (str_ends(before, str_z(names[i]))) {
            return true;
        }
    }
    return false;
}

static void respell(struct buf *b, struct str target, bool odata)
{
    struct str path = target, rest = STR_NONE;
    for (size_t i = 0; i < target.len && rest.ptr == NULL; i++) {
        if (target.ptr[i] == '?' || target.ptr[i] == '#') {
            path.len = i;
            rest = str_skip(target, i);
        }
    }
    bool quoted = false, escaped = str_index(path, '%') >= 0;
    unsigned rounds = escaped ? 1 : 3;
    for (size_t i = 0; i < path.len; i++) {
        char c = path.ptr[i];
        size_t key = 0;
        quoted ^= c == '\'';
        if (c == '%') { /* as it is: another round would change what it means to some */
            buf_put(b, path.ptr + i, 3);
            i += 2;
        } else if (c != '/' || quoted) {
            put_letter(b, c, rounds);
        } else if (odata && ends_with_collection(str_of(path.ptr, i)) &&
                   (key = put_key(b, str_skip(path, i + 1))) > 0) {
            i += key;
        } else if (i > 0) {
            put_slash(b, rounds, odata);
        } else {
            buf_char(b, '/');
        }
    }
    if (draw(5) == 0) {
        put_slash(b, rounds, odata);
    }
    buf_str(b, rest);
}

struct cases {
    const struct schema_str **item;
    size_t count;
};

static void collect(struct cases *to, const struct schema_strs *from)
{
    for (size_t i = 0; i < from->count; i++) {
        to->item = xrealloc(to->item, (to->count + 1) * sizeof(struct schema_str *));
        to->item[to->count++] = &from->item[i];
    }
}

static void run(const struct ruleset *rs, const struct hosts *hosts, const struct cases *cases,
                bool block)
{
    static const struct actor nobody;
    struct arena a = {0};
    struct buf b = {0};
    for (int i = 0; i < SPELLINGS; i++) {
        const struct schema_str *vector = cases->item[draw((unsigned)cases->count)];
        struct filter_request r;
        assert_true(vector_parse(vector->text, &r, &a));
        bool odata = str_find(r.authority, STR("graph")) >= 0;
        buf_clear(&b);
        respell(&b, r.target, odata);
        r.target = buf_view(&b);
        struct verdict v = decide(rs, hosts, NULL, &r, &nobody, &a);
        if ((v.kind == VERDICT_BLOCK) != block) {
            fail_msg("%s:%u: %s spelled %s: %s", vector->at.file, vector->at.line, vector->text.ptr,
                     buf_cstr(&b), v.rule != NULL ? v.rule->id : "passes");
        }
        arena_reset(&a);
    }
    buf_free(&b);
    arena_free(&a);
}

static void test_respelled(void **state)
{
    (void)state;
    struct pack_source *sources = xcalloc(embedded_count, sizeof(*sources));
    struct cases block = {0}, pass = {0};
    struct ruleset *rs = NULL;
    struct hosts hosts;
    struct diag d = {0};
    for (size_t i = 0; i < embedded_count; i++) {
        sources[i] = embedded_pack(i);
    }
    assert_int_equal(ruleset_build(&rs, sources, embedded_count, &d), 0);
    hosts_build_all(&hosts, rs);
    for (size_t i = 0; i < rs->packs; i++) {
        for (size_t k = 0; k < rs->pack[i].rules.count; k++) {
            const struct rule *rule = &rs->pack[i].rules.item[k];
            if (rule->fact == FACT_NONE && ruleset_is_on(rs, rule)) {
                collect(&block, &rule->block);
                collect(&pass, &rule->pass);
            }
        }
    }
    run(rs, &hosts, &block, true);
    run(rs, &hosts, &pass, false);
    free(block.item);
    free(pass.item);
    hosts_free(&hosts);
    ruleset_free(rs);
    free(sources);
}

int main(int argc, char **argv)
{
    if (argc > 1 && (!str_u64(str_z(argv[1]), &seed) || seed == 0)) {
        return 2;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_respelled)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
