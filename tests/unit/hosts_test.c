/* SPDX-License-Identifier: Apache-2.0 */
/* The inspect list: what is open under which configuration. */
#include "filters/filters.h"
#include "filters/hostmap.h"
#include "tests/unit/check.h"

#include <stdlib.h>

/* Builds filters from the text of a proxy.toml; the faults, if any, go to `d`. */
static struct filters *build(const char *text, struct diag *d)
{
    struct toml_doc *doc;
    struct arena a = {0};
    struct filters_conf conf;
    struct filters *f = NULL;
    filters_conf_defaults(&conf);
    assert_int_equal(toml_parse(str_z(text), "proxy.toml", &doc, d), 0);
    struct schema_reader r = {.doc = doc, .arena = &a, .diag = d};
    const struct toml_node *root = toml_root(doc);
    int err = filters_conf_read(&conf, &r, toml_get(root, "inspect"), toml_get(root, "filters"),
                                toml_get(root, "admins"));
    toml_free(doc);
    if (err == 0) {
        err = filters_build(&conf, &f, d);
    }
    assert_true((err < 0) == (d->errors > 0) && (f != NULL) == (err == 0));
    arena_free(&a);
    return f;
}

static void test_open(void **state)
{
    (void)state;
    static const struct {
        const char *conf, *host, *name; /* NULL: not inspected */
    } rows[] = {
        {"", "graph.microsoft.com", "graph.microsoft.com"},
        {"", "Graph.Microsoft.COM.", "graph.microsoft.com"},
        {"", "x.graph.microsoft.com", "*.graph.microsoft.com"},
        {"", "graph.microsoft.com.example.net", NULL},
        {"", "notgraph.microsoft.com", NULL},
        {"", "microsoft.com", NULL},
        {"", "", NULL},
        {"", "login.microsoftonline.com", NULL},
        {"", "nam.loki.delve.office.com", "*.loki.delve.office.com"},
        {"", "eur.delve.office.com", "*.delve.office.com"},
        {"", "x.teams.microsoft.com", "*.teams.microsoft.com"},
        {"", "amer.ng.msg.teams.microsoft.com", NULL},
        {"", "sharepoint.com", NULL},
        {"", "fabrikam-my.sharepoint.com", "*.sharepoint.com"},
        {"", "contoso.dps.mil", "*.dps.mil"},
        {"", "outlook.office365.us", "outlook.office365.us"},
        {"", "europe-002.azure-apim.net", NULL},
        {"[inspect]\noptional = ['power-platform']", "europe-002.azure-apim.net",
         "*.azure-apim.net"},
        {"[inspect]\noptional = ['power-platform']", "www.yammer.com", NULL},
        {"[inspect]\npacks = ['world']", "graph.microsoft.us", NULL},
        {"[inspect]\npacks = ['china']", "graph.microsoft.com", NULL},
        {"[inspect]\npacks = ['dod']", "graph.microsoftazure.us", "graph.microsoftazure.us"},
        {"[inspect]\nprofile = 'light'", "graph.microsoft.com", "graph.microsoft.com"},
        {"[inspect]\nprofile = 'light'", "myaccount.microsoft.com", "myaccount.microsoft.com"},
        {"[inspect]\nprofile = 'light'", "outlook.office.com", NULL},
        {"[inspect]\ntenants = ['Contoso']", "contoso-my.sharepoint.com",
         "contoso-my.sharepoint.com"},
        {"[inspect]\ntenants = ['contoso']", "fabrikam-my.sharepoint.com", NULL},
        {"[inspect]\ntenants = ['a', 'b']", "b-admin.sharepoint.us", "b-admin.sharepoint.us"},
        {"[inspect]\nnever = ['graph.microsoft.com']", "graph.microsoft.com", NULL},
        {"[inspect]\nnever = ['*.sharepoint.com']\ntenants = ['a']", "a.sharepoint.com", NULL},
        {"[inspect]\nnever = ['Graph.microsoft.com']", "x.graph.microsoft.com",
         "*.graph.microsoft.com"},
        {"[inspect.extra]\n'Mail.Example.com' = 'exchange'", "mail.example.com",
         "mail.example.com"},
        {"[inspect]\nextra = { '*.example.com' = 'exchange' }", "a.b.example.com", "*.example.com"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct diag d = {0};
        struct filters *f = build(rows[i].conf, &d);
        const struct host_entry *e = f != NULL ? filters_host(f, str_z(rows[i].host)) : NULL;
        if (d.errors > 0 || (e != NULL) != (rows[i].name != NULL) ||
            (e != NULL && !str_eq(e->name, str_z(rows[i].name)))) {
            fail_msg("row %zu: %s%s", i, e != NULL ? e->name.ptr : "closed", buf_cstr(&d.text));
        }
        filters_free(f);
        diag_free(&d);
    }
}

static void test_faults(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"[inspect]\npacks = ['mars']",
         "proxy.toml:2:10: there is no host pack \"mars\"; they are world, gcc-high, dod, china\n"},
        {"[inspect]\noptional = ['x']",
         "proxy.toml:2:13: there is no optional group of hosts \"x\"\n"},
        {"[inspect]\ntenants = ['contoso.sharepoint.com']",
         "proxy.toml:2:12: \"contoso.sharepoint.com\" is no tenant name; write the part before "
         ".sharepoint.com, such as \"contoso\"\n"},
        {"[inspect]\nnever = ['https://x']",
         "proxy.toml:2:10: \"https://x\" is no host; write a name such as mail.example.com, or "
         "*.example.com, without scheme and port\n"},
        {"[inspect]\nextra = { 'a.example' = 'graph', 'b c' = 'graph' }",
         "proxy.toml:2:34: \"b c\" is no host; write a name such as mail.example.com, or "
         "*.example.com, without scheme and port\n"},
        {"[inspect]\nextra = ['x']",
         "proxy.toml:2:9: extra wants a table such as { \"mail.example.com\" = \"exchange\" }, not "
         "a list\n"},
        {"[inspect]\nprofil = 'light'",
         "proxy.toml:2:1: unknown key \"profil\" in [inspect]; did you mean \"profile\"?\n"},
        {"inspect = 1", "proxy.toml:1:11: inspect is a section: write [inspect]\n"},
        {"[filters]\ndisable = ['graph.photo']",
         "proxy.toml:2:12: there is no rule \"graph.photo\"; photogate rules list shows them\n"},
        {"[filters]\npacks = ['/nonexistent/x.toml']",
         "proxy.toml:2:10: cannot read /nonexistent/x.toml: No such file or directory\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct diag d = {0};
        assert_null(build(rows[i][0], &d));
        check_text(&d.text, rows[i][1]);
        diag_free(&d);
    }
    struct diag d = {0};
    assert_null(build("[inspect]\nextra = { 'a.example' = 'exchang' }", &d));
    assert_true(str_starts(buf_view(&d.text),
                           STR("proxy.toml:2:25: there is no class of hosts \"exchang\"; they are "
                               "graph, aad-graph, exchange, ")));
    diag_free(&d);
}

static void count_host(void *ctx, const struct host_entry *e)
{
    size_t *count = ctx;
    assert_non_null(e->class);
    ++*count;
}

static void test_each(void **state)
{
    (void)state;
    struct diag d = {0};
    size_t count = 0;
    struct filters *f = build("[inspect]\nprofile = 'light'\npacks = ['world']\nnever = ['x.y']\n"
                              "never_networks = ['10.1.0.0/16']",
                              &d);
    filters_each_host(f, count_host, &count);
    assert_int_equal(count, 4);
    assert_int_equal(filters_count(f).hosts, 4);
    assert_int_equal(filters_never_networks(f)->count, 1);
    assert_false(filters_host(f, STR("graph.microsoft.com"))->cookies);
    filters_free(f);
}

static void test_names(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "a.b", "*.a.b", "a-b.c_d", "1.2"};
    static const char *const bad[] = {"",    "*.",  "a..b", ".a",  "a.",
                                      "A.b", "a b", "*a.b", "a.*", "*"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_true(hostmap_is_name(str_z(good[i])));
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_false(hostmap_is_name(str_z(bad[i])));
    }
}

/* 100,000 names: each is found, and what covers a host comes longest first. */
static void test_many(void **state)
{
    (void)state;
    enum {
        COUNT = 100000
    };
    struct hostmap m = {0};
    struct arena a = {0};
    struct buf b = {0};
    static int values[COUNT];
    void *found[HOSTMAP_MOST];
    for (int i = 0; i < COUNT; i++) {
        buf_clear(&b);
        buf_printf(&b, "%sh%d.example", i % 2 == 0 ? "*." : "", i);
        assert_null(hostmap_put(&m, arena_str(&a, buf_view(&b)), &values[i]));
    }
    assert_ptr_equal(hostmap_put(&m, STR("h1.example"), &values[5]), &values[1]);
    for (int i = 0; i < COUNT; i += 9) {
        buf_clear(&b);
        buf_printf(&b, "%sh%d.example", i % 2 == 0 ? "x.y." : "", i);
        assert_int_equal(hostmap_find(&m, buf_view(&b), found), 1);
        assert_ptr_equal(found[0], &values[i]);
    }
    assert_int_equal(hostmap_find(&m, STR("h0.example"), found), 0);
    assert_null(hostmap_put(&m, STR("*.example"), &values[1]));
    assert_null(hostmap_put(&m, STR("a.h0.example"), &values[2]));
    assert_int_equal(hostmap_find(&m, STR("a.h0.example"), found), 3);
    assert_true(found[0] == &values[2] && found[1] == &values[0] && found[2] == &values[1]);
    hostmap_free(&m);
    arena_free(&a);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open),  cmocka_unit_test(test_faults), cmocka_unit_test(test_each),
        cmocka_unit_test(test_names), cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
