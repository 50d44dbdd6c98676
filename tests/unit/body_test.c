/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies: the packs' own vectors, cut at any place, coded in any way and respelled, keep their
 * verdict; and a verdict comes as soon as it is certain. Cuts and spellings are drawn from a fixed
 * seed, or from the one in the first argument; the second is how many.
 */
#include "common/cc.h"
#include "filters/decide.h"
#include "filters/embedded.h"
#include "filters/vectors.h"
#include "tests/unit/check.h"
#include "tests/unit/coder.h"

#include <jansson.h>

#include <stdlib.h>

static const struct actor nobody;
static uint64_t seed = 20261124, rounds = 10000; /* of each kind */

static unsigned draw(unsigned below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed >> 33) % below;
}

struct packs {
    struct ruleset *rs;
    struct hosts hosts;
    struct cases {
        const struct schema_str **item;
        size_t count;
    } block, pass; /* vectors with a body */
};

static void collect(struct cases *to, const struct schema_strs *from)
{
    for (size_t i = 0; i < from->count; i++) {
        if (str_find(from->item[i].text, STR("| @b")) >= 0) {
            to->item = xrealloc(to->item, (to->count + 1) * sizeof(struct schema_str *));
            to->item[to->count++] = &from->item[i];
        }
    }
}

static void packs_open(struct packs *p)
{
    struct pack_source *sources = xcalloc(embedded_count, sizeof(*sources));
    struct diag d = {0};
    *p = (struct packs){0};
    for (size_t i = 0; i < embedded_count; i++) {
        sources[i] = embedded_pack(i);
    }
    assert_int_equal(ruleset_build(&p->rs, sources, embedded_count, &d), 0);
    hosts_build_all(&p->hosts, p->rs);
    for (size_t i = 0; i < p->rs->packs; i++) {
        for (size_t k = 0; k < p->rs->pack[i].rules.count; k++) {
            collect(&p->block, &p->rs->pack[i].rules.item[k].block);
            collect(&p->pass, &p->rs->pack[i].rules.item[k].pass);
        }
    }
    assert_true(p->block.count > 60 && p->pass.count > 40);
    free(sources);
}

static void packs_close(struct packs *p)
{
    free(p->block.item);
    free(p->pass.item);
    hosts_free(&p->hosts);
    ruleset_free(p->rs);
}

/* The verdict on the body in pieces of at most `most` bytes. */
static struct verdict in_pieces(struct packs *p, const struct filter_request *r, size_t most,
                                struct arena *a)
{
    struct filter_request head = *r;
    head.body = STR_NONE;
    head.body_complete = false;
    struct deciding *d = deciding_new(p->rs, &p->hosts, NULL, &head, &nobody, a);
    struct verdict v = deciding_feed(d, STR_NONE);
    struct str rest = r->body;
    while (v.kind == VERDICT_NEED_BODY && rest.len > 0) {
        size_t len = 1 + draw((unsigned)most);
        len = MIN(len, rest.len);
        assert_true(v.need > 0);
        v = deciding_feed(d, str_of(rest.ptr, len));
        rest = str_skip(rest, len);
    }
    if (v.kind == VERDICT_NEED_BODY) {
        v = deciding_end(d);
    }
    assert_int_not_equal(v.kind, VERDICT_NEED_BODY);
    deciding_free(d);
    return v;
}

static bool has_field(const struct filter_request *r, struct str name)
{
    size_t at = 0;
    return canon_field(r, name, &at) != NULL;
}

/* JSON with the same meaning: letters escaped, blanks between tokens. */
static void respell_json(struct buf *b, struct str s)
{
    bool string = false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (string && c == '\\') {
            size_t len = s.ptr[i + 1] == 'u' ? 6 : 2;
            buf_put(b, s.ptr + i, len);
            i += len - 1;
        } else if (string && c != '"' && (unsigned char)c < 0x80 && draw(3) == 0) {
            buf_printf(b, draw(2) ? "\\u%04x" : "\\u%04X", (unsigned)c);
        } else if (string && c == '/' && draw(2)) {
            buf_z(b, "\\/");
        } else {
            string ^= c == '"';
            buf_char(b, c);
            if (!string && str_index(STR("[]{},:"), c) >= 0 && draw(4) == 0) {
                buf_z(b, draw(2) ? " \r\n" : "\t");
            }
        }
    }
}

/* XML with the same meaning: comments, blanks and instructions between elements. */
static void respell_xml(struct buf *b, struct str s)
{
    static const char *const between[] = {"", "\n\t", "<!--SetUserPhoto-->", "<?x y?>"};
    for (size_t i = 0; i < s.len; i++) {
        buf_char(b, s.ptr[i]);
        if (s.ptr[i] == '>' && i + 1 < s.len && s.ptr[i + 1] == '<') {
            buf_z(b, between[draw(ARRAY_LEN(between))]);
        }
    }
}

static void respell(struct buf *b, const struct filter_request *r)
{
    json_t *root = json_loadb(r->body.ptr, r->body.len, JSON_REJECT_DUPLICATES, NULL);
    buf_clear(b);
    if (root != NULL) {
        respell_json(b, r->body);
    } else if (str_starts(r->body, STR("<")) && !has_field(r, STR("content-encoding"))) {
        respell_xml(b, r->body);
    } else {
        buf_str(b, r->body);
    }
    json_decref(root);
}

static void run(struct packs *p, const struct cases *cases, bool block)
{
    struct arena a = {0};
    struct buf body = {0}, coded = {0};
    for (uint64_t i = 0; i < rounds; i++) {
        const struct schema_str *vector = cases->item[draw((unsigned)cases->count)];
        struct filter_request r;
        enum coder coder = (enum coder)draw(CODERS);
        assert_true(vector_parse(vector->text, &r, &a));
        respell(&body, &r);
        r.body = buf_view(&body);
        if (r.body.len > 0 && !has_field(&r, STR("content-encoding"))) {
            struct filter_field *field = arena_alloc(&a, (r.fields + 1) * sizeof(*field));
            memcpy(field, r.field, r.fields * sizeof(*field));
            field[r.fields++] =
                (struct filter_field){STR("Content-Encoding"), str_z(coder_names[coder])};
            r.field = field;
            buf_clear(&coded);
            coder_put(&coded, r.body, coder);
            r.body = buf_view(&coded);
        }
        struct verdict whole = decide(p->rs, &p->hosts, NULL, &r, &nobody, &a);
        struct verdict v = in_pieces(p, &r, draw(2) ? 3 : 1 + r.body.len, &a);
        if ((v.kind == VERDICT_BLOCK) != block || whole.kind != v.kind || whole.rule != v.rule) {
            fail_msg("%s:%u: coded %s: %s, " STR_FMT ": %s", vector->at.file, vector->at.line,
                     coder_names[coder], v.rule != NULL ? v.rule->id : "passes",
                     STR_ARG(v.evidence), buf_cstr(&body));
        }
        arena_reset(&a);
    }
    buf_free(&body);
    buf_free(&coded);
    arena_free(&a);
}

static void test_respelled(void **state)
{
    (void)state;
    struct packs p;
    packs_open(&p);
    run(&p, &p.block, true);
    run(&p, &p.pass, false);
    packs_close(&p);
}

#define ENVELOPE "<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'><s:Body>"

/* How many bytes of `body` it takes until the verdict is there. */
static size_t settled_at(struct packs *p, const char *head, struct str body, struct verdict *v)
{
    struct arena a = {0};
    struct filter_request r;
    size_t at = 0;
    assert_true(vector_parse(str_z(head), &r, &a));
    r.body_complete = false;
    struct deciding *d = deciding_new(p->rs, &p->hosts, NULL, &r, &nobody, &a);
    *v = deciding_feed(d, STR_NONE);
    while (v->kind == VERDICT_NEED_BODY && at < body.len) {
        size_t len = MIN((size_t)1024, body.len - at);
        *v = deciding_feed(d, str_of(body.ptr + at, len));
        at += len;
    }
    deciding_free(d);
    arena_free(&a);
    return at;
}

/* A mail of any size streams once its class can no longer matter; a photo is seen at once. */
static void test_early(void **state)
{
    (void)state;
    static const char ews[] = "POST https://outlook.office365.com/EWS/Exchange.asmx";
    struct packs p;
    struct verdict v;
    struct buf body = {0};
    packs_open(&p);
    buf_z(&body, ENVELOPE "<m:GetItem xmlns:m='x'>");
    memset(buf_room(&body, 1 << 20), 'A', 1 << 20);
    body.len += 1 << 20;
    assert_int_equal(settled_at(&p, ews, buf_view(&body), &v), 1024);
    assert_int_equal(v.kind, VERDICT_PASS);

    buf_clear(&body);
    buf_z(&body, ENVELOPE "<m:CreateItem xmlns:m='x'><m:MimeContent>");
    memset(buf_room(&body, 4 << 20), 'A', 4 << 20);
    body.len += 4 << 20;
    size_t at = settled_at(&p, ews, buf_view(&body), &v);
    assert_int_equal(v.kind, VERDICT_PASS);
    assert_in_range(at, 1 << 20, (1 << 20) + 1024);

    buf_clear(&body);
    buf_z(&body, ENVELOPE "<m:SetUserPhoto xmlns:m='x'><m:Content>");
    memset(buf_room(&body, 1 << 20), 'A', 1 << 20);
    body.len += 1 << 20;
    assert_int_equal(settled_at(&p, ews, buf_view(&body), &v), 1024);
    assert_int_equal(v.kind, VERDICT_BLOCK);

    /* what hides behind more blanks than are held is refused */
    buf_clear(&body);
    buf_z(&body, "<s:Envelope xmlns:s='x'>");
    memset(buf_room(&body, 1 << 20), ' ', 1 << 20);
    body.len += 1 << 20;
    at = settled_at(&p, ews, buf_view(&body), &v);
    assert_int_equal(v.kind, VERDICT_BLOCK);
    assert_in_range(at, 256 << 10, (256 << 10) + 1024);
    buf_free(&body);
    packs_close(&p);
}

/* A batch is held whole up to its bound, and refused beyond. */
static void test_hold(void **state)
{
    (void)state;
    static const char graph[] = "POST https://graph.microsoft.com/v1.0/$batch";
    struct packs p;
    struct verdict v;
    struct buf body = {0};
    packs_open(&p);
    buf_z(&body,
          "{\"requests\":[{\"id\":\"1\",\"method\":\"PUT\",\"url\":\"/groups/1/photo/$value\","
          "\"body\":\"");
    memset(buf_room(&body, 3 << 20), 'A', 3 << 20);
    body.len += 3 << 20;
    buf_z(&body, "\"}]}");
    assert_int_equal(settled_at(&p, graph, buf_view(&body), &v), body.len);
    assert_int_equal(v.kind, VERDICT_NEED_BODY);
    assert_int_equal(v.need, (4 << 20) + 1 - body.len);

    buf_clear(&body);
    memset(buf_room(&body, 5 << 20), ' ', 5 << 20);
    body.len += 5 << 20;
    size_t at = settled_at(&p, graph, buf_view(&body), &v);
    assert_int_equal(v.kind, VERDICT_BLOCK);
    assert_in_range(at, 4 << 20, (4 << 20) + 1024);
    assert_non_null(strstr(v.rule->id, "batch."));
    buf_free(&body);
    packs_close(&p);
}

/* Each request in a batch is told of. */
static void test_items(void **state)
{
    (void)state;
    struct packs p;
    struct arena a = {0};
    struct filter_request r;
    struct buf text = {0};
    packs_open(&p);
    assert_true(vector_parse(
        STR("POST https://graph.microsoft.com/v1.0/$batch | @body: {\"requests\":["
            "{\"id\":\"a\",\"method\":\"GET\",\"url\":\"/me/photo\"},"
            "{\"id\":\"b\",\"method\":\"DELETE\",\"url\":\"/me/photo\"},"
            "{\"id\":7,\"method\":\"PATCH\",\"url\":\"/admin/people/photoUpdateSettings\"}]}"),
        &r, &a));
    struct verdict v = decide(p.rs, &p.hosts, NULL, &r, &nobody, &a);
    assert_int_equal(v.kind, VERDICT_BLOCK);
    assert_string_equal(v.rule->id, "graph.user-photo");
    assert_true(str_eq(v.evidence, STR("request \"b\" in the batch: DELETE /v1.0/me/photo")));
    for (const struct verdict_item *item = v.item; item != NULL; item = item->next) {
        buf_printf(&text, STR_FMT "=%s ", STR_ARG(item->id),
                   item->rule != NULL ? item->rule->id : "-");
    }
    check_text(&text, "a=- b=graph.user-photo #3=tamper.photo-update-settings ");
    buf_free(&text);
    arena_free(&a);
    packs_close(&p);
}

int main(int argc, char **argv)
{
    if ((argc > 1 && (!str_u64(str_z(argv[1]), &seed) || seed == 0)) ||
        (argc > 2 && !str_u64(str_z(argv[2]), &rounds))) {
        return 2;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_respelled),
        cmocka_unit_test(test_early),
        cmocka_unit_test(test_hold),
        cmocka_unit_test(test_items),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
