/* Revocation filters: what is published, and making one at once. What there should be are resources. */
#include "api/groups.h"
#include "base/arena.h"
#include "base/digest.h"
#include "base/text.h"
#include "filter/writer.h"
#include "status/filter.h"
#include <math.h>
#include <string.h>

static tm_err put_file(struct api_call *c, const struct filter_def *d, enum tmf_kind kind, const char *key)
{
    struct crl_row row;
    struct tmf_filter f;
    struct tmf_issuer x;
    uint64_t members = 0, revoked = 0;
    tm_err e = filter_current(&row, &f, c->arena, c->house, d->tenant, d->name, kind);
    if (e == TM_ENOTFOUND)
        return TM_OK;
    TM_TRY(e);
    for (uint32_t i = 0; tmf_issuer_at(&f, i, &x) == 0; i++) {
        members += x.members;
        revoked += x.revoked;
    }
    const char *path = filter_path(c->arena, c->house, d->tenant, d->name, kind);
    uint8_t digest[SHA256_LEN];
    TM_TRY(sha256(digest, slice_of(f.p, f.body)));
    buf_printf(&c->out, ",\"%s\":{\"number\":%llu", key, (unsigned long long)f.number);
    if (kind == TMF_DELTA)
        api_put_int(&c->out, "base", (int64_t)f.base_number);
    api_put_time(&c->out, "this_update", f.this_update);
    api_put_time(&c->out, "next_update", f.next_update);
    api_put_int(&c->out, "certificates", (int64_t)members);
    api_put_int(&c->out, "revoked", (int64_t)revoked);
    api_put_int(&c->out, "octets", (int64_t)row.der.n);
    api_put_int(&c->out, "bound", (int64_t)ceil(filter_bound(&f) / 8));
    buf_puts(&c->out, ",\"digest\":\"");
    buf_put_hex(&c->out, SLICE_ARR(digest));
    buf_puts(&c->out, "\"");
    api_put_text(&c->out, "url",
                 c->house->public_base && c->house->public_base[0]
                     ? arena_printf(c->arena, "%s%s", c->house->public_base, path)
                     : path);
    buf_putc(&c->out, '}');
    return TM_OK;
}

static tm_err put_filter(struct api_call *c, const struct filter_def *d)
{
    buf_puts(&c->out, "{\"name\":");
    buf_put_json_string(&c->out, slice_str(d->name));
    buf_puts(&c->out, ",\"authorities\":[");
    for (size_t i = 0; i < d->n_authorities; i++) {
        buf_puts(&c->out, i ? "," : "");
        buf_put_json_string(&c->out, slice_str(d->authorities[i]));
    }
    buf_putc(&c->out, ']');
    api_put_bool(&c->out, "scheduled", d->scheduled);
    TM_TRY(put_file(c, d, TMF_FULL, "full"));
    TM_TRY(put_file(c, d, TMF_DELTA, "delta"));
    buf_putc(&c->out, '}');
    return TM_OK;
}

static tm_err list(struct api_call *c, struct diag *diag)
{
    struct filter_def *v;
    size_t n;
    TM_TRY(filter_def_list(&v, &n, c->arena, c->house, c->tenant->id, diag));
    buf_puts(&c->out, "{\"items\":[");
    for (size_t i = 0; i < n; i++) {
        buf_puts(&c->out, i ? "," : "");
        TM_TRY(put_filter(c, &v[i]));
    }
    buf_puts(&c->out, "]}\n");
    return TM_OK;
}

static tm_err get(struct api_call *c, struct diag *diag)
{
    struct filter_def d;
    TM_TRY(filter_def_find(&d, c->arena, c->house, c->tenant->id, api_param(c, "name"), diag));
    TM_TRY(put_filter(c, &d));
    buf_putc(&c->out, '\n');
    return TM_OK;
}

static tm_err build(struct api_call *c, struct diag *diag)
{
    struct filter_def d;
    const char *kind = api_query(c, "kind");
    if (kind && strcmp(kind, "full") != 0 && strcmp(kind, "delta") != 0)
        return diag_fail(diag, TM_EINVAL, NULL, "kind", "full or delta");
    TM_TRY(filter_def_find(&d, c->arena, c->house, c->tenant->id, api_param(c, "name"), diag));
    TM_TRY(filter_publish(c->house, &d, kind && kind[0] == 'd' ? TMF_DELTA : TMF_FULL, diag));
    TM_TRY(put_filter(c, &d));
    buf_putc(&c->out, '\n');
    return TM_OK;
}

/* ---- what the document says ---- */

static const struct api_field file_fields[] = {
    {"number", "integer", "grows with every one", "1795000000000"},
    {"base?", "integer", "deltas: number of the full filter they go with", NULL},
    {"this_update", "time?", "its answers are of then", NULL},
    {"next_update", "time?", "a newer one is promised until then", NULL},
    {"certificates", "integer", "that it was made over", "10000000"},
    {"revoked", "integer", "how many of them are revoked; of a delta: newly", "100000"},
    {"octets", "integer", "with its signature", "108500"},
    {"bound", "integer", "octets that any exact description takes on average, rounded up", "101529"},
    {"digest", "hex", "SHA-256 of the body", NULL},
    {"url", "string", "where it is published", "http://pki.example.org/filter/issuing-ca.tmf"},
    {0},
};
static const struct api_field filter_fields[] = {
    {"name", "string", NULL, "issuing-ca"},
    {"authorities", "[]string", "whose certificates it is about", NULL},
    {"scheduled", "boolean", "there is a resource, by which the server makes it by itself", NULL},
    {"full?", "FilterFile", "the newest full one", NULL},
    {"delta?", "FilterFile", "the newest delta", NULL},
    {0},
};
static const struct api_field list_fields[] = {{"items", "[]FilterState", NULL, NULL}, {0}};
const struct api_schema filter_api_schemas[] = {
    {"FilterFile", "a published filter", file_fields, NULL, NULL},
    {"FilterState", "a revocation filter", filter_fields, NULL, NULL},
    {"FilterStateList", NULL, list_fields, NULL, NULL},
    {0},
};
static const struct api_field build_query[] = {{"kind", "full|delta", "a full one when left out", "delta"},
                                               {0}};

const struct api_route filter_api_routes[] = {
    {HTTP_M_GET, "/api/v1/filters", API_READERS, list, 0, "listFilters",
     "The revocation filters that have a resource, with what is published", "authorities", NULL,
     "FilterStateList"},
    {HTTP_M_GET, "/api/v1/filters/{name}", API_READERS, get, 0, "getFilter",
     "One of them; an authority's name stands for a filter of that authority", "authorities", NULL,
     "FilterState"},
    {HTTP_M_POST, "/api/v1/filters/{name}/build", ROLE_ADMIN | ROLE_OPERATOR, build, 4096, "buildFilter",
     "Make and publish a full filter, or a delta, now", "authorities", NULL, "FilterState", 0, build_query},
    {0},
};
