/* base/clock.h - time: wall clock that tests can set, monotonic clock, calendar.
 *
 * Layer 0, thread-safe. Wall times are int64_t seconds since 1970-01-01T00:00:00Z ("unix seconds"). */
#pragma once
#include "base/err.h"
#include "base/slice.h"

/* 9999-12-31T23:59:59Z: "never expires" (RFC 5280 4.1.2.5). */
#define TM_TIME_NEVER ((int64_t)253402300799)

int64_t clock_now(void);      /* unix seconds */
int64_t clock_now_ms(void);   /* unix milliseconds */
uint64_t clock_mono_ns(void); /* monotonic nanoseconds, for durations */

/* Freeze the wall clock at `t` (tests, golden files); 0 lets it run again. */
void clock_fix(int64_t t);

struct civil_time {
    int year, month, day, hour, minute, second; /* month and day count from 1 */
};
struct civil_time civil_from_unix(int64_t t);
/* Fails with TM_EINVAL on a date that does not exist; years 0..9999. */
tm_err civil_to_unix(int64_t *ret, const struct civil_time *c);

/* "2026-11-21T04:07:43Z" into out[21]. */
void clock_format_rfc3339(char out[21], int64_t t);
/* Accepts "YYYY-MM-DD" and "YYYY-MM-DDThh:mm:ssZ" (or a numeric offset). */
tm_err clock_parse_rfc3339(int64_t *ret, struct slice s);

/* Durations as people write them in profiles: "47d", "90m", "1y" (365 d), "20y", "36h", "30s", "never" (= TM_TIME_NEVER);
 * sums such as "1y6m" are refused. Result in seconds. */
tm_err duration_parse(int64_t *ret, struct slice s);
/* The shortest exact form, e.g. "47d". */
void duration_format(char out[24], int64_t seconds);
