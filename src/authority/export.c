/* What may leave: certificates. */
#include "authority/ceremony.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/text.h"
#include "issue/house.h"
#include "x509/cms/certs_only.h"

enum { CHAIN_MAX = 17 };

const char *const ca_export_names[CA_EXPORT_COUNT + 1] = {"pem", "der", "chain", "pkcs7", NULL};

tm_err authority_export(struct buf *out, const struct authority *x, enum ca_export form)
{
    if (form == CA_EXPORT_DER) {
        buf_put_slice(out, x->der);
        return buf_err(out);
    }
    if (form == CA_EXPORT_PKCS7) {
        struct slice all[CHAIN_MAX] = {x->der};
        size_t n = 1;
        for (size_t i = 0; i < x->n_chain && n < CHAIN_MAX; i++)
            all[n++] = x->chain[i];
        return certs_only_build(out, all, n, NULL, 0);
    }
    buf_put_pem(out, "CERTIFICATE", x->der);
    for (size_t i = 0; form == CA_EXPORT_CHAIN && i < x->n_chain; i++)
        buf_put_pem(out, "CERTIFICATE", x->chain[i]);
    return buf_err(out);
}

tm_err authority_roots(struct buf *out, struct house *h, tenant_id tenant)
{
    struct catalog *cat = house_catalog(h);
    const struct authority *const *v;
    size_t n = catalog_authorities(cat, &v);
    for (size_t i = 0; i < n; i++) {
        bool wanted = v[i]->is_root && !v[i]->disabled && v[i]->tenant == tenant;
        /* The same root may be known under two names. */
        for (size_t k = 0; k < i && wanted; k++)
            wanted = !(v[k]->is_root && !v[k]->disabled && v[k]->tenant == tenant &&
                       slice_eq(v[k]->der, v[i]->der));
        if (wanted)
            buf_put_pem(out, "CERTIFICATE", v[i]->der);
    }
    catalog_unref(cat);
    return buf_err(out);
}
