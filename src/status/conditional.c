#include "status/conditional.h"
#include "base/clock.h"
#include <stdio.h>
#include <string.h>

static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

void http_date_format(char out[30], int64_t t)
{
    struct civil_time c = civil_from_unix(t);
    int64_t day = t >= 0 ? t / 86400 : (t - 86399) / 86400;
    /* 1970-01-01 was a Thursday. The moduli only tell the compiler how long the text can get. */
    snprintf(out, 30, "%s, %02u %s %04u %02u:%02u:%02u GMT", days[((day + 4) % 7 + 7) % 7],
             (unsigned)c.day % 100, months[(unsigned)(c.month - 1) % 12], (unsigned)c.year % 10000,
             (unsigned)c.hour % 100, (unsigned)c.minute % 100, (unsigned)c.second % 100);
}

tm_err http_date_parse(int64_t *ret, const char *text)
{
    struct civil_time c = {0};
    char month[4] = "";
    int end = 0;
    if (sscanf(text, "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d GMT%n", &c.day, month, &c.year, &c.hour,
               &c.minute, &c.second, &end) != 6 ||
        end == 0 || text[end] != '\0')
        return TM_EMALFORMED;
    for (size_t i = 0; i < 12; i++)
        if (strcmp(months[i], month) == 0)
            c.month = (int)i + 1;
    return c.month && civil_to_unix(ret, &c) == TM_OK ? TM_OK : TM_EMALFORMED;
}

bool etag_listed(const char *list, const char *etag)
{
    size_t n = strlen(etag);
    for (const char *p = list; *p;) {
        p += strspn(p, " \t,");
        if (*p == '*')
            return true;
        if (p[0] == 'W' && p[1] == '/')
            p += 2;
        if (strncmp(p, etag, n) == 0 && (p[n] == '\0' || strchr(" \t,", p[n])))
            return true;
        if (*p == '"') {
            const char *end = strchr(p + 1, '"');
            p = end ? end + 1 : p + strlen(p);
        } else {
            p += strcspn(p, ",");
        }
    }
    return false;
}

static bool unchanged(const struct http_request *r, const struct representation *v)
{
    const char *match = http_request_header(r, "If-None-Match");
    if (match)
        return etag_listed(match, v->etag);
    const char *since = http_request_header(r, "If-Modified-Since");
    int64_t t;
    return since && v->modified && http_date_parse(&t, since) == TM_OK && v->modified <= t;
}

void representation_reply(struct http_request *r, const struct representation *v)
{
    char modified[30], expires[30];
    struct http_header headers[5] = {{"ETag", v->etag}, {"Cache-Control", v->cache_control}};
    size_t n = 2;
    http_date_format(modified, v->modified);
    http_date_format(expires, v->expires);
    if (v->modified)
        headers[n++] = (struct http_header){"Last-Modified", modified};
    if (v->expires)
        headers[n++] = (struct http_header){"Expires", expires};
    if (unchanged(r, v))
        http_reply(r, 304, NULL, (struct slice){0}, headers);
    else
        http_reply(r, 200, v->type, v->body, headers);
}
