/* CertReqMsg, and CertReqMessages taken apart.
 * Dictionary: der
 * Parser: x509/crmf.c */
#include "base/arena.h"
#include "x509/csr.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct csr c;
    struct diag d = {0};
    struct slice messages[4];
    size_t n;
    struct arena *a = arena_new(0);
    if (!a)
        return 0;
    /* How it proves itself later is said by a method that does so, and by nothing else. */
    if (csr_parse_crmf(&c, a, slice_of(data, size), &d) == TM_OK && csr_pop_later(&c) != CSR_POP_OTHERWISE &&
        c.pop != CSR_POP_KEY_ENCIPHERMENT)
        abort();
    if (crmf_messages_read(messages, 4, &n, slice_of(data, size), &d) == TM_OK)
        for (size_t i = 0; i < n; i++)
            TM_IGNORE(csr_parse_crmf(&c, a, messages[i], &d));
    arena_free(a);
    return 0;
}
