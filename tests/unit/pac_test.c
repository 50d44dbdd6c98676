/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PAC file as an evaluator sees it. Before each file is loaded, every function that looks names
 * up or knows the client's address is replaced by one that throws: a browser would wait in them.
 */
#include "common/hash.h"
#include "common/mem.h"
#include "filters/filters.h"
#include "proxy/pac.h"
#include "tests/unit/check.h"

#include <pacparser.h>
#include <stdio.h>
#include <stdlib.h>

/* libpacparser 1.3.6 leaks the URL it was asked for. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libpacparser";
}

static const char poison[] =
    "function forbidden() { throw 'a function that looks names up was called'; }\n"
    "dnsResolve = dnsResolveEx = isResolvable = isResolvableEx = isInNet = isInNetEx = "
    "myIpAddress = myIpAddressEx = forbidden;\n";

static int print_nothing(const char *format, va_list args)
{
    (void)format;
    (void)args;
    return 0;
}

static bool load(const struct pac *p)
{
    struct buf script = {0};
    pac_write(&script, p);
    assert_int_equal(pacparser_init(), 1);
    assert_int_equal(pacparser_parse_pac_string(poison), 1);
    bool loaded = pacparser_parse_pac_string(buf_cstr(&script)) == 1;
    if (!loaded) {
        print_error("%s\n", buf_cstr(&script));
    }
    buf_free(&script);
    return loaded;
}

static void unload(void)
{
    pacparser_cleanup();
}

/* What the loaded file says for `host`, until the next call. */
static const char *route(const char *host)
{
    char url[600];
    snprintf(url, sizeof(url), "https://%s/a?b=c", host);
    const char *answer = pacparser_find_proxy(url, host);
    return answer != NULL ? answer : "(error)";
}

#define check_route(host, expected) assert_string_equal(route(host), expected)

#define LIST(array)                                                \
    {                                                              \
        .item = (array), .count = sizeof(array) / sizeof(*(array)) \
    }

static const struct str one_proxy[] = {STR_INIT("PROXY gate.corp.example:3128")};
static const struct str own[] = {STR_INIT("gate.corp.example")};
static const struct str inspected[] = {STR_INIT("graph.microsoft.com"),
                                       STR_INIT("*.sharepoint.com"), STR_INIT("*.a.b.example")};
#define GATE "PROXY gate.corp.example:3128"

static struct pac sample(void)
{
    return (struct pac){
        .own = LIST(own),
        .inspected = LIST(inspected),
        .proxy = one_proxy,
        .proxy_count = 1,
        .otherwise = STR("DIRECT"),
    };
}

static void test_exact_names(void **state)
{
    (void)state;
    const struct pac p = sample();
    assert_true(load(&p));
    check_route("graph.microsoft.com", GATE);
    check_route("GRAPH.Microsoft.COM", GATE);
    check_route("graph.microsoft.com.", GATE);
    check_route("GRAPH.MICROSOFT.COM.", GATE);
    check_route("xgraph.microsoft.com", "DIRECT");
    check_route("x.graph.microsoft.com", "DIRECT");
    check_route("graph.microsoft.com.evil.example", "DIRECT");
    check_route("graph.microsoft.co", "DIRECT");
    check_route("graph-microsoft.com", "DIRECT");
    check_route("microsoft.com", "DIRECT");
    unload();
}

static void test_suffixes(void **state)
{
    (void)state;
    const struct pac p = sample();
    assert_true(load(&p));
    check_route("contoso.sharepoint.com", GATE);
    check_route("contoso-my.SharePoint.com.", GATE);
    check_route("a.b.c.sharepoint.com", GATE);
    check_route("sharepoint.com", "DIRECT");
    check_route("xsharepoint.com", "DIRECT");
    check_route("sharepoint.com.evil.example", "DIRECT");
    check_route("x.a.b.example", GATE);
    check_route("a.b.example", "DIRECT");
    check_route("b.example", "DIRECT");
    unload();
}

/* Names that JavaScript objects have by themselves are not in the lists. */
static void test_names_that_objects_have(void **state)
{
    (void)state;
    const struct pac p = sample();
    assert_true(load(&p));
    check_route("constructor", "DIRECT");
    check_route("x.constructor", "DIRECT");
    check_route("x.toString", "DIRECT");
    check_route("hasOwnProperty", "DIRECT");
    check_route("__proto__", "DIRECT");
    check_route("x.__proto__", "DIRECT");
    unload();
}

static void test_addresses(void **state)
{
    (void)state;
    const struct pac p = sample();
    assert_true(load(&p));
    check_route("192.0.2.1", "DIRECT");
    check_route("::1", "DIRECT");
    check_route("[2001:db8::1]", "DIRECT");
    unload();
}

static void test_several_proxies_in_order(void **state)
{
    (void)state;
    struct pac p = sample();
    const struct str three[] = {STR_INIT("HTTPS a.example:443"), STR_INIT("PROXY b.example:3128"),
                                STR_INIT("PROXY [2001:db8::1]:3128")};
    p.proxy = three;
    p.proxy_count = 3;
    assert_true(load(&p));
    check_route("graph.microsoft.com",
                "HTTPS a.example:443; PROXY b.example:3128; PROXY [2001:db8::1]:3128");
    unload();
    p.fail_open = true;
    assert_true(load(&p));
    check_route("graph.microsoft.com",
                "HTTPS a.example:443; PROXY b.example:3128; PROXY [2001:db8::1]:3128; DIRECT");
    unload();
}

static void test_otherwise(void **state)
{
    (void)state;
    struct pac p = sample();
    p.otherwise = STR("PROXY old.corp.example:8080; DIRECT");
    assert_true(load(&p));
    check_route("graph.microsoft.com", GATE);
    check_route("www.example.org", "PROXY old.corp.example:8080; DIRECT");
    check_route("gate.corp.example", "DIRECT");
    check_route("Gate.Corp.Example.", "DIRECT");
    check_route("x.gate.corp.example", "PROXY old.corp.example:8080; DIRECT");
    unload();
}

static void test_everything(void **state)
{
    (void)state;
    struct pac p = sample();
    p.all = true;
    static const struct str direct[] = {STR_INIT("intra.example"), STR_INIT("*.intra.example"),
                                        STR_INIT("graph.microsoft.com")};
    p.direct = (struct pac_names)LIST(direct);
    assert_true(load(&p));
    static const char *const through[] = {"www.example.org",
                                          "graph.microsoft.com",
                                          "contoso.sharepoint.com",
                                          "192.0.2.1",
                                          "172.15.0.1",
                                          "172.32.0.1",
                                          "11.0.0.1",
                                          "10.example.org",
                                          "127.example.org",
                                          "192.168.example.org",
                                          "x.localhost.example",
                                          "2001:db8::1",
                                          "[2001:db8::1]",
                                          "xintra.example",
                                          "fd.example.org",
                                          "fd0:1::1",
                                          "10.1.evil.example"};
    static const char *const directly[] = {"intranet",
                                           "localhost",
                                           "LOCALHOST",
                                           "x.localhost",
                                           "printer.local",
                                           "127.0.0.1",
                                           "127.1.2.3",
                                           "10.1.2.3",
                                           "192.168.1.1",
                                           "172.16.0.1",
                                           "172.31.255.255",
                                           "169.254.169.254",
                                           "::1",
                                           "[::1]",
                                           "fe80::1",
                                           "[fd12:3456::1]",
                                           "fc00::1",
                                           "intra.example",
                                           "www.intra.example.",
                                           "gate.corp.example"};
    for (size_t i = 0; i < sizeof(through) / sizeof(*through); i++) {
        check_route(through[i], GATE);
    }
    for (size_t i = 0; i < sizeof(directly) / sizeof(*directly); i++) {
        check_route(directly[i], "DIRECT");
    }
    unload();
}

/* No text of a configuration can end its literal, whatever it holds. */
static void test_hostile_strings(void **state)
{
    (void)state;
    static const char *const hostile[] = {
        "\"; return \"DIRECT\"; var x = \"",
        "\\",
        "\\\"; gate = \"DIRECT",
        "*/ gate = 'DIRECT'; /*",
        "a\nvar gate = \"DIRECT\"",
        "a\r\nvar gate = \"DIRECT\"",
        "a\xe2\x80\xa8var gate = \"DIRECT\"",
        "a\xe2\x80\xa9var gate = \"DIRECT\"",
        "</script><script>",
        "\x01\x7f\xff\xfe",
        "'+alert(1)+'",
        "${1+1}",
    };
    for (size_t i = 0; i < sizeof(hostile) / sizeof(*hostile); i++) {
        struct str bad = str_z(hostile[i]);
        char suffix[100];
        snprintf(suffix, sizeof(suffix), "*.%s", hostile[i]);
        const struct str names[] = {bad, str_z(suffix), STR_INIT("graph.microsoft.com")};
        for (int all = 0; all < 2; all++) {
            struct pac p = {.own = {names, 2},
                            .inspected = {names, 3},
                            .direct = {names, 2},
                            .all = all != 0,
                            .proxy = one_proxy,
                            .proxy_count = 1,
                            .otherwise = bad};
            assert_true(load(&p));
            check_route("graph.microsoft.com", GATE);
            check_route("gate", all != 0 ? "DIRECT" : route("otherwise"));
            unload();
        }
        /* a route is handed over as it is, and is nothing but a string */
        struct pac p = sample();
        p.proxy = &bad;
        assert_true(load(&p));
        check_route("www.example.org", "DIRECT");
        assert_string_not_equal(route("graph.microsoft.com"), "DIRECT");
        unload();
    }
}

static void test_a_thousand_hosts(void **state)
{
    (void)state;
    enum {
        HOSTS = 1000
    };
    static char text[HOSTS][40];
    static struct str names[HOSTS];
    for (int i = 0; i < HOSTS; i++) {
        snprintf(text[i], sizeof(text[i]), "%sh%d.example.com", i % 2 != 0 ? "*." : "", i);
        names[i] = str_z(text[i]);
    }
    struct pac p = sample();
    p.inspected = (struct pac_names){names, HOSTS};
    assert_true(load(&p));
    for (int i = 0; i < HOSTS; i++) {
        bool suffix = i % 2 != 0;
        char host[60];
        snprintf(host, sizeof(host), "h%d.example.com", i);
        check_route(host, suffix ? "DIRECT" : GATE);
        snprintf(host, sizeof(host), "x.h%d.example.com", i);
        check_route(host, suffix ? GATE : "DIRECT");
    }
    check_route("h1000.example.com", "DIRECT");
    unload();
}

static void test_no_proxy_and_no_host(void **state)
{
    (void)state;
    struct pac p = sample();
    p.proxy_count = 0;
    assert_true(load(&p));
    check_route("graph.microsoft.com", "DIRECT");
    unload();
    const struct pac empty = {.otherwise = STR("DIRECT"), .proxy = one_proxy, .proxy_count = 1};
    assert_true(load(&empty));
    check_route("graph.microsoft.com", "DIRECT");
    unload();
}

/* ---- the shipped list: browsers and the proxy must agree on what is inspected ---- */

static struct str listed[2000];
static size_t listed_count;

static void add_listed(void *ctx, const struct host_entry *entry)
{
    (void)ctx;
    assert_true(listed_count < sizeof(listed) / sizeof(*listed));
    listed[listed_count++] = entry->name;
}

static void check_agrees(const struct filters *f, const char *host)
{
    check_route(host, filters_host(f, str_z(host)) != NULL ? GATE : "DIRECT");
}

static void test_agrees_with_the_filters(void **state)
{
    (void)state;
    struct filters_conf conf;
    struct filters *f = NULL;
    struct diag d = {0};
    hash_init();
    memset(&conf, 0, sizeof(conf));
    filters_conf_defaults(&conf);
    assert_int_equal(filters_build(&conf, &f, &d), 0);
    filters_each_host(f, add_listed, NULL);
    assert_true(listed_count > 20);
    struct pac p = sample();
    p.inspected = (struct pac_names){listed, listed_count};
    assert_true(load(&p));
    for (size_t i = 0; i < listed_count; i++) {
        struct str name = str_starts(listed[i], STR("*.")) ? str_skip(listed[i], 2) : listed[i];
        static const char *const around[] = {STR_FMT,      "x." STR_FMT, "a.b." STR_FMT,
                                             "x" STR_FMT,  STR_FMT ".",  STR_FMT ".example",
                                             "x-" STR_FMT, STR_FMT "m",  "www." STR_FMT "."};
        for (size_t k = 0; k < sizeof(around) / sizeof(*around); k++) {
            struct buf host = {0};
            ptrdiff_t at = str_find(str_z(around[k]), STR(STR_FMT));
            buf_put(&host, around[k], (size_t)at);
            buf_str(&host, name);
            buf_z(&host, around[k] + at + strlen(STR_FMT));
            check_agrees(f, buf_cstr(&host));
            buf_free(&host);
        }
    }
    unload();
    filters_free(f);
    diag_free(&d);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact_names),
        cmocka_unit_test(test_suffixes),
        cmocka_unit_test(test_names_that_objects_have),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_several_proxies_in_order),
        cmocka_unit_test(test_otherwise),
        cmocka_unit_test(test_everything),
        cmocka_unit_test(test_hostile_strings),
        cmocka_unit_test(test_a_thousand_hosts),
        cmocka_unit_test(test_no_proxy_and_no_host),
        cmocka_unit_test(test_agrees_with_the_filters),
    };
    if (getenv("PAC_TEST_VERBOSE") == NULL) {
        pacparser_set_error_printer(print_nothing);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
