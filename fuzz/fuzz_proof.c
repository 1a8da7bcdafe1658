/* Proof documents and event bodies. The verifier key is that of tests/data/register/vectors.json, so that a corpus can hold whole proofs.
 * Parser: register/proof.c register/event.c:value_skip,register_event_find,event_find_* register/merkle.c:merkle_verify_inclusion,proof_shaped */
#include "base/arena.h"
#include "base/buf.h"
#include "register/internal.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char vkey[] = "pki.example.org/touchmark+d2b70caf+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size), found;
    struct diag diag = {0};
    struct buf report;
    uint64_t number;
    uint8_t hash[32];
    buf_init(&report, 1 << 20);
    tm_err err = register_verify_proof(text, SLICE_LIT(vkey), &report, &diag);
    if ((err == TM_OK) != (report.n > 0))
        abort();
    buf_done(&report);

    static const char *const keys[] = {"a", "chain", "@type", ""};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (register_event_find(&found, text, keys[i]) &&
            (found.n == 0 || found.p < data || found.p + found.n > data + size))
            abort();
        (void)event_find_string(&found, text, keys[i]);
        (void)event_find_number(&number, text, keys[i]);
        (void)event_find_hash(hash, text, keys[i]);
    }
    return 0;
}
