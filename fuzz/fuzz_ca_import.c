/* What an operator brings: CA certificates in any wrapping, and series of CRLs.
 * Dictionary: der
 * Parser: authority/certs_in.c -find_authority status/crl_series.c:crl_series_parse,parse_der,add,crl_series_check */
#include "authority/certs_in.h"
#include "base/arena.h"
#include "status/crl_impl.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cert certs[CERTS_IN_MAX];
    static struct ca_path path;
    static struct crl_list crls;
    struct slice bytes = slice_of(data, size);
    struct diag d = {0};
    struct arena *a = arena_new(0);
    size_t n = 0;
    if (!a)
        return 0;
    tm_err e = certs_in_read(certs, &n, a, bytes, &d);
    if (e == TM_OK && (n == 0 || n > CERTS_IN_MAX))
        abort();
    if (e == TM_OK)
        for (size_t i = 0; i <= n; i++)
            TM_IGNORE(
                certs_in_path(&path, a, certs, n, i ? certs[i - 1].spki.der : (struct slice){0}, NULL, &d));
    crls.n = 0;
    if (crl_series_parse(&crls, a, bytes, &d) == TM_OK && e == TM_OK) {
        struct authority x = {.name = "x", .cert = certs[0], .key_id = cert_ski(&certs[0])};
        for (size_t i = 0; i < crls.n; i++)
            TM_IGNORE(crl_series_check(&crls.v[i], i ? &crls.v[i - 1] : NULL, &x, i, &d));
    }
    TM_IGNORE(certs_in_path(&path, a, NULL, 0, (struct slice){0}, NULL, &d));
    TM_IGNORE(certs_in_path(&path, a, certs, n, bytes, NULL, &d));
    arena_free(a);
    return 0;
}
