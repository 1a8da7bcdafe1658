/* OCSP requests as anybody sends them, and responses; what is read is built again.
 * Dictionary: der
 * Parser: x509/ocsp.c -ocsp_*_build -put_* */
#include "base/buf.h"
#include "x509/ocsp.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void request_again(const struct ocsp_id *id, struct slice nonce)
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

/* The answer about the first certificate, as we would give it. */
static void response_again(const struct ocsp_response *a)
{
    const struct ocsp_single single = {
        .id = a->id.der,
        .status = a->status,
        .revoked_at = a->revoked_at,
        .reason = a->reason,
        .this_update = a->this_update,
        .next_update = a->next_update,
    };
    const struct ocsp_data said = {
        .key_hash = SLICE_LIT("01234567890123456789"),
        .produced_at = a->produced_at,
        .v = &single,
        .n = 1,
        .nonce = SLICE_LIT("nonce"),
    };
    struct ocsp_response b;
    struct buf data, out;
    buf_init(&data, 128 << 10);
    buf_init(&out, 256 << 10);
    if (ocsp_data_build(&data, &said) != TM_OK ||
        ocsp_response_build(&out, buf_slice(&data), a->sig_algid, a->signature, a->cert) != TM_OK ||
        ocsp_response_parse(&b, buf_slice(&out), NULL) != TM_OK)
        abort();
    else if (b.outcome != OCSP_SUCCESSFUL || !slice_eq(b.data, buf_slice(&data)) ||
             !slice_eq(b.id.der, a->id.der) || b.status != a->status || b.revoked_at != a->revoked_at ||
             b.reason != a->reason || b.produced_at != a->produced_at || b.this_update != a->this_update ||
             b.next_update != a->next_update || !slice_eq(b.sig_algid, a->sig_algid) ||
             !slice_eq(b.signature, a->signature) || !slice_eq(b.cert, a->cert))
        abort();
    buf_done(&data);
    buf_done(&out);
}

/* One that is nothing but its status. */
static void error_again(enum ocsp_outcome outcome)
{
    uint8_t der[OCSP_ERROR_LEN];
    struct ocsp_response b;
    ocsp_error_build(der, outcome);
    if (ocsp_response_parse(&b, slice_of(der, sizeof der), NULL) != TM_OK || b.outcome != outcome)
        abort();
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
            request_again(&r.ids[i], r.nonce);
    } else if (d.message[0] == '\0') {
        abort();
    }
    d = (struct diag){0};
    if (ocsp_response_parse(&a, slice_of(data, size), &d) == TM_OK) {
        if (a.outcome == OCSP_SUCCESSFUL && (a.data.n == 0 || a.id.der.n == 0))
            abort();
        if (a.outcome == OCSP_SUCCESSFUL)
            response_again(&a);
        else
            error_again(a.outcome);
    } else if (d.message[0] == '\0') {
        abort();
    }
    return 0;
}
