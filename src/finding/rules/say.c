#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "finding/rules/rules.h"
#include "policy/names.h"
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Names of hostile certificates end here: control characters and what is no UTF-8 would break a terminal, a mail or a log line. */
static void make_printable(char *s)
{
    for (size_t i = 0, n = strlen(s); i < n;) {
        size_t step = utf8_step(slice_of(s + i, n - i));
        unsigned char c = (unsigned char)s[i];
        bool bad =
            step == 0 || c < 0x20 || c == 0x7f || (step == 2 && c == 0xc2 && (unsigned char)s[i + 1] < 0xa0);
        /* Marks that turn the direction of text around (U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069). */
        if (step == 3 && c == 0xe2) {
            unsigned char d = (unsigned char)s[i + 1], e = (unsigned char)s[i + 2];
            bad |= (d == 0x80 && (e == 0x8e || e == 0x8f || (e >= 0xaa && e <= 0xae))) ||
                   (d == 0x81 && e >= 0xa6 && e <= 0xa9);
        }
        if (bad)
            memset(s + i, '?', step ? step : 1);
        i += step ? step : 1;
    }
}

bool found_say(struct found *out, enum finding_severity severity, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    out->severity = severity;
    vsnprintf(out->why, sizeof out->why, fmt, ap);
    va_end(ap);
    make_printable(out->why);
    return true;
}

/* Most rules are not broken, and have nothing to show. */
void found_json(struct found *out, const char *key, json_t *value)
{
    if (!out->evidence)
        out->evidence = json_object();
    json_object_set_new(out->evidence, key, value);
}

void found_text(struct found *out, const char *key, const char *value)
{
    char text[256];
    snprintf(text, sizeof text, "%s", value ? value : "");
    make_printable(text);
    found_json(out, key, json_string(text));
}

void found_int(struct found *out, const char *key, int64_t value)
{
    found_json(out, key, json_integer(value));
}

void found_time(struct found *out, const char *key, int64_t unix_seconds)
{
    char text[21];
    clock_format_rfc3339(text, unix_seconds);
    found_json(out, key, json_string(text));
}

const char *found_span(struct arena *a, int64_t seconds)
{
    enum { MINUTE = 60, HOUR = 3600, DAY = 86400 };
    int64_t unit = seconds >= 2 * DAY ? DAY : seconds >= 2 * HOUR ? HOUR : MINUTE;
    const char *name = unit == DAY ? "days" : unit == HOUR ? "hours" : "minutes";
    const char *s = arena_printf(a, "%lld %s", (long long)(seconds / unit), name);
    return s ? s : "";
}

const char *found_day(struct arena *a, int64_t unix_seconds)
{
    char text[21];
    clock_format_rfc3339(text, unix_seconds);
    const char *s = arena_strndup(a, text, 10);
    return s ? s : "";
}

const char *found_key(struct arena *a, const struct finding_facts *f)
{
    if (!f->key_known)
        return "unknown";
    const struct key_alg_info *info = key_alg_info(f->key.alg);
    if (f->key.alg != KEY_ALG_RSA)
        return info ? info->name : "unknown";
    const char *s = arena_printf(a, "rsa-%u", f->key.bits);
    return s ? s : "rsa";
}

static bool dns_fits(struct slice pattern, struct slice host)
{
    if (slice_caseeq(pattern, host))
        return true;
    /* A wildcard is one whole leftmost label. */
    if (pattern.n < 3 || pattern.p[0] != '*' || pattern.p[1] != '.')
        return false;
    const uint8_t *dot = memchr(host.p, '.', host.n);
    if (!dot || dot == host.p)
        return false;
    size_t at = (size_t)(dot - host.p);
    return slice_caseeq(slice_sub(pattern, 1, pattern.n), slice_sub(host, at, host.n));
}

bool found_name_fits(const struct finding_facts *f, const char *host)
{
    struct slice text = slice_str(host);
    uint8_t ip[16];
    size_t n = inet_pton(AF_INET, host, ip) == 1 ? 4 : inet_pton(AF_INET6, host, ip) == 1 ? 16 : 0;
    if (text.n && text.p[text.n - 1] == '.')
        text.n--;
    for (size_t i = 0; i < f->names.n; i++) {
        const struct general_name *gn = &f->names.v[i];
        if (n ? gn->type == GN_IP && slice_eq(gn->value, slice_of(ip, n))
              : gn->type == GN_DNS && dns_fits(gn->value, text))
            return true;
    }
    return false;
}
