/* Bodies of EST enrollments: whatever decodes is read as PKCS#10, and its challengePassword held against a binding.
 * Parser: enroll/est/enroll.c:est_body_decode,est_binding_check */
#include "base/arena.h"
#include "enroll/est/est.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t binding[12] = "abcdefghijkl";
    struct arena *a = arena_new(0);
    struct diag diag = {0};
    struct slice der;
    struct csr csr = {0};
    if (!a)
        return 0;
    if (est_body_decode(&der, a, slice_of(data, size), &diag) == TM_OK &&
        csr_parse_pkcs10(&csr, der, &diag) == TM_OK) {
        tm_err lax = est_binding_check(csr.challenge_password, SLICE_ARR(binding), false, a, &diag);
        tm_err strict = est_binding_check(csr.challenge_password, SLICE_ARR(binding), true, a, &diag);
        if (strict == TM_OK && lax != TM_OK)
            abort();
    }
    arena_free(a);
    return 0;
}
