/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP/2 codec: a client and a server back to back in memory; credit, budgets, limits, ends. */
#include "tests/h2_run.h"
#include "tests/unit/check.h"

static const struct h2_limits usual = {
    .head = {.line = 8192, .head = 65536, .fields = 100}, .streams = 100, .held = 4 << 20};

struct pair {
    struct h2_run client, server;
};

static void begin(struct pair *p, unsigned habits)
{
    h2_run_init(&p->client, H2_CLIENT, &usual, 0);
    h2_run_init(&p->server, H2_SERVER, &usual, habits);
}

static void finish(struct pair *p)
{
    h2_run_free(&p->client);
    h2_run_free(&p->server);
}

static void join(struct pair *p)
{
    h2_run_join(&p->client, &p->server, 1 << 16);
}

static void check_stream(const struct h2_run_stream *r, const char *expected)
{
    struct buf b = {0};
    assert_non_null(r);
    h2_run_brief(r, &b);
    check_text(&b, expected);
    buf_free(&b);
}

static void check_over(const struct h2_run *run, const char *why)
{
    const char *said;
    assert_true(h2_is_over(run->h2, &said));
    if (why == NULL) {
        assert_null(said);
    } else {
        assert_non_null(said);
        assert_string_equal(said, why);
    }
}

static void write_body(struct h2_run_stream *r, size_t size)
{
    static const char block[10000];
    for (; size > 0; size -= MIN(size, sizeof(block))) {
        h2_write(r->run->h2, &r->s, block, MIN(size, sizeof(block)));
    }
}

/* Messages. */

static void test_get(void **state)
{
    (void)state;
    static const char *const fields[] = {"X-A", "1", "Cookie", "a=b; c=d", "x-a", "2", NULL};
    struct pair p;
    begin(&p, H2_RUN_ANSWER);
    struct h2_run_stream *r = h2_run_request(&p.client, "GET", fields, true);
    join(&p);
    check_stream(h2_run_find(&p.server, 1), "GET /path x-a=1 x-a=2 cookie=a=b; c=d #0 . closed 0");
    check_stream(r, "200 x-answer=yes #0 . closed 0");
    assert_int_equal(h2_count(p.client.h2) + h2_count(p.server.h2), 0);
    finish(&p);
}

static void test_bodies_and_trailers_however_cut(void **state)
{
    (void)state;
    static const size_t cuts[] = {1, 2, 9, 100, 1 << 16};
    for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
        struct field sum[] = {
            {.name = STR("X-Sum"), .value = STR("1")},
            {.name = STR("Content-Length"), .value = STR("1"), .id = FIELD_CONTENT_LENGTH}};
        struct trailers t = {.fields = sum, .count = 2};
        struct pair p;
        begin(&p, H2_RUN_ANSWER);
        struct h2_run_stream *r = h2_run_request(&p.client, "POST", NULL, false);
        write_body(r, 50000);
        h2_end(p.client.h2, &r->s, &t);
        h2_run_join(&p.client, &p.server, cuts[i]);
        check_stream(h2_run_find(&p.server, 1), "POST /path #50000 x-sum=1 . closed 0");
        check_stream(r, "200 x-answer=yes #50000 x-sum=1 . closed 0");
        finish(&p);
    }
}

static void test_interim_heads(void **state)
{
    (void)state;
    struct pair p;
    begin(&p, 0);
    struct h2_run_stream *r = h2_run_request(&p.client, "GET", NULL, true);
    join(&p);
    struct h2_run_stream *at = h2_run_find(&p.server, 1);
    struct msg hints = {.arena = &at->arena, .status = 103, .body = BODY_NONE};
    msg_add(&hints, STR("link"), STR("</a>"));
    h2_respond(p.server.h2, &at->s, &hints, false);
    h2_respond(p.server.h2, &at->s, &hints, false);
    join(&p);
    assert_int_equal(r->interim, 2);
    struct msg last = {.arena = &at->arena, .status = 204, .body = BODY_NONE};
    h2_respond(p.server.h2, &at->s, &last, true);
    join(&p);
    check_stream(r, "204 #0 . closed 0");
    finish(&p);
}

/* The connection's credit is given back on arrival, the stream's when it is taken: two uploads, of
 * which the first is not read. */
static void test_a_stalled_stream_starves_no_sibling(void **state)
{
    (void)state;
    struct pair p;
    begin(&p, 0);
    struct h2_run_stream *stuck = h2_run_request(&p.client, "POST", NULL, false);
    struct h2_run_stream *flows = h2_run_request(&p.client, "POST", NULL, false);
    join(&p);
    h2_pause(p.server.h2, &h2_run_find(&p.server, 1)->s, true);
    for (int i = 0; i < 100; i++) {
        write_body(stuck, 100000);
        write_body(flows, 100000);
        join(&p);
    }
    h2_end(p.client.h2, &flows->s, NULL);
    join(&p);
    const struct h2_run_stream *first = h2_run_find(&p.server, 1);
    assert_int_equal(first->body_size, 128 << 10); /* its window */
    assert_int_equal(h2_run_find(&p.server, 3)->body_size, 10000000);
    assert_true(h2_run_find(&p.server, 3)->ended);
    h2_pause(p.server.h2, &h2_run_find(&p.server, 1)->s, false);
    join(&p);
    assert_int_equal(first->body_size, 10000000);
    finish(&p);
}

/* Many that are not read: what the connection holds is bounded, then even others have to wait. */
static void test_what_is_held_is_bounded(void **state)
{
    (void)state;
    struct h2_limits limits = usual;
    limits.held = 1 << 20;
    struct pair p;
    h2_run_init(&p.client, H2_CLIENT, &usual, 0);
    h2_run_init(&p.server, H2_SERVER, &limits, H2_RUN_PAUSE);
    for (int i = 0; i < 100; i++) {
        struct h2_run_stream *r = h2_run_request(&p.client, "POST", NULL, false);
        write_body(r, 200000);
    }
    join(&p);
    uint64_t held = 0;
    for (const struct h2_run_stream *r = p.server.streams; r != NULL; r = r->next) {
        held += r->body_size;
    }
    assert_true(held >= 1 << 20 && held <= (9 << 20)); /* and what was on its way: the window */
    for (struct h2_run_stream *r = p.server.streams; r != NULL; r = r->next) {
        p.server.habits = 0;
        h2_pause(p.server.h2, &r->s, false);
    }
    join(&p);
    for (const struct h2_run_stream *r = p.server.streams; r != NULL; r = r->next) {
        assert_int_equal(r->body_size, 200000);
    }
    finish(&p);
}

static void test_room(void **state)
{
    (void)state;
    struct pair p;
    begin(&p, H2_RUN_PAUSE);
    struct h2_run_stream *r = h2_run_request(&p.client, "POST", NULL, false);
    write_body(r, H2_STREAM_HIGH - 1);
    assert_false(h2_is_full(&r->s));
    write_body(r, 200000);
    assert_true(h2_is_full(&r->s));
    join(&p);
    assert_int_equal(r->rooms, 0);
    p.server.habits = 0;
    h2_pause(p.server.h2, &h2_run_find(&p.server, 1)->s, false);
    join(&p);
    assert_int_equal(r->rooms, 1);
    assert_false(h2_is_full(&r->s));
    finish(&p);
}

/* Ends. */

static void test_stop_request(void **state)
{
    (void)state;
    struct pair p;
    begin(&p, H2_RUN_STOP);
    struct h2_run_stream *r = h2_run_request(&p.client, "POST", NULL, false);
    write_body(r, 1000000);
    join(&p);
    check_stream(r, "200 x-answer=yes #0 . closed 0"); /* NO_ERROR: the answer counts */
    assert_true(h2_run_find(&p.server, 1)->closed);
    assert_int_equal(h2_glitches(p.server.h2) + h2_glitches(p.client.h2), 0);
    finish(&p);
}

static void test_forgetting(void **state)
{
    (void)state;
    static const unsigned habits[] = {H2_RUN_FORGET, H2_RUN_RESET, H2_RUN_REFUSE};
    static const char *const expected[] = {" closed 8", " closed 8", " closed 7"};
    for (size_t i = 0; i < ARRAY_LEN(habits); i++) {
        struct pair p;
        begin(&p, habits[i]);
        struct h2_run_stream *r = h2_run_request(&p.client, "POST", NULL, false);
        write_body(r, 500000);
        join(&p);
        check_stream(r, expected[i]);
        assert_int_equal(h2_count(p.client.h2) + h2_count(p.server.h2), 0);
        p.server.habits = H2_RUN_ANSWER;
        r = h2_run_request(&p.client, "GET", NULL, true);
        join(&p);
        check_stream(r, "200 x-answer=yes #0 . closed 0");
        finish(&p);
    }
}

static void test_abandoning(void **state)
{
    (void)state;
    struct pair p;
    begin(&p, H2_RUN_ABANDON);
    for (int i = 0; i < 3; i++) {
        write_body(h2_run_request(&p.client, "POST", NULL, false), 1000);
    }
    join(&p); /* h2_run.c: nothing is told after it */
    assert_true(p.server.abandoned && h2_is_over(p.server.h2, NULL));
    finish(&p);
}

static void test_drain(void **state)
{
    (void)state;
    struct pair p;
    begin(&p, 0);
    struct h2_run_stream *r = h2_run_request(&p.client, "POST", NULL, false);
    join(&p);
    h2_drain(p.server.h2);
    join(&p);
    assert_true(p.client.goaway);
    assert_null(h2_run_request(&p.client, "GET", NULL, true));
    assert_false(h2_is_over(p.client.h2, NULL) || h2_is_over(p.server.h2, NULL));
    h2_end(p.client.h2, &r->s, NULL);
    p.server.habits = H2_RUN_ANSWER;
    join(&p);
    struct h2_run_stream *at = h2_run_find(&p.server, 1);
    struct msg m = {.arena = &at->arena, .status = 200, .body = BODY_NONE};
    h2_respond(p.server.h2, &at->s, &m, true);
    join(&p);
    check_stream(r, "200 #0 . closed 0");
    h2_leave(p.server.h2, NGHTTP2_NO_ERROR);
    join(&p);
    check_over(&p.server, NULL);
    check_over(&p.client, NULL);
    finish(&p);
}

/* RFC 9113, 6.8: streams above the last one of a GOAWAY were not looked at. */
static void test_goaway_refuses_what_came_after(void **state)
{
    (void)state;
    static const char goaway[] = "\0\0\0\4\0\0\0\0\0"
                                 "\0\0\x08\7\0\0\0\0\0"
                                 "\0\0\0\1\0\0\0\0";
    struct h2_run run;
    h2_run_init(&run, H2_CLIENT, &usual, 0);
    struct h2_run_stream *r[3];
    for (int i = 0; i < 3; i++) {
        r[i] = h2_run_request(&run, "POST", NULL, false);
    }
    h2_run_pump(&run);
    h2_run_feed(&run, str_of(goaway, sizeof(goaway) - 1), 1, 0);
    assert_true(run.goaway && !r[0]->closed);
    check_stream(r[1], " closed 7");
    check_stream(r[2], " closed 7");
    assert_int_equal(h2_count(run.h2), 1);
    h2_run_free(&run);
}

/* Armour. */

static void test_resets_have_a_budget(void **state)
{
    (void)state;
    struct pair p;
    begin(&p, 0);
    join(&p);
    for (int i = 0; i < 199; i++) {
        struct h2_run_stream *r = h2_run_request(&p.client, "GET", NULL, true);
        join(&p);
        h2_reset(p.client.h2, &r->s, NGHTTP2_CANCEL);
        join(&p);
    }
    assert_false(h2_is_over(p.server.h2, NULL));
    for (int i = 0; i < 5 && !h2_is_over(p.server.h2, NULL); i++) {
        struct h2_run_stream *r = h2_run_request(&p.client, "GET", NULL, true);
        join(&p);
        h2_reset(p.client.h2, &r->s, NGHTTP2_CANCEL);
        join(&p);
    }
    check_over(&p.server, "too many streams were reset");
    assert_true(h2_glitches(p.server.h2) > 0);
    finish(&p);
}

static void test_a_sound_client_may_reset_now_and_then(void **state)
{
    (void)state;
    struct pair p;
    begin(&p, 0);
    for (int i = 0; i < 380; i++) { /* nghttp2 has a bucket of its own, by the real clock */
        struct h2_run_stream *r = h2_run_request(&p.client, "GET", NULL, true);
        join(&p);
        h2_reset(p.client.h2, &r->s, NGHTTP2_CANCEL);
        p.server.now_ms += 25;
        join(&p);
    }
    assert_false(h2_is_over(p.server.h2, NULL));
    finish(&p);
}

static void check_request_of(unsigned fields, unsigned size, const char *expected, const char *over)
{
    struct pair p;
    begin(&p, H2_RUN_ANSWER);
    struct h2_run_stream *r = NULL;
    struct buf value = {0};
    for (unsigned i = 0; i < size; i++) {
        buf_char(&value, 'v');
    }
    const char *pairs[2 * 500 + 1] = {NULL};
    assert_true(fields <= 500);
    for (unsigned i = 0; i < fields; i++) {
        pairs[2 * i] = "x-field";
        pairs[2 * i + 1] = buf_cstr(&value);
    }
    r = h2_run_request(&p.client, "GET", pairs, true);
    assert_non_null(r);
    join(&p);
    const struct h2_run_stream *at = h2_run_find(&p.server, 1);
    struct buf b = {0};
    h2_run_brief(at, &b);
    assert_memory_equal(buf_cstr(&b), expected, strlen(expected));
    buf_free(&b);
    if (over != NULL) {
        check_over(&p.server, over);
    } else {
        assert_false(h2_is_over(p.server.h2, NULL));
    }
    assert_int_equal(h2_glitches(p.server.h2) > 0, expected[0] != 'G');
    buf_free(&value);
    finish(&p);
}

static void test_heads_have_limits(void **state)
{
    (void)state;
    check_request_of(96, 10, "GET /path x-field=vvvvvvvvvv", NULL); /* and four pseudo-fields */
    check_request_of(97, 10, "!431 closed 1", NULL);
    check_request_of(2, 30000, "GET /path x-field=vvvv", NULL);
    check_request_of(3, 30000, "!431 closed 1", NULL);
    check_request_of(397, 10, "", "a head far beyond the limits");
}

static void test_the_streams_a_client_may_have(void **state)
{
    (void)state;
    struct h2_limits limits = usual;
    limits.streams = 3;
    struct pair p;
    h2_run_init(&p.client, H2_CLIENT, &limits, 0);
    h2_run_init(&p.server, H2_SERVER, &limits, 0);
    assert_int_equal(h2_most(p.client.h2), 3); /* assumed until told */
    for (int i = 0; i < 5; i++) {
        (void)h2_run_request(&p.client, "GET", NULL, true);
    }
    join(&p);
    assert_int_equal(h2_count(p.server.h2), 3);
    assert_int_equal(h2_most(p.client.h2), 3);
    finish(&p);
}

static void test_no_preface(void **state)
{
    (void)state;
    struct h2_run run;
    h2_run_init(&run, H2_SERVER, &usual, 0);
    h2_run_feed(&run, STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 3, 0);
    check_over(&run, "no HTTP/2 preface");
    h2_run_free(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get),
        cmocka_unit_test(test_bodies_and_trailers_however_cut),
        cmocka_unit_test(test_interim_heads),
        cmocka_unit_test(test_a_stalled_stream_starves_no_sibling),
        cmocka_unit_test(test_what_is_held_is_bounded),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_stop_request),
        cmocka_unit_test(test_forgetting),
        cmocka_unit_test(test_abandoning),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_goaway_refuses_what_came_after),
        cmocka_unit_test(test_resets_have_a_budget),
        cmocka_unit_test(test_a_sound_client_may_reset_now_and_then),
        cmocka_unit_test(test_heads_have_limits),
        cmocka_unit_test(test_the_streams_a_client_may_have),
        cmocka_unit_test(test_no_preface),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
