/* SignedData with signers, as BER from outside; what was read is built again and read once more.
 * Parser: x509/cms/signed.c -signed_data_build -signed_attrs_build -put_* -end_attribute */
#include "base/arena.h"
#include "base/buf.h"
#include "x509/cert.h"
#include "x509/cms/signed.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void rebuild(const struct signed_data *d, const struct signed_signer *s)
{
    struct signed_message m = {
        .content_type = d->content_type,
        .content = d->content,
        .certs = d->certs,
        .n_certs = d->n_certs,
        .issuer = s->issuer,
        .serial = s->serial,
        .digest_alg = s->digest_alg.der,
        .sig_alg = s->sig_alg.der,
        .attrs = s->attrs,
        .signature = s->signature,
    };
    struct arena *a = arena_new(0);
    struct buf out;
    buf_init(&out, 2 * SIGNED_DATA_MAX);
    static struct signed_data again;
    if (a && (d->content.n || oid_find(d->content_type) == OID_DATA) &&
        signed_data_build(&out, &m) == TM_OK && out.n <= SIGNED_DATA_MAX) {
        if (signed_data_parse(&again, a, buf_slice(&out), NULL) != TM_OK || again.n_signers != 1)
            abort();
        else if (!slice_eq(again.content, d->content) || again.n_certs != d->n_certs ||
                 !slice_eq(again.signers[0].attrs, s->attrs) ||
                 !slice_eq(again.signers[0].signature, s->signature))
            abort();
    }
    buf_done(&out);
    arena_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct signed_data d;
    struct diag diag = {0};
    struct arena *a = arena_new(0);
    if (!a)
        return 0;
    if (signed_data_parse(&d, a, slice_of(data, size), &diag) == TM_OK) {
        for (size_t i = 0; i < d.n_certs; i++) {
            struct cert c;
            if (cert_parse(&c, d.certs[i], NULL) == TM_OK && d.n_signers)
                (void)signed_signer_is(&d.signers[0], &c);
        }
        if (d.n_signers && d.signers[0].issuer.n)
            rebuild(&d, &d.signers[0]);
    }
    arena_free(a);
    return 0;
}
