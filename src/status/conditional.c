#include "status/conditional.h"
#include "http/date.h"
#include <stdio.h>
#include <string.h>

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

/* 1 to 18 digits; what follows them. NULL: none, or too many. */
static const char *range_number(uint64_t *ret, const char *p)
{
    size_t n = strspn(p, "0123456789");
    if (n == 0 || n > 18)
        return NULL;
    *ret = 0;
    for (size_t i = 0; i < n; i++)
        *ret = *ret * 10 + (uint64_t)(p[i] - '0');
    return p + n;
}

/* ranges-specifier = "bytes=" ( first-pos "-" [ last-pos ] / "-" suffix-length ) */
tm_err http_range_parse(uint64_t *ret_from, uint64_t *ret_n, const char *text, uint64_t size)
{
    static const char unit[] = "bytes=";
    uint64_t first, last = UINT64_MAX;
    if (!text || strncmp(text, unit, sizeof unit - 1) != 0)
        return TM_EUNSUPPORTED;
    const char *p = text + sizeof unit - 1;
    if (*p == '-') {
        p = range_number(&last, p + 1);
        if (!p || *p)
            return TM_EUNSUPPORTED;
        if (last == 0 || size == 0)
            return TM_ENOTFOUND;
        *ret_n = last < size ? last : size;
        *ret_from = size - *ret_n;
        return TM_OK;
    }
    p = range_number(&first, p);
    if (!p || *p != '-')
        return TM_EUNSUPPORTED;
    if (*++p)
        p = range_number(&last, p);
    if (!p || *p || last < first)
        return TM_EUNSUPPORTED;
    if (first >= size)
        return TM_ENOTFOUND;
    *ret_from = first;
    *ret_n = (last < size ? last : size - 1) - first + 1;
    return TM_OK;
}

/* RFC 9110 13.1.5: a part is of use only to who has the rest of this very one; strong comparison, or the exact date. */
static bool same_as_before(const struct http_request *r, const struct representation *v)
{
    const char *before = http_request_header(r, "If-Range");
    int64_t t;
    if (!before)
        return true;
    return strcmp(before, v->etag) == 0 ||
           (v->modified && http_date_parse(&t, before) == TM_OK && t == v->modified);
}

static void send(struct http_request *r, const struct representation *v, int status, const char *type,
                 uint64_t from, uint64_t n, const struct http_header *headers)
{
    if (v->send)
        v->send(r, v->send_arg, status, type, from, n, headers);
    else
        http_reply(r, status, type, slice_sub(v->body, (size_t)from, (size_t)n), headers);
}

void representation_reply(struct http_request *r, const struct representation *v)
{
    char modified[30], expires[30], range[80];
    struct http_header headers[7] = {{"ETag", v->etag}, {"Cache-Control", v->cache_control}};
    size_t n = 2;
    uint64_t size = v->send ? v->size : v->body.n, from = 0, part = size;
    http_date_format(modified, v->modified);
    http_date_format(expires, v->expires);
    if (v->modified)
        headers[n++] = (struct http_header){"Last-Modified", modified};
    if (v->expires)
        headers[n++] = (struct http_header){"Expires", expires};
    if (unchanged(r, v)) {
        http_reply(r, 304, NULL, (struct slice){0}, headers);
        return;
    }
    if (v->ranges)
        headers[n++] = (struct http_header){"Accept-Ranges", "bytes"};
    tm_err e = v->ranges && r->method == HTTP_M_GET && same_as_before(r, v)
                   ? http_range_parse(&from, &part, http_request_header(r, "Range"), size)
                   : TM_EUNSUPPORTED;
    if (e == TM_ENOTFOUND) {
        snprintf(range, sizeof range, "bytes */%llu", (unsigned long long)size);
        headers[n++] = (struct http_header){"Content-Range", range};
        http_reply(r, 416, "text/plain", SLICE_LIT("there are no such octets in it\n"), headers);
    } else if (e == TM_OK) {
        snprintf(range, sizeof range, "bytes %llu-%llu/%llu", (unsigned long long)from,
                 (unsigned long long)(from + part - 1), (unsigned long long)size);
        headers[n++] = (struct http_header){"Content-Range", range};
        send(r, v, 206, v->type, from, part, headers);
    } else {
        send(r, v, 200, v->type, 0, size, headers);
    }
}
