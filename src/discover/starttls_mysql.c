/* MySQL and MariaDB: the server's greeting says whether it has TLS, the client's first packet asks for it (protocol 10, Protocol::SSLRequest). */
#include "discover/starttls.h"
#include <string.h>

enum { HEADER = 4, CLIENT_SSL = 0x0800, FIXED = 4 + 8 + 1 + 2 };

static enum starttls_state step(unsigned step, struct slice said, size_t *ret_used, const char *name,
                                struct buf *out, const char **hint)
{
    /* CLIENT_LONG_PASSWORD, PROTOCOL_41, SSL, SECURE_CONNECTION; packets of 16 MiB; utf8 */
    static const uint8_t request[HEADER + 32] = {32, 0, 0, 1, 0x01, 0x8a, 0, 0, 0, 0, 0, 1, 33};
    if (said.n < HEADER)
        return STARTTLS_MORE;
    size_t n = said.p[0] | (size_t)said.p[1] << 8 | (size_t)said.p[2] << 16;
    if (n == 0 || n > STARTTLS_LINE_MAX)
        return STARTTLS_FOREIGN;
    if (said.n - HEADER < n)
        return STARTTLS_MORE;
    *ret_used = HEADER + n;
    const uint8_t *p = said.p + HEADER, *end = p + n;
    if (*p == 0xff) { /* e.g. "Host … is not allowed to connect" */
        *hint = "the database answered with an error";
        return STARTTLS_REFUSED;
    }
    const uint8_t *version = *p == 10 ? memchr(p, 0, n) : NULL;
    if (!version || end - version - 1 < FIXED)
        return STARTTLS_FOREIGN;
    const uint8_t *capabilities = version + 1 + 4 + 8 + 1;
    *hint = "the database has TLS switched off";
    if (!((capabilities[0] | capabilities[1] << 8) & CLIENT_SSL))
        return STARTTLS_REFUSED;
    buf_put(out, request, sizeof request);
    return STARTTLS_READY;
}

const struct starttls starttls_mysql = {"mysql", 3306, true, step};
