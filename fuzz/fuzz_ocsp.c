/* OCSP requests as anybody sends them, and responses; what is read is built again.
 * Dictionary: der
 * Parser: x509/ocsp.c */
#include "base/buf.h"
#include "x509/ocsp.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void again(const struct ocsp_id *id, struct slice nonce)
{
    static struct ocsp_request r;
    struct buf b;
    if (id->hash == OID_UNKNOWN)
        return;
    buf_init(&b, 64 << 10);
    if (ocsp_request_build(&b, id, nonce) == TM_OK &&
        (ocsp_request_parse(&r, buf_slice(&b), NULL) != TM_OK || r.n != 1 ||
         !slice_eq(r.ids[0].der, id->der) || !slice_eq(r.nonce, nonce)))
        abort();
    buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ocsp_request r;
    struct ocsp_response a;
    struct diag d = {0};
    if (ocsp_request_parse(&r, slice_of(data, size), &d) == TM_OK) {
        if (r.n == 0 || r.n > OCSP_IDS_MAX || r.nonce.n > OCSP_NONCE_MAX)
            abort();
        for (size_t i = 0; i < r.n; i++)
            again(&r.ids[i], r.nonce);
    } else if (d.message[0] == '\0') {
        abort();
    }
    d = (struct diag){0};
    if (ocsp_response_parse(&a, slice_of(data, size), &d) == TM_OK) {
        if (a.outcome == OCSP_SUCCESSFUL && (a.data.n == 0 || a.id.der.n == 0))
            abort();
    } else if (d.message[0] == '\0') {
        abort();
    }
    return 0;
}
