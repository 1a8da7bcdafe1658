/* Certs-only PKCS#7, as BER from outside.
 * Dictionary: der
 * Parser: x509/cms/certs_only.c -certs_only_build */
#include "base/arena.h"
#include "base/buf.h"
#include "der/ber.h"
#include "x509/cms/certs_only.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice der, certs[16] = {0}, again[16] = {0};
    struct diag d = {0};
    size_t n = 0, m = 0;
    struct arena *a = arena_new(0);
    struct buf out;
    if (!a)
        return 0;
    buf_init(&out, 1 << 20);
    if (ber_normalize(&der, a, slice_of(data, size), 1 << 20, &d) == TM_OK &&
        certs_only_parse(certs, 16, &n, der, &d) == TM_OK) {
        if (certs_only_build(&out, certs, n, NULL, 0) != TM_OK ||
            certs_only_parse(again, 16, &m, buf_slice(&out), &d) != TM_OK || m != n)
            abort();
        for (size_t i = 0; i < n; i++)
            if (!slice_eq(certs[i], again[i]))
                abort();
    }
    buf_done(&out);
    arena_free(a);
    return 0;
}
