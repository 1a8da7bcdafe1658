/* Signed public key and challenge.
 * Dictionary: der
 * Parser: x509/spkac.c */
#include "x509/csr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct csr c;
    struct diag d = {0};
    TM_IGNORE(csr_parse_spkac(&c, slice_of(data, size), &d));
    return 0;
}
