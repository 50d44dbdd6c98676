/* SPDX-License-Identifier: Apache-2.0 */
/* The common floor: strings, queues, text, addresses, TOML, files. */
#include "common/b64.h"
#include "common/buf.h"
#include "common/bytes.h"
#include "common/clock.h"
#include "common/err.h"
#include "common/file.h"
#include "common/hash.h"
#include "common/ip.h"
#include "common/list.h"
#include "common/mem.h"
#include "common/toml.h"
#include "common/utf8.h"
#include "tests/unit/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static void test_str(void **state)
{
    (void)state;
    struct str rest = STR("a,,b"), piece;
    assert_true(str_cut(&rest, ',', &piece) && str_eq(piece, STR("a")));
    assert_true(str_cut(&rest, ',', &piece) && piece.len == 0);
    assert_true(str_cut(&rest, ',', &piece) && str_eq(piece, STR("b")));
    assert_false(str_cut(&rest, ',', &piece));
    rest = STR("");
    assert_true(str_cut(&rest, ',', &piece) && piece.len == 0);
    assert_false(str_cut(&rest, ',', &piece));

    uint64_t n;
    assert_true(str_u64(STR("18446744073709551615"), &n) && n == UINT64_MAX);
    static const char *const no_number[] = {
        "", "-1", "+1", " 1", "1 ", "0x1", "18446744073709551616"};
    for (size_t i = 0; i < ARRAY_LEN(no_number); i++) {
        assert_false(str_u64(str_z(no_number[i]), &n));
    }
    assert_true(str_list_has(STR("Keep-Alive, UPGRADE ,x"), STR("upgrade")));
    assert_false(str_list_has(STR("upgraded"), STR("upgrade")));
    assert_int_equal(str_find(STR("abcabd"), STR("abd")), 3);
    assert_int_equal(str_find(STR("abc"), STR("abcd")), -1);
    assert_int_equal(str_distance(STR("worker"), STR("workers"), 2), 1);
    assert_int_equal(str_distance(STR("listen"), STR("mode"), 2), 3);
    assert_true(str_cmp(STR("a"), STR("ab")) < 0 && str_cmp(STR("b"), STR("ab")) > 0);
}

static void test_bytes(void **state)
{
    (void)state;
    struct bytes_pool pool = {.spare_max = 4};
    struct bytes q = {.pool = &pool}, other = {.pool = &pool};
    size_t total = 3 * BYTES_CHUNK + 5;
    uint8_t *in = xmalloc(total), *out = xmalloc(total);
    for (size_t i = 0; i < total; i++) {
        in[i] = (uint8_t)(i * 31);
    }
    bytes_append(&q, in, 7);
    memcpy(bytes_reserve(&q, 100), in + 7, 100);
    bytes_commit(&q, 100);
    bytes_append(&other, in + 107, total - 107);
    bytes_move(&q, &other);
    assert_int_equal(q.len, total);
    assert_int_equal(other.len, 0);
    assert_int_equal(bytes_copy(&q, out, total), total);
    assert_memory_equal(in, out, total);

    size_t at = 0;
    while (q.len > 0) {
        struct iovec iov[2];
        size_t n = bytes_peek(&q, iov, 2);
        assert_true(n > 0);
        size_t take = MIN(iov[0].iov_len, (size_t)1000);
        assert_memory_equal(iov[0].iov_base, in + at, take);
        bytes_drop(&q, take);
        at += take;
    }
    assert_int_equal(at, total);
    assert_int_equal(pool.spare_count, 4);
    bytes_free(&q);
    bytes_pool_free(&pool);
    free(in);
    free(out);
}

static void test_buf(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_json(&b, STR("a\"\\\n\x01\x7f\xff\xc3\xbc\xe2\x80\xa8"));
    check_text(&b, "\"a\\\"\\\\\\n\\u0001\\u007f\\ufffd\xc3\xbc\\u2028\"");
    buf_html(&b, STR("<a href='x'>&\"\x01"));
    check_text(&b, "&lt;a href=&#39;x&#39;&gt;&amp;&quot;");
    buf_u64(&b, UINT64_MAX);
    buf_u64(&b, 0);
    check_text(&b, "184467440737095516150");
    char longer[1000];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    buf_printf(&b, "%s%d", longer, 7);
    assert_int_equal(b.len, sizeof(longer));
    assert_int_equal(b.ptr[b.len - 1], '7');
    buf_clear(&b);
    clock_rfc3339(&b, 951782400, 42);
    check_text(&b, "2000-02-29T00:00:00.000042Z");
    clock_http_date(&b, 784111777);
    check_text(&b, "Sun, 06 Nov 1994 08:49:37 GMT"); /* the example of RFC 9110, 5.6.7 */
    buf_free(&b);
}

static void test_b64(void **state)
{
    (void)state;
    static const char *const pair[][2] = {{"", ""},
                                          {"f", "Zg=="},
                                          {"fo", "Zm8="},
                                          {"foo", "Zm9v"},
                                          {"foob", "Zm9vYg=="},
                                          {"fooba", "Zm9vYmE="},
                                          {"foobar", "Zm9vYmFy"}}; /* RFC 4648, 10 */
    struct buf b = {0};
    for (size_t i = 0; i < ARRAY_LEN(pair); i++) {
        b64_encode(&b, pair[i][0], strlen(pair[i][0]), B64_STANDARD);
        check_text(&b, pair[i][1]);
        assert_int_equal(b64_decode(&b, str_z(pair[i][1]), B64_STANDARD), 0);
        check_text(&b, pair[i][0]);
    }
    b64_encode(&b, "\xff\xfe", 2, B64_URL);
    check_text(&b, "__4");
    static const char *const bad[] = {
        "Zg=", "Zg", "Zh==", "Z===", "Zm9v\n", "Zm 9", "Zg==Zg==", "__4="};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(b64_decode(&b, str_z(bad[i]), B64_STANDARD), ERR_SYNTAX);
        assert_int_equal(b.len, 0);
    }
    buf_free(&b);
}

static void test_utf8(void **state)
{
    (void)state;
    assert_true(utf8_is_valid(STR("gr\xc3\xbc\xc3\x9f \xf0\x9f\x93\xb7")));
    static const char *const bad[] = {"\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                      "\xe2\x82", "\x80",         "\xf8\x88\x80\x80\x80"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_false(utf8_is_valid(str_z(bad[i])));
    }
}

static void test_ip(void **state)
{
    (void)state;
    struct ip ip;
    struct ip_net net;
    struct buf b = {0};
    unsigned port;
    static const char *const bad_ip[] = {"",          "1.2.3",  "0x7f.1", "1.2.3.4.5",
                                         "256.1.1.1", "::1%lo", "[::1]",  "1.2.3.4 "};
    for (size_t i = 0; i < ARRAY_LEN(bad_ip); i++) {
        assert_false(ip_parse(str_z(bad_ip[i]), &ip));
    }
    assert_true(ip_parse(STR("2001:DB8::1"), &ip));
    ip_put(&b, &ip);
    check_text(&b, "2001:db8::1");
    assert_true(ip_net_parse(STR("10.0.0.0/8"), &net) && ip_parse(STR("10.255.1.2"), &ip) &&
                ip_in(&ip, &net));
    assert_true(ip_parse(STR("11.0.0.0"), &ip) && !ip_in(&ip, &net));
    assert_true(ip_parse(STR("::ffff:10.1.1.1"), &ip) && ip_in(&ip, &net));
    ip_net_put(&b, &net);
    check_text(&b, "10.0.0.0/8");
    assert_true(ip_net_parse(STR("192.0.2.128/25"), &net) && ip_parse(STR("192.0.2.127"), &ip) &&
                !ip_in(&ip, &net));
    static const char *const bad_net[] = {"10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/",
                                          "::/129",     "x/8",         "10.0.0.0/8/8"};
    for (size_t i = 0; i < ARRAY_LEN(bad_net); i++) {
        assert_false(ip_net_parse(str_z(bad_net[i]), &net));
    }
    static const char *const special[][2] = {
        {"127.0.0.53", "loopback"},
        {"::1", "loopback"},
        {"::ffff:127.0.0.1", "loopback"},
        {"169.254.169.254", "link-local"},
        {"64:ff9b::a9fe:a9fe", "link-local"},
        {"64:ff9b:1::a9fe:a9fe", "private"},
        {"64:ff9b:1:a9fe:a9:fe00::", "private"},
        {"::ffff:0:7f00:1", "special-purpose"},
        {"100::1", "special-purpose"},
        {"2002:7f00:1::", "loopback"},
        {"10.1.2.3", "private"},
        {"fd00:ec2::254", "metadata"},
        {"fe80::1", "link-local"},
        {"::", "unspecified"},
        {"255.255.255.255", "reserved"},
        {"::7f00:1", "unspecified"},
    };
    for (size_t i = 0; i < ARRAY_LEN(special); i++) {
        assert_true(ip_parse(str_z(special[i][0]), &ip));
        assert_string_equal(ip_special(&ip), special[i][1]);
    }
    assert_true(ip_parse(STR("20.190.160.1"), &ip) && ip_special(&ip) == NULL);
    assert_true(ip_parse(STR("2603:1026:3000::1"), &ip) && ip_special(&ip) == NULL);
    assert_true(ip_port_parse(STR("[::1]:3128"), &ip, &port) && port == 3128);
    assert_true(ip_port_parse(STR("127.0.0.1:1"), &ip, &port) && port == 1);
    static const char *const bad_port[] = {"127.0.0.1",       "127.0.0.1:", "127.0.0.1:0",
                                           "127.0.0.1:65536", "::1:80",     "[127.0.0.1]:80",
                                           "[::1]80",         "[::1]"};
    for (size_t i = 0; i < ARRAY_LEN(bad_port); i++) {
        assert_false(ip_port_parse(str_z(bad_port[i]), &ip, &port));
    }
    struct sockaddr_storage ss;
    assert_true(ip_parse(STR("198.51.100.7"), &ip));
    ip_to_sockaddr(&ip, 443, &ss);
    assert_int_equal(ss.ss_family, AF_INET);
    struct ip back = ip_of_sockaddr((struct sockaddr *)&ss);
    assert_true(ip_eq(&ip, &back));
    assert_int_equal(port_of_sockaddr((struct sockaddr *)&ss), 443);
    buf_free(&b);
}

static void test_toml(void **state)
{
    (void)state;
    struct toml_doc *doc;
    struct diag d = {0};
    assert_int_equal(toml_parse(STR("[b]\nz = 1\na = [ 'x', 2.5 ]\n[a]\nwhen = 2026-11-23\nt = { "
                                    "on = true }\n[[c]]\nn=1\n[[c]]\nn=2\n"),
                                "f.toml", &doc, &d),
                     0);
    const struct toml_node *root = toml_root(doc), *b = root->child;
    assert_string_equal(b->key.ptr, "b"); /* the order of the file, not of the alphabet */
    assert_string_equal(b->child->key.ptr, "z");
    const struct toml_node *a = b->child->next;
    assert_int_equal(a->kind, TOML_ARRAY);
    assert_int_equal(a->key_line, 3);
    assert_int_equal(a->key_column, 1);
    assert_int_equal(a->column, 5);
    assert_true(str_eq(a->child->string, STR("x")));
    assert_true(a->child->next->kind == TOML_FLOAT && a->child->next->real == 2.5);
    const struct toml_node *t = toml_get(toml_get(root, "a"), "t");
    assert_true(t->one_line && toml_get(t, "on")->boolean);
    assert_true(str_eq(toml_get(toml_get(root, "a"), "when")->string, STR("2026-11-23")));
    const struct toml_node *c = toml_get(root, "c");
    assert_true(c->kind == TOML_ARRAY && c->child->kind == TOML_TABLE &&
                toml_get(c->child->next, "n")->integer == 2);
    assert_null(toml_get(root, "nope"));
    toml_free(doc);

    static const struct {
        const char *text;
        const char *at;
    } bad[] = {{"a = 1\nb = 2\na = 3\n", "f.toml:3:"},
               {"a = \"x", "f.toml:1:"},
               {"a = 99999999999999999999", "f.toml:1:"},
               {"a = 1\xff", "f.toml:1:"}};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        diag_free(&d);
        assert_int_equal(toml_parse(str_z(bad[i].text), "f.toml", &doc, &d), ERR_CONFIG);
        assert_int_equal(d.errors, 1);
        assert_true(str_starts(buf_view(&d.text), str_z(bad[i].at)));
    }
    diag_free(&d);
    diag_error(&d, DIAG_FILE("f.toml"), "\"%s\" is none", "a\nb\tc\033[31m\177");
    assert_string_equal(buf_cstr(&d.text),
                        "f.toml: \"a b c?[31m?\" is none\n"); /* no line of its own */
    struct buf deep = {0};
    buf_z(&deep, "a = ");
    for (int i = 0; i < 1000; i++) {
        buf_char(&deep, '[');
    }
    assert_int_equal(toml_parse(buf_view(&deep), "f.toml", &doc, &d), ERR_CONFIG);
    buf_free(&deep);
    diag_free(&d);
    for (int i = 0; i < 1000; i++) { /* tables in tables by a dotted key */
        buf_z(&deep, i == 0 ? "a" : ".a");
    }
    buf_z(&deep, " = 1\n");
    assert_int_equal(toml_parse(buf_view(&deep), "f.toml", &doc, &d), ERR_CONFIG);
    assert_true(str_starts(buf_view(&d.text), STR("f.toml:1:")) && d.errors == 1);
    buf_free(&deep);
    diag_free(&d);
}

static void test_file(void **state)
{
    (void)state;
    char dir[] = "/tmp/photogate-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct buf b = {0};
    assert_int_equal(file_mkdir(fd, "a/b//c/", 0700), 0);
    assert_int_equal(file_mkdir(fd, "a/b/c", 0700), 0);
    assert_int_equal(file_replace(fd, "a/b/c/f", STR("one"), 0600), 0);
    assert_int_equal(file_replace(fd, "a/b/c/f", STR("two"), 0640), 0);
    struct stat st;
    assert_int_equal(fstatat(fd, "a/b/c/f", &st, 0), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    assert_int_equal(file_read(fd, "a/b/c/f", 3, &b), 0);
    check_text(&b, "two");
    assert_int_equal(file_read(fd, "a/b/c/f", 2, &b), ERR_LIMIT);
    assert_int_equal(file_read(fd, "a/b/c", 9, &b), -EISDIR);
    assert_int_equal(file_read(fd, "a/none", 9, &b), -ENOENT);
    assert_int_equal(b.len, 0);
    assert_int_equal(file_mkdir(fd, "a/b/c/f", 0700), -ENOTDIR);
    assert_int_equal(unlinkat(fd, "a/b/c/f", 0), 0);
    assert_int_equal(unlinkat(fd, "a/b/c", AT_REMOVEDIR), 0);
    assert_int_equal(unlinkat(fd, "a/b", AT_REMOVEDIR), 0);
    assert_int_equal(unlinkat(fd, "a", AT_REMOVEDIR), 0);
    assert_int_equal(rmdir(dir), 0);
    close(fd);
    buf_free(&b);
}

static void test_arena(void **state)
{
    (void)state;
    struct arena a = {0};
    char *first = arena_alloc(&a, 10);
    memset(first, 1, 10);
    char *big = arena_alloc(&a, 100000);
    memset(big, 2, 100000);
    struct str s = arena_str(&a, STR("hello"));
    assert_true(str_eq(s, STR("hello")) && s.ptr[5] == '\0');
    assert_int_equal(first[9], 1);
    arena_reset(&a);
    assert_true(a.total > 0 && a.total < 10000);
    arena_free(&a);
    assert_int_equal(a.total, 0);
}

static void test_list(void **state)
{
    (void)state;
    struct item {
        int n;
        struct list link;
    } items[3] = {{.n = 0}, {.n = 1}, {.n = 2}};
    struct list head, other;
    list_init(&head);
    list_init(&other);
    for (size_t i = 0; i < 3; i++) {
        list_append(&head, &items[i].link);
    }
    int sum = 0, at = 0;
    LIST_EACH_SAFE (it, &head) {
        struct item *item = LIST_OF(it, struct item, link);
        assert_int_equal(item->n, at++);
        sum += item->n;
        if (item->n == 1) {
            list_drop(it);
            list_drop(it);
        }
    }
    assert_int_equal(sum, 3);
    list_move(&other, &head);
    assert_true(list_is_empty(&head));
    assert_ptr_equal(other.next, &items[0].link);
    assert_ptr_equal(other.prev, &items[2].link);
}

static void test_hash(void **state)
{
    (void)state;
    assert_true(hash_str(STR("a")) != hash_str(STR("b")));
    assert_true(hash_str2(STR("ab"), STR("c")) != hash_str2(STR("a"), STR("bc")));
    assert_true(hash_str(STR("12345678")) != hash_str(STR("1234567")));
}

static void test_err(void **state)
{
    (void)state;
    assert_string_equal(err_str(0), "ok");
    assert_string_equal(err_str(-ECONNREFUSED), "Connection refused");
    assert_string_equal(err_str(ERR_TIMEOUT), "timed out");
    assert_string_equal(err_str(-123456), "unknown error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_str),  cmocka_unit_test(test_bytes), cmocka_unit_test(test_buf),
        cmocka_unit_test(test_b64),  cmocka_unit_test(test_utf8),  cmocka_unit_test(test_ip),
        cmocka_unit_test(test_toml), cmocka_unit_test(test_file),  cmocka_unit_test(test_arena),
        cmocka_unit_test(test_list), cmocka_unit_test(test_hash),  cmocka_unit_test(test_err),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
