/* SPDX-License-Identifier: Apache-2.0 */
#include "common/clock.h"

uint64_t clock_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void clock_rfc3339(struct buf *out, time_t seconds, unsigned micros)
{
    struct tm tm;
    if (gmtime_r(&seconds, &tm) == NULL) {
        tm = (struct tm){.tm_year = 70, .tm_mday = 1};
    }
    buf_printf(out, "%04d-%02d-%02dT%02d:%02d:%02d.%06uZ", tm.tm_year + 1900, tm.tm_mon + 1,
               tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, micros);
}

void clock_now_rfc3339(struct buf *out)
{
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    clock_rfc3339(out, ts.tv_sec, (unsigned)(ts.tv_nsec / 1000));
}

void clock_http_date(struct buf *out, time_t seconds)
{
    static const char day[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char month[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct tm tm;
    if (gmtime_r(&seconds, &tm) == NULL) {
        tm = (struct tm){.tm_year = 70, .tm_mday = 1, .tm_wday = 4};
    }
    buf_printf(out, "%s, %02d %s %04d %02d:%02d:%02d GMT", day[tm.tm_wday], tm.tm_mday,
               month[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}
