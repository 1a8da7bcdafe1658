/* Revocation lists: what is published, and publishing at once. */
#include "api/groups.h"
#include "base/arena.h"
#include "base/text.h"
#include "status/crl.h"
#include "x509/crl.h"

static tm_err count_entries(uint64_t *ret, struct slice der, struct diag *diag)
{
    struct crl crl;
    struct crl_iter it;
    struct crl_entry entry;
    TM_TRY(crl_parse(&crl, der, diag));
    crl_iter_init(&it, &crl, diag);
    *ret = 0;
    tm_err e;
    while ((e = crl_next(&it, &entry)) == TM_OK)
        ++*ret;
    return e == TM_ENOTFOUND ? TM_OK : e;
}

static tm_err show(struct api_call *c, const struct authority *x, struct diag *diag)
{
    struct crl_row row;
    tm_err e = crl_current(&row, c->arena, c->house, x);
    if (e == TM_ENOTFOUND)
        return diag_fail(diag, e, NULL, "name", "\"%s\" has not published a CRL yet", x->name);
    TM_TRY(e);
    if (api_accepts(c, "application/pkix-crl")) {
        c->answer_type = "application/pkix-crl";
        buf_put_slice(&c->out, row.der);
        return TM_OK;
    }
    uint64_t revoked;
    TM_TRY(count_entries(&revoked, row.der, diag));
    buf_puts(&c->out, "{\"authority\":");
    buf_put_json_string(&c->out, slice_str(x->name));
    buf_puts(&c->out, ",\"number\":\"");
    buf_put_hex(&c->out, row.number);
    buf_puts(&c->out, "\"");
    api_put_time(&c->out, "this_update", row.this_update);
    api_put_time(&c->out, "next_update", row.next_update);
    api_put_int(&c->out, "revoked", (int64_t)revoked);
    api_put_int(&c->out, "octets", (int64_t)row.der.n);
    if (api_query(c, "pem")) {
        struct buf pem;
        buf_init(&pem, (size_t)1 << 30);
        buf_put_pem(&pem, "X509 CRL", row.der);
        api_put_text(&c->out, "crl", buf_str(&pem));
        e = buf_err(&pem);
        buf_done(&pem);
    }
    buf_puts(&c->out, "}\n");
    return e;
}

static tm_err find(const struct authority **ret, struct api_call *c, struct diag *diag)
{
    *ret = catalog_authority(c->catalog, c->tenant->id, api_param(c, "name"));
    return *ret ? TM_OK
                : diag_fail(diag, TM_ENOTFOUND, NULL, "name", "there is no authority \"%s\"",
                            api_param(c, "name"));
}

static tm_err get(struct api_call *c, struct diag *diag)
{
    const struct authority *x;
    TM_TRY(find(&x, c, diag));
    return show(c, x, diag);
}

static tm_err publish(struct api_call *c, struct diag *diag)
{
    const struct authority *x;
    TM_TRY(find(&x, c, diag));
    TM_TRY(crl_publish(c->house, x, CRL_NOW, NULL, diag));
    return show(c, x, diag);
}

const struct api_route crl_api_routes[] = {
    {HTTP_M_GET, "/api/v1/crls/{name}", API_READERS, get, 0, "getCrl",
     "The published CRL of an authority: facts, with ?pem the list itself, or DER by Accept", "crls", NULL,
     "Crl"},
    {HTTP_M_POST, "/api/v1/crls/{name}/publish", ROLE_ADMIN | ROLE_OPERATOR, publish, 4096, "publishCrl",
     "Sign and publish a new CRL now", "crls", NULL, "Crl"},
    {0},
};
