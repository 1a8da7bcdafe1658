#include "http/proxy.h"
#include <string.h>

static const uint8_t signature[12] = {'\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n'};

enum { COMMAND_LOCAL = 0, COMMAND_PROXY = 1 };
enum { FAMILY_UNSPEC = 0x00, FAMILY_TCP4 = 0x11, FAMILY_TCP6 = 0x21, FAMILY_UNIX = 0x31 };
enum { LENGTH_TCP4 = 12, LENGTH_TCP6 = 36, LENGTH_UNIX = 216 };

tm_err proxy_v2_body_length(size_t *ret, const uint8_t head[PROXY_V2_HEAD])
{
    if (memcmp(head, signature, sizeof signature) != 0 || head[12] >> 4 != 2)
        return TM_EMALFORMED;
    size_t n = (size_t)head[14] << 8 | head[15];
    if (n > PROXY_V2_MAX_BODY)
        return TM_ETOOBIG;
    *ret = n;
    return TM_OK;
}

/* Behind the addresses stand TLVs of type (1), length (2) and value; none is used, but a broken list means a broken sender. */
static bool tlvs_whole(struct slice s)
{
    while (s.n > 0) {
        if (s.n < 3)
            return false;
        size_t n = (size_t)s.p[1] << 8 | s.p[2];
        if (n > s.n - 3)
            return false;
        s = slice_sub(s, 3 + n, s.n);
    }
    return true;
}

tm_err proxy_v2_parse(struct proxy_v2 *ret, struct slice header)
{
    size_t n, addresses = 0;
    if (header.n < PROXY_V2_HEAD)
        return TM_EMALFORMED;
    TM_TRY(proxy_v2_body_length(&n, header.p));
    if (header.n != PROXY_V2_HEAD + n)
        return TM_EMALFORMED;
    struct proxy_v2 p = {0};
    struct slice body = slice_sub(header, PROXY_V2_HEAD, n);
    unsigned command = header.p[12] & 15;
    if (command == COMMAND_LOCAL) {
        /* "the receiver must accept this connection as valid and must use the real connection endpoints" */
        p.local = true;
        *ret = p;
        return TM_OK;
    }
    if (command != COMMAND_PROXY)
        return TM_EMALFORMED;
    switch (header.p[13]) {
    case FAMILY_UNSPEC:
        *ret = p;
        return TM_OK;
    case FAMILY_TCP4:
        addresses = LENGTH_TCP4;
        break;
    case FAMILY_TCP6:
        addresses = LENGTH_TCP6;
        break;
    case FAMILY_UNIX:
        addresses = LENGTH_UNIX;
        break;
    default: /* datagrams do not come over a stream */
        return TM_EMALFORMED;
    }
    if (body.n < addresses || !tlvs_whole(slice_sub(body, addresses, body.n)))
        return TM_EMALFORMED;
    if (header.p[13] == FAMILY_TCP4)
        p.source = address_from_v4(body.p);
    else if (header.p[13] == FAMILY_TCP6)
        p.source = address_from_v6(body.p);
    *ret = p;
    return TM_OK;
}
