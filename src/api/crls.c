/* Revocation lists: what is published, and publishing at once. */
#include "api/groups.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "issue/house.h"
#include "status/crl.h"
#include "status/crl_file.h"
#include <string.h>

enum { SERIES_MAX = 64 << 20 };

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

/* Of one that was published before its entries were counted. */
static tm_err count(int64_t *ret, struct house *h, const struct crl_row *row, struct diag *diag)
{
    struct crl_in in;
    struct crl_entry entry;
    TM_TRY(crl_in_open(&in, h, row, diag));
    tm_err e;
    for (*ret = 0; (e = crl_stream_next(in.s, &entry)) == TM_OK; ++*ret)
        ;
    crl_in_close(&in);
    return e == TM_ENOTFOUND ? TM_OK : e;
}

static tm_err put_crl(struct api_call *c, const struct authority *x, struct diag *diag)
{
    struct crl_row row = {0};
    const char *list = api_query(c, "list") ? api_query(c, "list") : "full";
    tm_err e = crl_current_of(&row, c->arena, c->house, x, list);
    if (e == TM_ENOTFOUND)
        return diag_fail(diag, e, NULL, "authority", "\"%s\" has published no CRL \"%s\" yet", x->name, list);
    TM_TRY(e);
    int64_t entries = row.entries;
    if (entries < 0)
        TM_TRY(count(&entries, c->house, &row, diag));
    if (api_query(c, "pem") && crl_row_is_file(&row))
        return diag_fail(diag, TM_ETOOBIG, NULL, "pem",
                         "the CRL has %llu octets; fetch it from where it is published",
                         (unsigned long long)row.size);
    const char *crl_url, *ca_url;
    TM_TRY(house_authority_urls(&crl_url, &ca_url, c->arena, c->house, x));
    if (strcmp(list, "full") != 0)
        crl_url = house_crl_list_url(c->arena, c->house, x, list);
    if (!crl_url)
        return TM_ENOMEM;
    struct buf pem;
    buf_init(&pem, 256 << 20);
    if (api_query(c, "pem"))
        buf_put_pem(&pem, "X509 CRL", row.der);
    buf_puts(&c->out, "{\"authority\":");
    buf_put_json_string(&c->out, slice_str(x->name));
    api_put_text(&c->out, "list", list);
    api_put_int(&c->out, "number", crl_number_value(row.number));
    api_put_time(&c->out, "this_update", row.this_update);
    api_put_time(&c->out, "next_update", row.next_update);
    api_put_int(&c->out, "revoked", entries);
    api_put_int(&c->out, "octets", (int64_t)crl_row_size(&row));
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

static tm_err import_series(struct api_call *c, struct diag *diag)
{
    const struct authority *x;
    struct crl_series s = {0};
    TM_TRY(authority_wanted(&x, c, diag));
    TM_TRY(crl_series_import(&s, c->house, x, c->body, c->principal, diag));
    buf_puts(&c->out, "{\"authority\":");
    buf_put_json_string(&c->out, slice_str(x->name));
    api_put_int(&c->out, "count", (int64_t)s.count);
    api_put_time(&c->out, "first", s.first);
    api_put_time(&c->out, "last", s.last);
    api_put_time(&c->out, "ends", s.ends);
    api_put_int(&c->out, "missing", (int64_t)s.missing);
    buf_puts(&c->out, "}\n");
    return TM_OK;
}

/* ---- what the document says ---- */

static const struct api_field crl_fields[] = {
    {"authority", "string", NULL, "issuing-ca"},
    {"list", "string",
     "full, delta, indirect, a shard such as 16-3, or of a profile: profile-web, profile-web.delta", "full"},
    {"number", "integer", "RFC 5280 5.2.3", "1795246262804"},
    {"this_update", "time?", NULL, NULL},
    {"next_update", "time?", NULL, NULL},
    {"revoked", "integer", "certificates on it", "0"},
    {"octets", "integer", NULL, "269"},
    {"url", "string", "where it is published", "http://pki.example.org/crl/76238fb4/full.crl"},
    {"series?", "CrlSeries", "of an authority whose key is elsewhere", NULL},
    {"crl?", "pem", "with ?pem", NULL},
    {0},
};
static const struct api_field series_fields[] = {
    {"authority?", "string", NULL, "root"},
    {"count", "integer", "CRLs that were signed ahead", "24"},
    {"first?", "time?", "thisUpdate of the first", NULL},
    {"last", "time?", "thisUpdate of the last", NULL},
    {"ends", "time?", "nextUpdate of the last: nobody can check certificates after that", NULL},
    {"missing", "integer", "revoked here, but not on the newest one: the series has to be signed again", "0"},
    {0},
};
const struct api_schema crl_api_schemas[] = {
    {"Crl", "the published CRL of an authority", crl_fields, NULL, NULL},
    {"CrlSeries", NULL, series_fields, NULL, NULL},
    {0},
};
static const struct api_field crl_query[] = {
    {"pem", "true|1", "the list itself as well", "1"},
    {"list", "string",
     "full when left out; delta, indirect, a shard such as 16-3, or of a profile: profile-web, profile-web.delta",
     "delta"},
    {0}};
static const struct api_content series_bodies[] = {
    {0, "application/x-pem-file", NULL, "PEM blocks \"X509 CRL\""},
    {0, "application/pkix-crl", NULL, "DER, one behind another"},
    {0},
};

const struct api_route crl_api_routes[] = {
    {HTTP_M_GET, "/api/v1/crls/{authority}", API_READERS, get, 0, "getCrl",
     "The published CRL of an authority; ?pem adds the list itself", "authorities", NULL, "Crl", 0,
     crl_query},
    {HTTP_M_POST, "/api/v1/crls/{authority}/publish", ROLE_ADMIN | ROLE_OPERATOR, publish, 4096, "publishCrl",
     "Make and publish an authority's CRL now", "authorities", NULL, "Crl", 0, crl_query},
    {HTTP_M_POST, "/api/v1/crls/{authority}/series", ROLE_ADMIN, import_series, SERIES_MAX, "importCrlSeries",
     "Bring in the CRLs that an offline root signed ahead; each is published when its day comes",
     "authorities", NULL, "CrlSeries", .takes = series_bodies},
    {0},
};
