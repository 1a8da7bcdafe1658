#include "enroll/issued.h"
#include "issue/house.h"
#include <string.h>

tm_err issued_find(struct cert_row *ret, struct arena *a, struct house *h, const struct catalog *c,
                   tenant_id t, struct slice issuer, struct slice serial, bool with_der, struct diag *diag)
{
    struct store_read q = {.kind = READ_CERT, .tenant = t, .arena = a, .with_der = with_der};
    if (serial.n != CERT_SERIAL_LEN)
        return TM_ENOTFOUND;
    memcpy(q.id, serial.p, CERT_SERIAL_LEN);
    tm_err e = store_read_now(h->store, &q);
    if (e != TM_OK && e != TM_ENOTFOUND)
        *diag = q.diag;
    if (e != TM_OK)
        return e;
    const struct authority *of = catalog_authority(c, t, q.certs[0].authority);
    if (q.certs[0].source != CERT_ISSUED || !of || !slice_eq(of->cert.subject, issuer))
        return TM_ENOTFOUND;
    *ret = q.certs[0];
    return TM_OK;
}
