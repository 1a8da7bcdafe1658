/* PKIData of CMC; what it says of its transaction goes into a PKIResponse.
 * Parser: x509/cmc.c -pki_response_build -put_* -control_open -control_close */
#include "base/arena.h"
#include "base/buf.h"
#include "x509/cmc.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void answer(const struct pki_data *d)
{
    struct cmc_status status[3] = {
        {.body_part = d->bad_part, .code = CMC_FAILED, .fail = CMC_BAD_REQUEST, .text = "no"},
        {.body_part = 1, .code = CMC_PENDING, .pend_token = SLICE_LIT("token"), .pend_time = 1800000000},
        {.body_part = 2, .code = CMC_SUCCESS},
    };
    struct pki_response r = {
        .transaction_id = d->transaction_id,
        .recipient_nonce = d->sender_nonce,
        .sender_nonce = d->recipient_nonce,
        .data_return = d->data_return,
        .status = status,
        .n_status = 3,
    };
    struct buf out;
    buf_init(&out, 64 << 10);
    if (pki_response_build(&out, &r) != TM_OK)
        abort();
    buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct pki_data d;
    struct diag diag = {0};
    struct arena *a = arena_new(0);
    if (!a)
        return 0;
    tm_err e = pki_data_parse(&d, a, slice_of(data, size), &diag);
    if (d.n_controls > CMC_CONTROLS_MAX || d.n_requests > CMC_REQUESTS_MAX || (e == TM_OK && d.bad_part))
        abort();
    answer(&d);
    arena_free(a);
    return 0;
}
