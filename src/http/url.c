#include "http/url.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PORT_HTTP = 80, PORT_HTTPS = 443, PORT_MAX = 65535 };

static bool plain(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s <= 0x20 || (unsigned char)*s >= 0x7f || strchr("\"<>\\^`{|}#", *s))
            return false;
    return true;
}

/* "host", "host:port", "[v6]:port". */
static bool read_authority(struct http_url *u, const char *s, size_t n)
{
    bool v6 = n && s[0] == '[';
    const char *end = v6 ? memchr(s, ']', n) : memchr(s, ':', n);
    size_t host = end ? (size_t)(end - s) : n, skip = v6;
    if ((v6 && !end) || host - skip == 0 || host - skip >= sizeof u->host || memchr(s, '@', n))
        return false;
    memcpy(u->host, s + skip, host - skip);
    u->host[host - skip] = '\0';
    const char *rest = s + host + (v6 ? 1 : 0);
    u->port = u->tls ? PORT_HTTPS : PORT_HTTP;
    if (rest == s + n)
        return true;
    char *stop;
    long port = rest[0] == ':' ? strtol(rest + 1, &stop, 10) : 0;
    u->port = (int)port;
    return port > 0 && port <= PORT_MAX && stop == s + n && rest[1] >= '0' && rest[1] <= '9';
}

tm_err http_url_parse(struct http_url *ret, const char *text, struct diag *diag)
{
    struct http_url u = {.tls = strncmp(text, "https://", 8) == 0};
    const char *s = text + (u.tls ? 8 : 7);
    bool known = u.tls || strncmp(text, "http://", 7) == 0;
    size_t n = known ? strcspn(s, "/?") : 0;
    if (!known || !plain(text) || !read_authority(&u, s, n) || strlen(s + n) >= sizeof u.path || s[n] == '?')
        return diag_fail(diag, TM_EINVAL, "RFC 9110 4.2", "url",
                         "must be an address such as https://name.example/path");
    size_t len = strlen(s + n);
    memcpy(u.path, s + n, len + 1);
    while (len && u.path[len - 1] == '/')
        u.path[--len] = '\0';
    *ret = u;
    return TM_OK;
}
