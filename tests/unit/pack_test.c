/* SPDX-License-Identifier: Apache-2.0 */
/* Packs with faults: each is refused whole, with the line. */
#include "common/err.h"
#include "filters/embedded.h"
#include "filters/vectors.h"
#include "tests/unit/check.h"

#include <stdlib.h>

/* Loads `text` as p.toml beside the embedded packs and runs all vectors. */
static int load(const char *text, struct diag *d)
{
    struct pack_source *sources = xcalloc(embedded_count + 1, sizeof(*sources));
    struct ruleset *rs = NULL;
    size_t count = 0;
    for (; count < embedded_count; count++) {
        sources[count] = embedded_pack(count);
    }
    sources[count] = (struct pack_source){str_z(text), "p.toml"};
    int err = ruleset_build(&rs, sources, count + 1, d);
    if (err == 0) {
        err = vectors_run(rs, &count, d);
        ruleset_free(rs);
    }
    free(sources);
    return err;
}

/* Lines 1 to 8 of a pack; the ninth is free. */
#define HEAD                                                                             \
    "pack = 'p'\n[[rule]]\nid = 'p.one'\nwhy = 'No.'\nsource = 's'\ndate = 2026-01-01\n" \
    "confidence = 'seen'\nhosts = ['@graph']\n"
#define BLOCK "block = ['PUT https://graph.microsoft.com/v1.0/x']\n"

static void test_faults(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {HEAD "path = ['*/x']\nmethods = 'write'\n" BLOCK, ""},
        {"[[rule]\n", "p.toml:1:8: "},
        {"rule = 1\npack = 'p'", "p.toml:1:8: rule wants tables in double brackets, not a number"},
        {"x = 1", "p.toml:1:1: unknown key \"x\"; remove it"},
        {"[[rule]]\n", "p.toml: has no name; write pack = "},
        {"pack = 'p'\n[[rule]]\n", "p.toml:2:1: [[rule]] has no id"},
        {"pack = 'p'\n\n[[rule]]\nid = 'p.x'\nwhy = 'w'\n", "p.toml:3:1: [[rule]] has no source"},
        {HEAD "path = ['*/x']\nmethods = 'write'\n", "p.toml:2:1: [[rule]] has no block"},
        {HEAD "pathh = ['*/x']\n" BLOCK,
         "p.toml:9:1: unknown key \"pathh\" in [rule]; did you mean \"path\"?"},
        {HEAD "path = ['*/x']\n" BLOCK, "p.toml:2:1: a rule needs methods"},
        {HEAD "methods = 'write'\n" BLOCK, "p.toml:2:1: a rule needs a path"},
        {HEAD "methods = 'wriet'\n" BLOCK, "p.toml:9:11: methods is \"write\", \"any\" or a list"},
        {HEAD "path = ['*//x']\nmethods = 'write'\n" BLOCK,
         "p.toml:9:9: \"*//x\" is no path pattern: two slashes in a row"},
        {HEAD "path = ['*/X']\nmethods = 'write'\n" BLOCK,
         "p.toml:9:9: \"*/X\" is no path pattern: capital letters"},
        {HEAD "path = ['*/a**']\nmethods = 'write'\n" BLOCK,
         "p.toml:9:9: \"*/a**\" is no path pattern: ** stands alone"},
        {HEAD "path = ['*/(a']\nmethods = 'write'\n" BLOCK,
         "p.toml:9:9: \"*/(a\" is no path pattern: a key pattern needs its closing"},
        {HEAD "path = ['a%20b']\nmethods = 'write'\n" BLOCK,
         "p.toml:9:9: \"a%20b\" is no path pattern: %, \\ and ; never"},
        {HEAD "path = ['*/{a,b']\nmethods = 'write'\n" BLOCK,
         "p.toml:9:9: \"*/{a,b\" is no path pattern: braces stand in pairs"},
        {HEAD "path = ['*/{a,{b,c}}']\nmethods = 'write'\n" BLOCK,
         "p.toml:9:9: \"*/{a,{b,c}}\" is no path pattern: braces stand in pairs"},
        {HEAD "path = ['{a,b,c,d}/{a,b,c,d}/{a,b,c,d}/{a,b,c,d}/{a,b}']\nmethods = 'write'\n" BLOCK,
         "p.toml:9:9: \"{a,b,c,d}/{a,b,c,d}/{a,b,c,d}/{a,b,c,d}/{a,b}\" is no path pattern: its "
         "braces stand for more than 256"},
        {HEAD "path = ['{a,v1.0}/{,b}x{y,}']\nmethods = 'write'\n" BLOCK, ""},
        {HEAD "query = ['x']\npath=['**']\nmethods = 'write'\n" BLOCK,
         "p.toml:9:10: \"x\" is no condition; write \"name=pattern\""},
        {HEAD "header = ['x=y']\npath=['**']\nmethods = 'write'\n" BLOCK,
         "p.toml:9:11: \"x=y\" is no condition; write \"name: pattern\""},
        {HEAD "owner = 'nobody'\npath = ['*/x']\nmethods = 'write'\n" BLOCK,
         "p.toml:9:9: there is no owner \"nobody\""},
        {HEAD "inspect = 'nothing'\npath = ['*/x']\nmethods = 'write'\n" BLOCK,
         "p.toml:9:11: there is no reader \"nothing\""},
        {HEAD "fact = 'port'\n" BLOCK, "p.toml:3:6: there is a rule about this fact already: "
                                       "connection.port"},
        {HEAD "fact = 'unreadable'\npath = ['*/x']\n" BLOCK,
         "p.toml:2:1: a rule about a fact has no path"},
        {HEAD "path = ['*/x']\nmethods='any'\n" BLOCK "[[rule.when]]\npath = ['y']\n",
         "p.toml:2:1: conditions stand in the rule or in its [[rule.when]], not in both"},
        {HEAD "path = ['*/x']\nmethods = 'write'\nblock = ['PUT /x']\n",
         "p.toml:11:10: \"PUT /x\" is no request"},
        {HEAD
         "path = ['*/x']\nmethods = 'write'\nblock = ['GET https://graph.microsoft.com/v1.0/x']\n",
         "p.toml:11:10: p.one must block \"GET https://graph.microsoft.com/v1.0/x\", but it "
         "passes"},
        {HEAD "path = ['*/x']\nmethods = 'write'\nblock = ['PUT "
              "https://graph.microsoft.com/me/photo']\n",
         "p.toml:11:10: p.one must block \"PUT https://graph.microsoft.com/me/photo\", but it is a "
         "case of graph.user-photo"},
        {HEAD "path = ['*/x']\nmethods = 'write'\n" BLOCK
              "pass = [\n'GET https://graph.microsoft.com/v1.0/x',\n'PUT "
              "https://graph.microsoft.com/beta/x']\n",
         "p.toml:14:1: \"PUT https://graph.microsoft.com/beta/x\" must pass, but p.one blocks it"},
        {"pack = 'p'\n[[rule]]\nid = 'graph.user-photo'\nwhy = 'No.'\nsource = 's'\n"
         "date = 2026-01-01\nconfidence = 'seen'\nhosts = ['@graph']\npath = ['x']\n"
         "methods = 'any'\n" BLOCK,
         "p.toml:3:6: rule \"graph.user-photo\" is there already, at filters/packs/graph.toml:"},
        {"pack = 'p'\n[[rule]]\nid = 'Nodots'\nwhy = 'No.'\nsource = 's'\ndate = 2026-01-01\n"
         "confidence = 'seen'\nhosts = ['@graph']\npath = ['x']\nmethods = 'any'\n" BLOCK,
         "p.toml:3:6: \"Nodots\" is no id"},
        {"pack = 'p'\n[[rule]]\nid = 'p.one'\nwhy = 'No.'\nsource = 's'\ndate = '2026-01-01'\n",
         "p.toml:6:8: date wants a date such as 2026-11-23"},
        {"pack = 'p'\n[[rule]]\nid = 'p.one'\nwhy = 'No.'\nsource = 's'\ndate = 2026-01-01\n"
         "confidence = 'sure'\n",
         "p.toml:7:14: confidence is one of \"documented\", \"seen\", \"inferred\""},
        {"pack = 'p'\n[[rule]]\nid = 'p.one'\nwhy = 'No.'\nsource = 's'\ndate = 2026-01-01\n"
         "confidence = 'seen'\nhosts = ['@nowhere', 'Bad.Example']\npath = ['x']\n"
         "methods = 'any'\n" BLOCK,
         "p.toml:8:10: there is no class \"@nowhere\"\np.toml:8:22: \"Bad.Example\" is no host"},
        {"pack = 'p'\n[[host]]\nnames = ['x.example']\nclass = 'nothing'\n",
         "p.toml:4:9: there is no class \"nothing\""},
        {"pack = 'p'\n[[host]]\nnames = ['x.example:443']\nclass = 'graph'\n",
         "p.toml:3:10: \"x.example:443\" is no host"},
        {"pack = 'p'\n[[class]]\nname = 'graph'\n", "p.toml:3:8: class \"graph\" is there already"},
        {"pack = 'p'\n[[owner]]\nname = 'new'\n",
         "p.toml: an [[owner]] needs a name and its property"},
        {"pack = 'p'\n[[relay]]\nid = 'r'\n", "p.toml: a [[relay]] needs hosts, path and url"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct diag d = {0};
        int err = load(rows[i][0], &d);
        assert_int_equal(err, rows[i][1][0] == '\0' ? 0 : ERR_CONFIG);
        if (!str_starts(buf_view(&d.text), str_z(rows[i][1])) || (err == 0 && d.text.len > 0)) {
            fail_msg("row %zu: %s", i, buf_cstr(&d.text));
        }
        diag_free(&d);
    }
}

/* A pack may bring hosts and a kind of its own. */
static void test_own_hosts(void **state)
{
    (void)state;
    struct diag d = {0};
    int err =
        load("pack = 'intranet'\n"
             "[[class]]\nname = 'intranet'\nwhat = 'the staff pages'\n"
             "[[host]]\nnames = ['staff.example', '*.staff.example']\nclass = 'intranet'\n"
             "[[rule]]\nid = 'intranet.photo'\nwhy = 'No.'\nsource = 's'\n"
             "date = 2026-01-01\nconfidence = 'seen'\nhosts = ['@intranet', 'b.example']\n"
             "methods = ['POST', 'PUT']\npath = ['**/photo']\n"
             "block = ['PUT https://staff.example/photo', 'POST https://a.staff.example/x/photo',\n"
             "'POST https://b.example/photo', 'GET https://b.example/photo | X-HTTP-Method: PUT']\n"
             "pass = ['DELETE https://staff.example/photo', 'PUT https://c.example/photo']\n",
             &d);
    if (err != 0) {
        fail_msg("%s", buf_cstr(&d.text));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_faults),
                                       cmocka_unit_test(test_own_hosts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
