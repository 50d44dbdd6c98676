/* SPDX-License-Identifier: Apache-2.0 */
/* What the compiler is told: attributes and the two macros that C lacks. */
#ifndef COMMON_CC_H
#define COMMON_CC_H

#include <stddef.h>

#define MUSTCHECK             __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a)     __attribute__((format(printf, f, a)))
#define NORETURN              __attribute__((noreturn))
#define LIKELY(x)             __builtin_expect(!!(x), 1)
#define UNLIKELY(x)           __builtin_expect(!!(x), 0)
#define ARRAY_LEN(a)          (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(p, t, m) ((t *)(void *)((char *)(p)-offsetof(t, m)))
#define MIN(a, b)             ((a) < (b) ? (a) : (b))
#define MAX(a, b)             ((a) > (b) ? (a) : (b))

#endif
