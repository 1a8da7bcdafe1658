/* Requests in any format and wrapping.
 * Dictionary: der
 * Parser: x509/csr.c x509/csr_any.c -csr_build_info */
#include "base/arena.h"
#include "x509/csr.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct csr c;
    struct diag d = {0};
    struct general_names san;
    struct arena *a = arena_new(0);
    if (!a)
        return 0;
    if (csr_parse_any(&c, a, slice_of(data, size), &d) == TM_OK) {
        (void)csr_attr_find(&c, OID_CHALLENGE_PASSWORD);
        TM_IGNORE(csr_san(&san, a, &c, &d));
    } else if (d.message[0] == '\0') {
        abort();
    }
    TM_IGNORE(csr_parse_pkcs10(&c, slice_of(data, size), &d));
    arena_free(a);
    return 0;
}
