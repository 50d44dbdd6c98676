/* SPDX-License-Identifier: Apache-2.0 */
/* The token bucket: so much at once, so much a second, and never more than it began with. */
#include "proxy/http/budget.h"
#include "tests/unit/check.h"

static unsigned take_all(struct budget *b, uint64_t now_ms)
{
    unsigned n = 0;
    while (n < 100000 && budget_take(b, now_ms)) {
        n++;
    }
    return n;
}

static void test_burst(void **state)
{
    (void)state;
    struct budget b;
    budget_init(&b, 200, 50, 5);
    assert_int_equal(take_all(&b, 5), 200);
    assert_false(budget_take(&b, 5));
}

static void test_refill(void **state)
{
    (void)state;
    struct budget b;
    budget_init(&b, 200, 50, 0);
    assert_int_equal(take_all(&b, 0), 200);
    assert_int_equal(take_all(&b, 19), 0); /* one takes 20 ms */
    assert_int_equal(take_all(&b, 20), 1);
    assert_int_equal(take_all(&b, 1020), 50);
    assert_int_equal(take_all(&b, 3020), 100);
}

static void test_rest_is_kept_in_pieces(void **state)
{
    (void)state;
    struct budget b;
    unsigned n = 0;
    budget_init(&b, 10, 1, 0);
    assert_int_equal(take_all(&b, 0), 10);
    for (uint64_t ms = 1; ms <= 10000; ms++) {
        n += budget_take(&b, ms);
    }
    assert_int_equal(n, 10);
}

static void test_never_above_the_burst(void **state)
{
    (void)state;
    struct budget b;
    budget_init(&b, 3, UINT32_MAX, 0);
    assert_int_equal(take_all(&b, 0), 3);
    assert_int_equal(take_all(&b, UINT64_MAX), 3);
    budget_init(&b, UINT32_MAX, UINT32_MAX, 0);
    assert_true(budget_take(&b, UINT64_MAX)); /* and nothing overflows */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_burst),
        cmocka_unit_test(test_refill),
        cmocka_unit_test(test_rest_is_kept_in_pieces),
        cmocka_unit_test(test_never_above_the_burst),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
