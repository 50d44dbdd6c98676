/* SPDX-License-Identifier: Apache-2.0 */
/* cmocka with what it wants included first, and the checks that several tests need. */
#ifndef TESTS_UNIT_CHECK_H
#define TESTS_UNIT_CHECK_H

#include "common/buf.h"

/* cmocka.h wants the others before it. */
/* clang-format off */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
/* clang-format on */

/* `b` holds exactly `expected`; it is empty after. */
#define check_text(b, expected)                       \
    do {                                              \
        assert_string_equal(buf_cstr(b), (expected)); \
        buf_clear(b);                                 \
    } while (0)

#endif
