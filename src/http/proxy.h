/* http/proxy.h - the PROXY protocol, version 2 (haproxy's proxy-protocol.txt, section 2.2). Layer 1, pure. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "http/address.h"

enum {
    PROXY_V2_HEAD = 16,       /* signature, version and command, family, length */
    PROXY_V2_MAX_BODY = 2048, /* addresses and TLVs; real ones stay below 600 */
};

struct proxy_v2 {
    bool local;            /* LOCAL: the proxy speaks for itself (health checks) */
    struct address source; /* ADDRESS_NONE when LOCAL, unspecified or a unix socket */
};

/* Length of what follows the first PROXY_V2_HEAD octets. TM_EMALFORMED when they are no version 2 header, TM_ETOOBIG. */
tm_err proxy_v2_body_length(size_t *ret, const uint8_t head[PROXY_V2_HEAD]);

/* The whole header, exactly: a header that is shorter or longer than its length field says is TM_EMALFORMED. */
tm_err proxy_v2_parse(struct proxy_v2 *ret, struct slice header);
