/* Revocation lists: what is published, and publishing at once. */
#include "api/groups.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "issue/house.h"
#include "status/crl.h"
#include "x509/crl.h"

static tm_err authority_wanted(const struct authority **ret, const struct api_call *c, struct diag *diag)
{
    *ret = catalog_authority(c->catalog, c->tenant->id, api_param(c, "authority"));
    if (!*ret)
        return diag_fail(diag, TM_ENOTFOUND, NULL, "authority", "there is no authority \"%s\"",
                         api_param(c, "authority"));
    return TM_OK;
}

static tm_err put_series(struct api_call *c, const struct authority *x, struct diag *diag)
{
    struct crl_series s;
    tm_err e = crl_series_state(&s, c->house, x, diag);
    if (e == TM_ENOTFOUND)
        return TM_OK;
    TM_TRY(e);
    buf_puts(&c->out, ",\"series\":{");
    buf_printf(&c->out, "\"count\":%zu", s.count);
    api_put_time(&c->out, "last", s.last);
    api_put_time(&c->out, "ends", s.ends);
    api_put_int(&c->out, "missing", (int64_t)s.missing);
    buf_puts(&c->out, "}");
    return TM_OK;
}

static tm_err put_crl(struct api_call *c, const struct authority *x, struct diag *diag)
{
    struct crl_row row = {0};
    struct crl crl;
    tm_err e = crl_current(&row, c->arena, c->house, x);
    if (e == TM_ENOTFOUND)
        return diag_fail(diag, e, NULL, "authority", "\"%s\" has published no CRL yet", x->name);
    TM_TRY(e);
    TM_TRY(crl_parse(&crl, row.der, diag));
    struct crl_iter it;
    struct crl_entry entry;
    size_t entries = 0;
    crl_iter_init(&it, &crl, diag);
    while ((e = crl_next(&it, &entry)) == TM_OK)
        entries++;
    if (e != TM_ENOTFOUND)
        return e;
    const char *number = arena_hex(c->arena, row.number), *crl_url, *ca_url;
    TM_TRY(house_authority_urls(&crl_url, &ca_url, c->arena, c->house, x));
    struct buf pem;
    buf_init(&pem, 256 << 20);
    buf_put_pem(&pem, "X509 CRL", row.der);
    buf_puts(&c->out, "{\"authority\":");
    buf_put_json_string(&c->out, slice_str(x->name));
    api_put_text(&c->out, "number", number ? number : "");
    api_put_time(&c->out, "this_update", row.this_update);
    api_put_time(&c->out, "next_update", row.next_update);
    api_put_int(&c->out, "revoked", (int64_t)entries);
    api_put_int(&c->out, "octets", (int64_t)row.der.n);
    api_put_text(&c->out, "url", crl_url);
    e = put_series(c, x, diag);
    if (api_query(c, "pem"))
        api_put_text(&c->out, "crl", buf_str(&pem));
    buf_done(&pem);
    buf_puts(&c->out, "}\n");
    return e;
}

static tm_err get(struct api_call *c, struct diag *diag)
{
    const struct authority *x;
    TM_TRY(authority_wanted(&x, c, diag));
    return put_crl(c, x, diag);
}

static tm_err publish(struct api_call *c, struct diag *diag)
{
    const struct authority *x;
    TM_TRY(authority_wanted(&x, c, diag));
    TM_TRY(crl_publish(c->house, x, CRL_NOW, NULL, diag));
    return put_crl(c, x, diag);
}

const struct api_route crl_api_routes[] = {
    {HTTP_M_GET, "/api/v1/crls/{authority}", API_READERS, get, 0, "getCrl",
     "The published CRL of an authority; ?pem adds the list itself", "authorities", NULL, NULL},
    {HTTP_M_POST, "/api/v1/crls/{authority}/publish", ROLE_ADMIN | ROLE_OPERATOR, publish, 4096, "publishCrl",
     "Make and publish an authority's CRL now", "authorities", NULL, NULL},
    {0},
};
