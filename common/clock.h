/* SPDX-License-Identifier: Apache-2.0 */
/* Time. The monotonic clock measures, the real one dates; neither stands in for the other. */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include "common/buf.h"

#include <time.h>

uint64_t clock_ns(void); /* monotonic; vDSO, about 20 ns */

static inline uint64_t clock_ms(void)
{
    return clock_ns() / 1000000;
}

/* Appends `seconds`.`micros` since 1970 as RFC 3339 in UTC with microseconds:
 * 2026-11-23T14:53:01.123456Z. */
void clock_rfc3339(struct buf *out, time_t seconds, unsigned micros);

/* The same for now. */
void clock_now_rfc3339(struct buf *out);

/* Appends an IMF-fixdate (RFC 9110, 5.6.7). */
void clock_http_date(struct buf *out, time_t seconds);

#endif
