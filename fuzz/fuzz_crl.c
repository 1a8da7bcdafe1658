/* CRLs: parse, iterate, and build the same list of entries again.
 * Dictionary: der
 * Parser: x509/crl.c -crl_build_* */
#include "base/buf.h"
#include "x509/cert.h"
#include "x509/crl.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct crl c, built;
    struct diag d = {0};
    struct crl_iter it;
    struct crl_entry e;
    struct crl_builder b;
    struct buf out;
    size_t n = 0, again = 0;
    TM_IGNORE(crl_parse_tbs(&c, slice_of(data, size), &d));
    if (crl_parse(&c, slice_of(data, size), &d) != TM_OK) {
        if (d.message[0] == '\0')
            abort();
        return 0;
    }
    (void)crl_number(&c);
    if (crl_parse_tbs(&built, c.tbs, &d) != TM_OK)
        abort();
    struct tbs_crl t = {.sigalg = c.sigalg.der,
                        .issuer = c.issuer,
                        .this_update = c.this_update,
                        .next_update = c.next_update,
                        .number = SLICE_LIT("\x01")};
    buf_init(&out, 1 << 20);
    crl_build_begin(&b, &out, &t);
    crl_iter_init(&it, &c, &d);
    for (; crl_next(&it, &e) == TM_OK; n++)
        crl_build_entry(&b, &e);
    if (crl_build_end(&b) == TM_OK) {
        struct buf list;
        buf_init(&list, 1 << 20);
        if (signed_assemble(&list, buf_slice(&out), c.sigalg.der, c.signature) == TM_OK) {
            if (crl_parse(&built, buf_slice(&list), &d) != TM_OK)
                abort();
            crl_iter_init(&it, &built, &d);
            while (crl_next(&it, &e) == TM_OK)
                again++;
            if (again != n)
                abort();
        }
        buf_done(&list);
    }
    buf_done(&out);
    return 0;
}
