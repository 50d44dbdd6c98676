/* SPDX-License-Identifier: Apache-2.0 */
/* Feeds an HTTP/1 parser in every way and wants the same of each. */
#ifndef TESTS_UNIT_H1_CHECK_H
#define TESTS_UNIT_H1_CHECK_H

#include "tests/h1_run.h"
#include "tests/unit/check.h"

struct sample {
    struct str in;
    const char *brief; /* h1_run_brief() */
};

static inline void check_cut(bool is_response, struct str method, const struct h1_limits *limits,
                             struct str in, size_t most, uint64_t seed, const char *expected)
{
    struct buf full = {0};
    struct h1_run run;
    h1_run_init(&run, is_response, limits, method);
    h1_run_all(&run, in, most, seed);
    h1_run_full(&run, &full);
    assert_string_equal(buf_cstr(&full), expected);
    h1_run_free(&run);
    buf_free(&full);
}

static inline void check_halves(bool is_response, struct str method, const struct h1_limits *limits,
                                struct str in, size_t at, const char *expected)
{
    struct buf full = {0};
    struct h1_run run;
    h1_run_init(&run, is_response, limits, method);
    h1_run_feed(&run, str_of(in.ptr, at));
    h1_run_feed(&run, str_skip(in, at));
    h1_run_eof(&run);
    h1_run_full(&run, &full);
    assert_string_equal(buf_cstr(&full), expected);
    h1_run_free(&run);
    buf_free(&full);
}

/* Feeds `in` in many ways, which must agree, and compares with `brief`. */
static inline void check_bytes(bool is_response, const char *method, const struct h1_limits *limits,
                               struct str in, const char *brief)
{
    struct buf text = {0}, full = {0};
    struct h1_run run;
    h1_run_init(&run, is_response, limits, str_z(method));
    h1_run_all(&run, in, in.len, 0);
    h1_run_brief(&run, &text);
    h1_run_full(&run, &full);
    h1_run_free(&run);
    if (strcmp(buf_cstr(&text), brief) != 0) {
        print_error("in: " STR_FMT "\n", (int)MIN(in.len, (size_t)400), in.ptr);
    }
    assert_string_equal(buf_cstr(&text), brief);

    const char *expected = buf_cstr(&full);
    check_cut(is_response, str_z(method), limits, in, 1, 0, expected);
    for (uint64_t seed = 1; seed <= 10; seed++) {
        check_cut(is_response, str_z(method), limits, in, seed * 4, seed, expected);
    }
    for (size_t at = 1; at < in.len && in.len < 2000; at++) {
        check_halves(is_response, str_z(method), limits, in, at, expected);
    }
    buf_free(&text);
    buf_free(&full);
}

#endif
