/* SPDX-License-Identifier: Apache-2.0 */
/* The canonical request: paths by table, then what is not a path. */
#include "filters/canon.h"
#include "tests/unit/table.h"

static void make(struct canon *c, struct filter_request *r, const char *method, const char *target,
                 struct arena *a)
{
    *r = (struct filter_request){
        .method = str_z(method), .authority = STR("Graph.Microsoft.com"), .target = str_z(target)};
    canon_make(c, r, a);
}

static void canonical(struct buf *out, struct str target, unsigned *faults)
{
    struct arena a = {0};
    struct canon c;
    struct filter_request r = {
        .method = STR("PUT"), .authority = STR("graph.microsoft.com"), .target = target};
    canon_make(&c, &r, &a);
    *faults = c.path.faults;
    buf_clear(out);
    path_put(out, &c.path.reading[0]);
    arena_free(&a);
}

static void test_paths(void **state)
{
    (void)state;
    struct table t;
    struct buf text = {0}, again = {0};
    table_open(&t, "canon.txt");
    while (table_next(&t)) {
        unsigned faults, ignored;
        canonical(&text, t.column[0], &faults);
        struct str fault = str_z(faults != 0 ? path_fault_text(faults) : "");
        if (!str_eq(buf_view(&text), t.column[1]) || !str_starts(fault, t.column[2]) ||
            (t.column[2].len == 0) != (faults == 0)) {
            fail_msg("canon.txt:%u: reads %s, unreadable: " STR_FMT, t.line, buf_cstr(&text),
                     STR_ARG(fault));
        }
        canonical(&again, buf_view(&text), &ignored);
        if (!(faults & PATH_UNSTABLE) && !str_eq(buf_view(&text), buf_view(&again))) {
            fail_msg("canon.txt:%u: %s reads %s", t.line, buf_cstr(&text), buf_cstr(&again));
        }
    }
    buf_free(&text);
    buf_free(&again);
}

/* Every way in which the path of `target` may be read, one a line. */
static void put_readings(struct buf *out, const char *target)
{
    struct arena a = {0};
    struct canon c;
    struct filter_request r;
    make(&c, &r, "PUT", target, &a);
    for (size_t i = 0; i < c.path.count; i++) {
        path_put(out, &c.path.reading[i]);
        buf_char(out, '\n');
    }
    arena_free(&a);
}

static void test_readings(void **state)
{
    (void)state;
    struct buf b = {0};
    put_readings(&b, "/me/photo");
    check_text(&b, "/me/photo\n");
    put_readings(&b, "/me/photo/%252e%252e/x"); /* decoded twice, once; dots taken, kept */
    check_text(&b, "/me/x\n/me/photo/../x\n/me/photo/%252e%252e/x\n");
    put_readings(&b, "/users('a/b')/c"); /* the same text, but cut in two places */
    check_text(&b, "/users('a/b')/c\n/users('a/b')/c\n");
    put_readings(&b, "/me/photo%3Fx/y");
    check_text(&b, "/me/photo%3Fx/y\n/me/photo\n");
    put_readings(&b, "/me/%EF%BD%90hoto\xC5\xBF");
    check_text(&b, "/me/%EF%BD%90hoto%C5%BF\n/me/photos\n");
    buf_free(&b);
}

static void test_segments(void **state)
{
    (void)state;
    struct arena a = {0};
    struct canon c;
    struct filter_request r;
    make(&c, &r, "PUT", "/v1.0/users('x')/drive/root:/photo/b.txt:/content", &a);
    struct path *p = &c.path.reading[0];
    assert_int_equal(p->count, 8);
    assert_true(str_eq(p->seg[1].text, STR("users")) && !p->seg[1].key && p->seg[1].start);
    assert_true(str_eq(p->seg[2].text, STR("'x'")) && p->seg[2].key && !p->seg[2].start);
    assert_true(str_eq(p->seg[4].text, STR("root")) && p->seg[4].colon);
    path_mark_files(p);
    assert_false(p->seg[4].file);
    assert_true(p->seg[5].file && p->seg[6].file);
    assert_false(p->seg[7].file);
    /* A colon behind what is no drive anchors nothing. */
    make(&c, &r, "PUT", "/v1.0/users/x:/photo/$value", &a);
    path_mark_files(&c.path.reading[0]);
    assert_false(c.path.reading[0].seg[3].file);
    arena_free(&a);
}

static void test_bounds(void **state)
{
    (void)state;
    struct arena a = {0};
    struct canon c;
    struct buf b = {0};
    for (int i = 0; i < 300; i++) {
        buf_z(&b, "/a");
    }
    struct filter_request r = {.method = STR("PUT"), .authority = STR("x"), .target = buf_view(&b)};
    canon_make(&c, &r, &a);
    assert_int_equal(c.path.faults, PATH_DEEP);
    assert_int_equal(c.path.reading[0].count, PATH_SEGMENTS);
    while (b.len <= PATH_BYTES) {
        buf_z(&b, "aaaaaaaaaaaaaaaa");
    }
    r.target = buf_view(&b);
    canon_make(&c, &r, &a);
    assert_true(c.path.faults & PATH_LONG);
    /* Parentheses that never close must not cost the square of their number. */
    buf_clear(&b);
    for (int i = 0; i < 2000; i++) {
        buf_z(&b, "/'('");
    }
    r.target = buf_view(&b);
    canon_make(&c, &r, &a);
    assert_true(c.path.faults & PATH_DEEP);
    buf_clear(&b);
    buf_z(&b, "/a?");
    for (int i = 0; i < CANON_PAIRS + 1; i++) {
        buf_z(&b, "a=b&");
    }
    r.target = buf_view(&b);
    canon_make(&c, &r, &a);
    assert_true(c.path.faults & PATH_QUERY);
    assert_int_equal(c.pairs, CANON_PAIRS);
    buf_free(&b);
    arena_free(&a);
}

static void test_query(void **state)
{
    (void)state;
    struct arena a = {0};
    struct canon c;
    struct filter_request r;
    make(&c, &r, "GET", "/x?%61ction=Upload%50hoto&a+b=%2541&flag&=v&&e=100%&u=a%26b", &a);
    static const char *const want[][2] = {{"action", "UploadPhoto"},
                                          {"a b", "A"},
                                          {"flag", ""},
                                          {"", "v"},
                                          {"e", "100%"},
                                          {"u", "a&b"}};
    assert_int_equal(c.pairs, ARRAY_LEN(want));
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        assert_true(str_eq(c.query[i].name, str_z(want[i][0])));
        assert_true(str_eq(c.query[i].value, str_z(want[i][1])));
    }
    assert_int_equal(c.path.faults, 0);
    arena_free(&a);
}

static void test_write(void **state)
{
    (void)state;
    static const struct {
        const char *method, *field, *value, *target;
        bool write, preflight;
    } rows[] = {
        {"GET", "", "", "/x", false, false},
        {"head", "", "", "/x", false, false},
        {"OPTIONS", "", "", "/x", false, true},
        {"PUT", "", "", "/x", true, false},
        {"put", "", "", "/x", true, false},
        {"FROBNICATE", "", "", "/x", true, false},
        {"GET", "X-HTTP-Method", "PUT", "/x", true, false},
        {"GET", "x-http-method-override", " MERGE ", "/x", true, false},
        {"GET", "X-Method-Override", "Delete", "/x", true, false},
        {"OPTIONS", "X-HTTP-Method", "PUT", "/x", true, false},
        {"GET", "X-HTTP-Method", "get", "/x", false, false},
        {"GET", "X-HTTP-Method", "", "/x", false, false},
        {"POST", "X-HTTP-Method", "GET", "/x", true, false},
        {"GET", "X-HTTP-Methods", "PUT", "/x", false, false},
        {"GET", "", "", "/x?ConvertSimpleRequest=PUT", true, false},
        {"GET", "", "", "/x?ConvertSimpleRequest=get", false, false},
        {"GET", "", "", "/x?%24httpMethod=DELETE", true, false},
        {"GET", "", "", "/x?method=PUT", false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena a = {0};
        struct canon c;
        struct filter_field f[] = {{STR("Accept"), STR("*/*")},
                                   {str_z(rows[i].field), str_z(rows[i].value)}};
        struct filter_request r = {.method = str_z(rows[i].method),
                                   .authority = STR("x"),
                                   .target = str_z(rows[i].target),
                                   .field = f,
                                   .fields = 2};
        canon_make(&c, &r, &a);
        if (c.write != rows[i].write || c.preflight != rows[i].preflight) {
            fail_msg("row %zu: write %d, preflight %d", i, c.write, c.preflight);
        }
        arena_free(&a);
    }
}

static void test_authority(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host;
        unsigned port; /* 0: refused */
    } rows[] = {
        {"graph.microsoft.com", "graph.microsoft.com", 443},
        {"GRAPH.Microsoft.COM.", "graph.microsoft.com", 443},
        {"graph.microsoft.com:443", "graph.microsoft.com", 443},
        {"graph.microsoft.com.:8443", "graph.microsoft.com", 8443},
        {"graph.microsoft.com:", "graph.microsoft.com", 443},
        {"[2001:db8::1]", "[2001:db8::1]", 443},
        {"[2001:db8::1]:80", "[2001:db8::1]", 80},
        {"host:99999", "", 0},
        {"host:4x3", "", 0},
        {"user@graph.microsoft.com", "", 0},
    };
    struct arena a = {0};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str host = STR_NONE;
        unsigned port = 443;
        bool ok = canon_authority(str_z(rows[i].text), &host, &port, &a);
        assert_int_equal(ok, rows[i].port != 0);
        if (ok) {
            assert_true(str_eq(host, str_z(rows[i].host)) && port == rows[i].port);
        }
    }
    arena_free(&a);
}

static void test_absolute_form(void **state)
{
    (void)state;
    static const struct {
        const char *target, *path;
        bool agrees;
    } rows[] = {
        {"https://graph.microsoft.com/v1.0/me", "/v1.0/me", true},
        {"HTTPS://GRAPH.microsoft.com:443/v1.0/me", "/v1.0/me", true},
        {"https://graph.microsoft.com", "/", true},
        {"https://graph.microsoft.com?x=1", "/", true},
        {"https://outlook.office.com/v1.0/me", "/v1.0/me", false},
        {"https://graph.microsoft.com:8443/v1.0/me", "/v1.0/me", false},
        {"https://graph.microsoft.com\\v1.0/me", "/v1.0/me", true},
        {"https://graph.microsoft.com@evil.example/v1.0/me", "/v1.0/me", false},
        {"me/photo", "/me/photo", true},
        {"*", "/*", true},
    };
    struct buf b = {0};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena a = {0};
        struct canon c;
        struct filter_request r;
        make(&c, &r, "PUT", rows[i].target, &a);
        path_put(&b, &c.path.reading[0]);
        check_text(&b, rows[i].path);
        assert_int_equal(c.path.faults, rows[i].agrees ? 0 : PATH_AUTHORITY);
        assert_true(c.target_host.len == 0 || c.target_host.ptr[0] == 'g' ||
                    str_eq(c.target_host, STR("outlook.office.com")));
        arena_free(&a);
    }
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),     cmocka_unit_test(test_readings),
        cmocka_unit_test(test_segments),  cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_query),     cmocka_unit_test(test_write),
        cmocka_unit_test(test_authority), cmocka_unit_test(test_absolute_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
