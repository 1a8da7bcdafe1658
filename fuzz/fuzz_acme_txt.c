/* TXT records as dns-01 reads them.
 * Parser: enroll/acme/dns_01.c:txt_rdata_is */
#include "enroll/acme/validate.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice all = slice_of(data, size);
    size_t n = size ? data[0] % size : 0;
    bool good = txt_rdata_is(slice_sub(all, 0, n), slice_sub(all, n, size));
    /* Every character-string has its length in front: a record is longer than its text. */
    if (good && n <= size - n && n > 0)
        abort();
    return 0;
}
