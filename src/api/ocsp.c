/* OCSP: who answers for an authority, and ready answers for stapling. */
#include "status/ocsp.h"
#include "api/groups.h"
#include "base/arena.h"
#include "base/text.h"
#include "issue/house.h"
#include <string.h>

static void put_counts(struct buf *out, const struct ocsp_state *st)
{
    buf_puts(out, ",\"answers\":{");
    for (size_t i = 0; i < OCSP_COUNT; i++)
        buf_printf(out, "%s\"%s\":%llu", i ? "," : "", ocsp_count_names[i],
                   (unsigned long long)st->counts[i]);
    buf_printf(out, "},\"kept\":%llu,\"kept_octets\":%llu,\"evicted\":%llu",
               (unsigned long long)st->cache.entries, (unsigned long long)st->cache.octets,
               (unsigned long long)st->cache.evicted);
}

static tm_err get(struct api_call *c, struct diag *diag)
{
    const struct authority *x = catalog_authority(c->catalog, c->tenant->id, api_param(c, "authority"));
    struct ocsp_state st;
    if (!x)
        return diag_fail(diag, TM_ENOTFOUND, NULL, "authority", "there is no authority \"%s\"",
                         api_param(c, "authority"));
    const struct authority_ocsp *o = &x->ocsp;
    const char *url = house_ocsp_url(c->arena, c->house, x);
    if (!url)
        return TM_ENOMEM;
    buf_puts(&c->out, "{\"authority\":");
    buf_put_json_string(&c->out, slice_str(x->name));
    api_put_text(&c->out, "key", o->key);
    api_put_time(&c->out, "certificate_ends", o->cert.der.n ? o->cert.not_after : 0);
    api_put_text(&c->out, "url", url);
    api_put_int(&c->out, "lifetime", o->lifetime);
    api_put_bool(&c->out, "nonce", o->nonce);
    api_put_text(&c->out, "unknown", ocsp_unknown_names[o->unauthorized]);
    if (o->cert.der.n && api_query(c, "pem")) {
        struct buf pem;
        buf_init(&pem, 1 << 20);
        buf_put_pem(&pem, "CERTIFICATE", o->cert.der);
        api_put_text(&c->out, "certificate", buf_str(&pem));
        buf_done(&pem);
    }
    ocsp_state(c->house, &st);
    put_counts(&c->out, &st);
    buf_puts(&c->out, "}\n");
    return TM_OK;
}

static tm_err answer(struct api_call *c, struct diag *diag)
{
    struct store_read q = {.kind = READ_CERT};
    TM_TRY(api_cert_id(q.id, c, api_param(c, "serial"), diag));
    tm_err e = api_read(c, &q, diag);
    if (e == TM_ENOTFOUND)
        return diag_fail(diag, e, NULL, "serial",
                         "there is no certificate with this serial in the inventory");
    TM_TRY(e);
    const struct authority *x = catalog_authority(c->catalog, c->tenant->id, q.certs[0].authority);
    if (q.certs[0].source != CERT_ISSUED || !x)
        return diag_fail(diag, TM_EUNAVAIL, NULL, "serial",
                         "this certificate was not issued here; its issuer answers for it");
    const char *hash = api_query(c, "hash");
    struct ocsp_answer *a;
    TM_TRY(ocsp_answer_get(&a, c->house, x, q.id, hash && strcmp(hash, "sha1") == 0, OCSP_OWN, diag));
    c->answer_type = "application/ocsp-response";
    buf_put(&c->out, a->der, a->n);
    ocsp_answer_unref(a);
    return buf_err(&c->out);
}

/* ---- what the document says ---- */

static const struct api_field ocsp_fields[] = {
    {"authority", "string", NULL, "issuing-ca"},
    {"key", "string", "of the responder; empty: nobody answers for it", "issuing-ca-ocsp"},
    {"certificate_ends", "time?", "the responder's certificate renews itself before", NULL},
    {"url", "string", "as it goes into certificates; empty: it does not", "http://pki.example.org/ocsp"},
    {"lifetime", "integer", "seconds from thisUpdate to nextUpdate", "86400"},
    {"nonce", "boolean", NULL, "false"},
    {"unknown", "unknown|unauthorized", "about what was never issued", "unknown"},
    {"certificate?", "pem", "with ?pem", NULL},
    {"answers", "{}integer", "of the whole house since it started, by where they came from",
     "{\"cache\":120,\"fresh\":17}"},
    {"kept", "integer", "signed answers in memory", "17"},
    {"kept_octets", "integer", NULL, "19720"},
    {"evicted", "integer", "answers that made room for others", "0"},
    {0},
};
const struct api_schema ocsp_api_schemas[] = {
    {"Ocsp", "who answers OCSP for an authority", ocsp_fields, NULL, NULL},
    {0},
};
static const struct api_field state_query[] = {{"pem", "true|1", "the responder's certificate as well", "1"},
                                               {0}};
static const struct api_field answer_query[] = {
    {"hash", "sha1|sha256", "of the issuer in the CertID; sha256 when left out", "sha1"}, {0}};
static const struct api_content answer_forms[] = {
    {200, "application/ocsp-response", NULL, "DER, to be stapled"}, {0}};

const struct api_route ocsp_api_routes[] = {
    {HTTP_M_GET, "/api/v1/ocsp/{authority}", API_READERS, get, 0, "getOcsp",
     "Who answers OCSP for an authority, and how many answers there were", "authorities", NULL, "Ocsp", 0,
     state_query},
    {HTTP_M_GET, "/api/v1/certificates/{serial}/ocsp", API_READERS, answer, 0, "getOcspAnswer",
     "A signed OCSP answer about one certificate, for stapling", "certificates", NULL, NULL, 0, answer_query,
     .gives = answer_forms},
    {0},
};
