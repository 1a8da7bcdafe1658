/* PROXY v2 headers: the length field and the parser agree, and an address is there or not.
 * Parser: http/proxy.c */
#include "http/proxy.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxy_v2 p;
    size_t n = 0;
    tm_err length = size >= PROXY_V2_HEAD ? proxy_v2_body_length(&n, data) : TM_EMALFORMED;
    tm_err err = proxy_v2_parse(&p, slice_of(data, size));
    check(n <= PROXY_V2_MAX_BODY);
    check(err != TM_OK || (length == TM_OK && size == PROXY_V2_HEAD + n));
    if (err == TM_OK) {
        char text[ADDRESS_TEXT_MAX];
        check(!p.local || p.source.family == ADDRESS_NONE);
        address_format(text, &p.source);
        check(strlen(text) < sizeof text);
        (void)address_is_loopback(&p.source);
    }
    return 0;
}
