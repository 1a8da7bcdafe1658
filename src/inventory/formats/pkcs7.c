/* PKCS#7 and CMS: the certificates of SignedData (RFC 5652 5.1), whoever signed it or nobody. */
#include "base/arena.h"
#include "der/ber.h"
#include "der/oid.h"
#include "inventory/formats/formats.h"
#include "x509/cms/certs_only.h"

/* ContentInfo ::= SEQUENCE { contentType OBJECT IDENTIFIER (signedData), … }: its octets are near the beginning, whatever the lengths' form. */
static bool looks(struct slice bytes)
{
    static const uint8_t signed_data[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02};
    struct slice head = slice_sub(bytes, 0, 24);
    return bytes.n && bytes.p[0] == 0x30 && container_find(head, 0, SLICE_ARR(signed_data)) < head.n;
}

tm_err container_pkcs7(struct container_out *o, struct slice ber, struct diag *diag)
{
    struct arena *a = container_arena(o);
    struct slice der, *certs = arena_calloc(a, CERTS_ONLY_MAX, sizeof *certs);
    size_t n = 0;
    if (!certs)
        return arena_err(a);
    TM_TRY(ber_normalize(&der, a, ber, CONTAINER_OCTETS_MAX, diag));
    TM_TRY(certs_only_parse(certs, CERTS_ONLY_MAX, &n, der, diag));
    for (size_t i = 0; i < n; i++)
        TM_TRY(container_loose(o, certs[i]));
    return TM_OK;
}

static tm_err read(struct container_out *o, const struct container_input *in, struct diag *diag)
{
    return container_pkcs7(o, in->bytes, diag);
}

const struct cert_format pkcs7_format = {"pkcs7", "certificates of a PKCS#7 or CMS message", looks, read};
