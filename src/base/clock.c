#include "base/clock.h"
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static _Atomic int64_t fixed_time;

int64_t clock_now(void)
{
    int64_t fixed = atomic_load_explicit(&fixed_time, memory_order_relaxed);
    if (fixed)
        return fixed;
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return ts.tv_sec;
}

int64_t clock_now_ms(void)
{
    int64_t fixed = atomic_load_explicit(&fixed_time, memory_order_relaxed);
    if (fixed)
        return fixed * 1000;
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

uint64_t clock_mono_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void clock_fix(int64_t t)
{
    atomic_store_explicit(&fixed_time, t, memory_order_relaxed);
}

/* ---- calendar ----
 *
 * The proleptic Gregorian calendar repeats every 400 years = 146097 days. Counting years from 1 March puts the leap day
 * at the end of the year, so that the day of the year follows from the month by (153*m + 2)/5 with m = 0 for March. */

enum {
    DAY = 86400,
    ERA_DAYS = 146097,
    EPOCH_DAYS = 719468, /* from 0000-03-01 to 1970-01-01 */
};
#define TIME_FIRST ((int64_t)-62167219200) /* 0000-01-01T00:00:00Z */

static int64_t days_from_civil(int year, int month, int day)
{
    int y = month <= 2 ? year - 1 : year;
    int era = (y >= 0 ? y : y - 399) / 400;
    int year_of_era = y - era * 400;
    int month_from_march = (month + 9) % 12;
    int day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    int day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return (int64_t)era * ERA_DAYS + day_of_era - EPOCH_DAYS;
}

struct civil_time civil_from_unix(int64_t t)
{
    if (t < TIME_FIRST)
        t = TIME_FIRST;
    if (t > TM_TIME_NEVER)
        t = TM_TIME_NEVER;
    int64_t days = (t >= 0 ? t : t - (DAY - 1)) / DAY;
    int second_of_day = (int)(t - days * DAY);
    int64_t z = days + EPOCH_DAYS;
    int64_t era = (z >= 0 ? z : z - (ERA_DAYS - 1)) / ERA_DAYS;
    int day_of_era = (int)(z - era * ERA_DAYS);
    int year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int month_from_march = (5 * day_of_year + 2) / 153;
    int month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    return (struct civil_time){
        .year = (int)(era * 400) + year_of_era + (month <= 2),
        .month = month,
        .day = day_of_year - (153 * month_from_march + 2) / 5 + 1,
        .hour = second_of_day / 3600,
        .minute = second_of_day / 60 % 60,
        .second = second_of_day % 60,
    };
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

tm_err civil_to_unix(int64_t *ret, const struct civil_time *c)
{
    if (c->year < 0 || c->year > 9999 || c->month < 1 || c->month > 12)
        return TM_EINVAL;
    if (c->day < 1 || c->day > days_in_month(c->year, c->month))
        return TM_EINVAL;
    if (c->hour < 0 || c->hour > 23 || c->minute < 0 || c->minute > 59 || c->second < 0 || c->second > 59)
        return TM_EINVAL;
    *ret = days_from_civil(c->year, c->month, c->day) * DAY + c->hour * 3600 + c->minute * 60 + c->second;
    return TM_OK;
}

/* ---- RFC 3339 ---- */

static char *put_digits(char *out, int value, int width)
{
    for (int i = width - 1; i >= 0; i--) {
        out[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return out + width;
}

void clock_format_rfc3339(char out[21], int64_t t)
{
    struct civil_time c = civil_from_unix(t);
    char *p = put_digits(out, c.year, 4);
    *p++ = '-';
    p = put_digits(p, c.month, 2);
    *p++ = '-';
    p = put_digits(p, c.day, 2);
    *p++ = 'T';
    p = put_digits(p, c.hour, 2);
    *p++ = ':';
    p = put_digits(p, c.minute, 2);
    *p++ = ':';
    p = put_digits(p, c.second, 2);
    *p++ = 'Z';
    *p = '\0';
}

/* Takes bytes off the front of s by a pattern: 'd' stands for a digit, anything else for itself, letters in either case
 * (RFC 3339 5.6). The numbers, one a run of digits, go to out in order. */
static bool take_pattern(struct slice *s, const char *pattern, int *out)
{
    size_t n = strlen(pattern);
    if (s->n < n)
        return false;
    bool in_number = false;
    for (size_t i = 0; i < n; i++) {
        uint8_t c = s->p[i];
        if (pattern[i] == 'd') {
            if (c < '0' || c > '9')
                return false;
            *out = (in_number ? *out * 10 : 0) + (c - '0');
            in_number = true;
            continue;
        }
        out += in_number;
        in_number = false;
        bool letter = pattern[i] >= 'A' && pattern[i] <= 'Z';
        if (c != (unsigned char)pattern[i] && !(letter && c == ((unsigned char)pattern[i] | 0x20)))
            return false;
    }
    *s = slice_sub(*s, n, s->n);
    return true;
}

/* time-secfrac = "." 1*DIGIT; our times are whole seconds, so it is dropped. */
static bool take_fraction(struct slice *s)
{
    if (s->n == 0 || s->p[0] != '.')
        return true;
    size_t n = 1;
    while (n < s->n && s->p[n] >= '0' && s->p[n] <= '9')
        n++;
    *s = slice_sub(*s, n, s->n);
    return n > 1;
}

tm_err clock_parse_rfc3339(int64_t *ret, struct slice s)
{
    int n[6] = {0}, offset[2] = {0}, sign = 0;
    if (!take_pattern(&s, "dddd-dd-dd", n))
        return TM_EMALFORMED;
    if (s.n > 0) {
        if (!take_pattern(&s, "Tdd:dd:dd", n + 3) || !take_fraction(&s))
            return TM_EMALFORMED;
        sign = s.n > 0 && s.p[0] == '+' ? 1 : s.n > 0 && s.p[0] == '-' ? -1 : 0;
        if (sign == 0 ? !take_pattern(&s, "Z", offset)
                      : !take_pattern(&s, sign > 0 ? "+dd:dd" : "-dd:dd", offset))
            return TM_EMALFORMED;
        if (s.n > 0)
            return TM_EMALFORMED;
    }
    if (offset[0] > 23 || offset[1] > 59)
        return TM_EINVAL;
    int64_t t = 0;
    TM_TRY(civil_to_unix(&t, &(struct civil_time){n[0], n[1], n[2], n[3], n[4], n[5]}));
    t -= sign * (offset[0] * 3600 + offset[1] * 60);
    if (t < TIME_FIRST || t > TM_TIME_NEVER)
        return TM_EINVAL;
    *ret = t;
    return TM_OK;
}

/* ---- durations ---- */

static const struct {
    char unit;
    int64_t seconds;
} units[] = {
    {'y', (int64_t)365 * DAY}, {'w', 7 * DAY}, {'d', DAY}, {'h', 3600}, {'m', 60}, {'s', 1},
};
enum { UNIT_COUNT = sizeof units / sizeof units[0] };

tm_err duration_parse(int64_t *ret, struct slice s)
{
    if (slice_eq_str(s, "never")) {
        *ret = TM_TIME_NEVER;
        return TM_OK;
    }
    int64_t value = 0;
    size_t at = 0;
    for (; at < s.n && s.p[at] >= '0' && s.p[at] <= '9'; at++) {
        value = value * 10 + (s.p[at] - '0');
        if (value >= TM_TIME_NEVER)
            return TM_EINVAL;
    }
    if (at == 0 || at + 1 != s.n)
        return TM_EMALFORMED;
    for (size_t i = 0; i < UNIT_COUNT; i++) {
        if (s.p[at] != (uint8_t)units[i].unit)
            continue;
        if (value > (TM_TIME_NEVER - 1) / units[i].seconds)
            return TM_EINVAL;
        *ret = value * units[i].seconds;
        return TM_OK;
    }
    return TM_EMALFORMED;
}

void duration_format(char out[24], int64_t seconds)
{
    if (seconds >= TM_TIME_NEVER) {
        memcpy(out, "never", 6);
        return;
    }
    /* The largest unit that divides it leaves the fewest digits. */
    size_t i = 0;
    while (seconds % units[i].seconds != 0 || (seconds == 0 && units[i].unit != 's'))
        i++;
    snprintf(out, 24, "%" PRId64 "%c", seconds / units[i].seconds, units[i].unit);
}
