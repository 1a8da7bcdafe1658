#include "enroll/outbound/response.h"
#include "http/parser_lib.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct response_reader {
    http_parser lib;
    http_parser_settings settings;
    struct response *out;
    size_t octets;
    char field[16]; /* name of the header under way, as far as it matters */
    size_t field_n, location_n;
    bool in_value, bad;
};

size_t response_reader_size(void)
{
    return sizeof(struct response_reader);
}

/* ---- callbacks of the parser ---- */

/* Once the answer is complete, what stands behind it in the same octets is another message, and none of ours: the callbacks that
 * write into the answer leave it alone. */

static int on_field(http_parser *p, const char *at, size_t n)
{
    struct response_reader *r = p->data;
    if (r->in_value)
        r->field_n = 0;
    r->in_value = false;
    for (size_t i = 0; i < n; i++, r->field_n++)
        if (r->field_n < sizeof r->field)
            r->field[r->field_n] = at[i];
    return 0;
}

static int on_value(http_parser *p, const char *at, size_t n)
{
    struct response_reader *r = p->data;
    struct response *o = r->out;
    bool goes_on = r->in_value;
    r->in_value = true;
    if (o->complete)
        return 0;
    if (r->field_n != 8 || strncasecmp(r->field, "Location", 8) != 0)
        return 0;
    if (!goes_on) /* the last one counts */
        r->location_n = 0;
    if (n > RESPONSE_LOCATION_MAX - r->location_n) {
        r->bad = true;
        return 1;
    }
    memcpy(o->location + r->location_n, at, n);
    r->location_n += n;
    o->location[r->location_n] = '\0';
    return 0;
}

static int on_headers(http_parser *p)
{
    struct response_reader *r = p->data;
    if (r->out->complete)
        return 0;
    /* RFC 9110 15.2: these come before the answer, and without a body, whatever length they tell. */
    if (p->status_code < 200) {
        r->out->location[0] = '\0';
        r->location_n = 0;
        return 1;
    }
    r->out->status = (int)p->status_code;
    /* What is not a 200 is told by its head alone. */
    if (p->status_code != 200)
        r->out->complete = true;
    return 0;
}

static int on_body(http_parser *p, const char *at, size_t n)
{
    struct response_reader *r = p->data;
    struct response *o = r->out;
    if (o->complete)
        return 0;
    size_t room = o->body_max - o->body_n, fits = n < room ? n : room;
    if (fits)
        memcpy(o->body + o->body_n, at, fits);
    o->body_n += fits;
    if (n > room)
        o->complete = o->cut = true;
    return 0;
}

static int on_complete(http_parser *p)
{
    struct response_reader *r = p->data;
    if (p->status_code >= 200)
        r->out->complete = true;
    return 0;
}

void response_reader_init(struct response_reader *r, struct response *out)
{
    *r = (struct response_reader){.out = out};
    *out = (struct response){.body = out->body, .body_max = out->body_max};
    http_parser_init(&r->lib, HTTP_RESPONSE);
    r->lib.data = r;
    http_parser_settings_init(&r->settings);
    r->settings.on_header_field = on_field;
    r->settings.on_header_value = on_value;
    r->settings.on_headers_complete = on_headers;
    r->settings.on_body = on_body;
    r->settings.on_message_complete = on_complete;
}

tm_err response_read(struct response_reader *r, struct slice octets)
{
    if (r->out->complete)
        return TM_OK;
    r->octets += octets.n;
    if (r->octets > RESPONSE_OCTETS_MAX)
        return TM_ETOOBIG;
    size_t done = http_parser_execute(&r->lib, &r->settings, (const char *)octets.p, octets.n);
    if (r->out->complete)
        return TM_OK;
    if (r->bad || done != octets.n || HTTP_PARSER_ERRNO(&r->lib) != HPE_OK)
        return r->bad ? TM_ETOOBIG : TM_EMALFORMED;
    return TM_OK;
}

/* ---- redirects ---- */

static bool path_valid(const char *s)
{
    for (; *s; s++)
        if ((uint8_t)*s <= ' ' || (uint8_t)*s >= 0x7f)
            return false;
    return true;
}

static tm_err set_path(struct target *t, const char *path)
{
    size_t n = strcspn(path, "#");
    if (!path_valid(path) || n >= sizeof t->path)
        return TM_EMALFORMED;
    memcpy(t->path, path, n);
    t->path[n] = '\0';
    return TM_OK;
}

/* authority = host [ ":" port ]; no userinfo (RFC 9110 4.2.4) */
static tm_err set_authority(struct target *t, const char *s, size_t n)
{
    const char *end = s + n, *host = s, *host_end;
    if (n == 0 || memchr(s, '@', n))
        return TM_EMALFORMED;
    if (*s == '[') {
        host = s + 1;
        host_end = memchr(host, ']', n - 1);
        if (!host_end)
            return TM_EMALFORMED;
        s = host_end + 1;
    } else {
        host_end = memchr(s, ':', n);
        host_end = host_end ? host_end : end;
        s = host_end;
    }
    size_t length = (size_t)(host_end - host);
    if (length == 0 || length >= sizeof t->host ||
        strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                     "0123456789.-_:") < length)
        return TM_EMALFORMED;
    memcpy(t->host, host, length);
    t->host[length] = '\0';
    t->port = 0;
    if (s == end)
        return TM_OK;
    if (*s != ':' || end - s > 6)
        return TM_EMALFORMED;
    for (s++; s < end; s++) {
        if (*s < '0' || *s > '9')
            return TM_EMALFORMED;
        t->port = t->port * 10 + (*s - '0');
    }
    return t->port > 0 && t->port < 65536 ? TM_OK : TM_EMALFORMED;
}

tm_err target_resolve(struct target *ret, const struct target *base, const char *location)
{
    struct target t = *base;
    const char *rest = location;
    size_t scheme = strcspn(location, ":/?#");
    if (location[scheme] == ':') {
        bool tls = scheme == 5 && strncasecmp(location, "https", 5) == 0;
        if (!tls && (scheme != 4 || strncasecmp(location, "http", 4) != 0))
            return TM_EUNSUPPORTED;
        t.tls = tls;
        rest = location + scheme + 1;
        if (strncmp(rest, "//", 2) != 0)
            return TM_EMALFORMED;
    }
    if (strncmp(rest, "//", 2) == 0) {
        size_t n = strcspn(rest + 2, "/?#");
        TM_TRY(set_authority(&t, rest + 2, n));
        rest += 2 + n;
        if (*rest != '/') { /* no path: "/" and perhaps a query */
            char path[RESPONSE_LOCATION_MAX + 8];
            snprintf(path, sizeof path, "/%s", rest);
            TM_TRY(set_path(&t, path));
            *ret = t;
            return TM_OK;
        }
    } else if (*rest != '/') {
        return TM_EMALFORMED; /* relative paths are written by nobody who means it well */
    }
    TM_TRY(set_path(&t, rest));
    *ret = t;
    return TM_OK;
}
