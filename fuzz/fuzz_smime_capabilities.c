/* SMIMECapabilities of a request for a key that is made here.
 * Parser: x509/cms/capabilities.c */
#include "x509/cms/capabilities.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct smime_capabilities found;
    struct diag diag = {0};
    (void)smime_capabilities_parse(&found, slice_of(data, size), &diag);
    return 0;
}
