/* PostgreSQL: SSLRequest, answered by one octet (its manual, "Message Flow", SSL Session Encryption). */
#include "discover/starttls.h"

static enum starttls_state step(unsigned step, struct slice said, size_t *ret_used, const char *name,
                                struct buf *out, const char **hint)
{
    static const uint8_t request[] = {0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f};
    if (step == 0) {
        buf_put(out, request, sizeof request);
        return STARTTLS_SENT;
    }
    if (said.n == 0)
        return STARTTLS_MORE;
    *ret_used = 1;
    *hint = "the database has TLS switched off";
    if (said.p[0] == 'E') /* an error message, from before SSLRequest or from a server that is full */
        *hint = "the database answered with an error";
    return said.p[0] == 'S'                       ? STARTTLS_READY
           : said.p[0] == 'N' || said.p[0] == 'E' ? STARTTLS_REFUSED
                                                  : STARTTLS_FOREIGN;
}

const struct starttls starttls_postgres = {"postgres", 5432, false, step};
