/* What a certificate took the place of, and what took its. */
#include "inventory/succession.h"
#include "api/groups.h"
#include "base/clock.h"
#include "base/text.h"
#include "x509/cert.h"

enum { LOOKED_AT = 64, SHOWN = 8 };

static void put_brief(struct buf *out, const struct cert_row *row, bool first)
{
    buf_puts(out, first ? "{\"serial\":\"" : ",{\"serial\":\"");
    buf_put_hex(out, SLICE_ARR(row->id));
    buf_putc(out, '"');
    api_put_text(out, "status", api_cert_status(row));
    api_put_text(out, "subject", row->subject);
    api_put_text(out, "profile", row->profile);
    api_put_time(out, "issued_at", row->issued_at / 1000);
    api_put_time(out, "not_after", row->not_after);
    buf_putc(out, '}');
}

static void put_those(struct buf *out, const char *key, const struct cert_row *row, const struct cert_row *v,
                      size_t n, bool later)
{
    int64_t now = clock_now();
    buf_printf(out, ",\"%s\":[", key);
    for (size_t i = 0, shown = 0; i < n && shown < SHOWN; i++) {
        /* What it replaced is told by how they stand to each other, whether it still holds or not. */
        bool so = later ? succession_follows(&v[i], row, now) : succession_follows(row, &v[i], 0);
        if (!so)
            continue;
        put_brief(out, &v[i], shown++ == 0);
    }
    buf_putc(out, ']');
}

tm_err api_put_succession(struct api_call *c, const struct cert_row *row, struct diag *diag)
{
    struct cert cert;
    bool kept = row->der.n && cert_parse(&cert, row->der, NULL) == TM_OK;
    struct store_read q = {.kind = READ_CERTS_BY_KEY, .limit = LOOKED_AT};
    TM_TRY(succession_key(&q.key, c->arena, kept ? &cert : NULL, row));
    tm_err e = q.key.value.n ? api_read(c, &q, diag) : TM_ENOTFOUND;
    if (e != TM_OK && e != TM_ENOTFOUND)
        return e;
    if (e == TM_ENOTFOUND)
        q.n = 0;
    put_those(&c->out, "replaces", row, q.certs, q.n, false);
    put_those(&c->out, "replaced_by", row, q.certs, q.n, true);
    return TM_OK;
}
