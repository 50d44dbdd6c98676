/* SPDX-License-Identifier: Apache-2.0 */
/* Pages: what stands in a hole is text, whatever it holds; addresses become links, nothing else. */
#include "proxy/contact.h"
#include "proxy/template.h"
#include "tests/unit/check.h"

static void check_page(const char *page, const char *expected)
{
    struct buf b = {0};
    static const struct template_value values[] = {
        {.name = "a", .value = STR_INIT("one")},
        {.name = "evil", .value = STR_INIT("<script>\"x\" & 'y'</script>\x01\x1b[0m")},
        {.name = "hole", .value = STR_INIT("{{a}}")},
        {.name = "raw", .value = STR_INIT("<b>{{a}}</b>"), .raw = true},
        {.name = "none", .value = {NULL, 0}},
        {.name = NULL},
    };
    template_fill(&b, str_z(page), values);
    check_text(&b, expected);
    buf_free(&b);
}

static void test_holes(void **state)
{
    (void)state;
    check_page("", "");
    check_page("no holes", "no holes");
    check_page("{{a}}", "one");
    check_page("<{{a}}{{a}}>", "<oneone>");
    check_page("x{{b}}y", "xy");
    check_page("x{{}}y", "xy");
    check_page("x{{none}}y", "xy");
    check_page("x{{ a }}y", "xy");
    check_page("{a} {{a}", "{a} ");
    check_page("body{color:red} {{a}}", "body{color:red} one");
}

static void test_values_are_text(void **state)
{
    (void)state;
    check_page("<p title=\"{{evil}}\">", "<p title=\"&lt;script&gt;&quot;x&quot; &amp; "
                                         "&#39;y&#39;&lt;/script&gt;[0m\">");
    check_page("{{hole}}", "{{a}}"); /* a value is not looked at for holes */
    check_page("{{raw}}", "<b>{{a}}</b>");
}

static void check_contact(const char *contact, const char *expected)
{
    struct buf b = {0};
    contact_html(&b, str_z(contact), STR("PG-1 2&3"));
    check_text(&b, expected);
    buf_free(&b);
}

#define MAIL(href, text) "<a href=\"mailto:" href "?subject=PG-1%202%263\">" text "</a>"
#define WEB(href)        "<a rel=\"noreferrer\" href=\"" href "\">" href "</a>"

static void test_contact(void **state)
{
    (void)state;
    check_contact("", "");
    check_contact("the service desk (phone 4711)", "the service desk (phone 4711)");
    check_contact("help@corp.example", MAIL("help@corp.example", "help@corp.example"));
    check_contact("mailto:help@corp.example", MAIL("help@corp.example", "help@corp.example"));
    check_contact(
        "Anna (a.b+c@corp.example), or https://help.corp.example/photos?a=1&b=2.",
        "Anna (" MAIL("a.b%2Bc@corp.example",
                      "a.b+c@corp.example") "), or "
                                            "<a rel=\"noreferrer\" "
                                            "href=\"https://help.corp.example/photos?a=1&amp;b=2\">"
                                            "https://help.corp.example/photos?a=1&amp;b=2</a>.");
    check_contact("http://intranet/it", WEB("http://intranet/it"));
    check_contact("HTTPS://help.example", WEB("HTTPS://help.example"));
    check_contact("<help@corp.example>",
                  "&lt;" MAIL("help@corp.example", "help@corp.example") "&gt;");
    check_contact("\"Help\" <help@corp.example>;",
                  "&quot;Help&quot; &lt;" MAIL("help@corp.example", "help@corp.example") "&gt;;");
    check_contact("a\tb  c\n", "a\tb  c\n");
}

static void test_contact_is_no_way_in(void **state)
{
    (void)state;
    check_contact("javascript:alert(1)", "javascript:alert(1)");
    check_contact("data:text/html,x", "data:text/html,x");
    check_contact("https://", "https://");
    check_contact("https:///x", "https:///x");
    check_contact("https://a\"onclick=alert(1)", WEB("https://a") "&quot;onclick=alert(1)");
    check_contact("https://a.example/<script>", WEB("https://a.example/") "&lt;script&gt;");
    check_contact("https://m\xc3\xbcller.example", "https://m\xc3\xbcller.example");
    check_contact("x@y", "x@y");
    check_contact("x@.y", "x@.y");
    check_contact("@corp.example", "@corp.example");
    check_contact("a@b@corp.example", "a@b@corp.example");
    check_contact("x?subject=a&body=b@corp.example", MAIL("x%3Fsubject%3Da%26body%3Db@corp.example",
                                                          "x?subject=a&amp;body=b@corp.example"));
    check_contact("mailto:javascript:x", "mailto:javascript:x");
    check_contact("<img src=x onerror=alert(1)>", "&lt;img src=x onerror=alert(1)&gt;");
    check_contact("'\"><", "&#39;&quot;&gt;&lt;");
    check_contact(")))", ")))");
    check_contact("\x01\x02", "");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_holes),
        cmocka_unit_test(test_values_are_text),
        cmocka_unit_test(test_contact),
        cmocka_unit_test(test_contact_is_no_way_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
