/* LDAP: an extended request (RFC 4511 4.14). BER lengths may be longer than they need be, as Active Directory writes them. */
#include "discover/starttls.h"

enum { EXTENDED_RESPONSE = 0x78, ENUMERATED = 0x0a };

/* The header of an element: its tag, how long the header and the contents are. False: there is more to come, or it is not to be read. */
static bool header(struct slice s, uint8_t *tag, size_t *head, size_t *length)
{
    if (s.n < 2)
        return false;
    size_t octets = s.p[1] & 0x80 ? s.p[1] & 0x7f : 0;
    *tag = s.p[0];
    *head = 2 + octets;
    *length = octets ? 0 : s.p[1];
    if (octets > 4 || s.n < *head)
        return false;
    for (size_t i = 0; i < octets; i++)
        *length = *length << 8 | s.p[2 + i];
    return true;
}

static struct slice rest(struct slice s, size_t from)
{
    return from < s.n ? slice_of(s.p + from, s.n - from) : (struct slice){0};
}

static enum starttls_state answer(struct slice said, size_t *ret_used, const char **hint)
{
    uint8_t tag;
    size_t head, length;
    if (said.n && said.p[0] != 0x30)
        return STARTTLS_FOREIGN;
    if (!header(said, &tag, &head, &length))
        return said.n < 6 ? STARTTLS_MORE : STARTTLS_FOREIGN;
    if (length > STARTTLS_LINE_MAX)
        return STARTTLS_FOREIGN;
    if (said.n - head < length)
        return STARTTLS_MORE;
    *ret_used = head + length;
    struct slice message = slice_of(said.p + head, length);
    if (!header(message, &tag, &head, &length) || tag != 0x02) /* messageID */
        return STARTTLS_FOREIGN;
    message = rest(message, head + length);
    if (!header(message, &tag, &head, &length) || tag != EXTENDED_RESPONSE) {
        *hint = "the answer is no extended response";
        return STARTTLS_REFUSED;
    }
    message = rest(message, head);
    if (!header(message, &tag, &head, &length) || tag != ENUMERATED || length != 1 || !message.p ||
        message.n < head + 1)
        return STARTTLS_FOREIGN;
    *hint = "the directory refused";
    return message.p[head] == 0 ? STARTTLS_READY : STARTTLS_REFUSED;
}

static enum starttls_state step(unsigned step, struct slice said, size_t *ret_used, const char *name,
                                struct buf *out, const char **hint)
{
    /* LDAPMessage { messageID 1, extendedReq [APPLICATION 23] { requestName [0] 1.3.6.1.4.1.1466.20037 } } */
    static const uint8_t request[] = "\x30\x1d\x02\x01\x01\x77\x18\x80\x16"
                                     "1.3.6.1.4.1.1466.20037";
    if (step > 0)
        return answer(said, ret_used, hint);
    buf_put(out, request, sizeof request - 1);
    return STARTTLS_SENT;
}

const struct starttls starttls_ldap = {"ldap", 389, false, step};
