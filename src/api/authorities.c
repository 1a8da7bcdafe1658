/* Authorities as they are: subject, dates, fingerprints, where their keys lie; and those that come in by their certificate alone.
 *
 * Keys are made and brought in by ceremonies on the house's own machine, which no running server can perform (docs/architecture.md). */
#include "api/groups.h"
#include "authority/ceremony.h"
#include "base/arena.h"
#include "base/digest.h"
#include "base/text.h"
#include "keys/alg.h"
#include "x509/name.h"
#include <string.h>

enum { IMPORT_MAX = 1 << 20, NAME_TEXT_MAX = 64 << 10 };

static void put_name(struct buf *out, const char *key, struct slice tlv)
{
    struct buf b;
    buf_init(&b, NAME_TEXT_MAX);
    name_print_der(&b, tlv);
    api_put_text(out, key, buf_str(&b));
    buf_done(&b);
}

static void put_hex(struct buf *out, const char *key, struct slice octets)
{
    buf_printf(out, ",\"%s\":\"", key);
    buf_put_hex(out, octets);
    buf_puts(out, "\"");
}

static tm_err put_authority(struct api_call *c, const struct authority *x, bool whole)
{
    struct buf *out = &c->out;
    uint8_t hash[SHA256_LEN];
    const char *crl_url, *ca_url;
    const struct key_alg_info *alg = key_alg_info(x->key_alg);
    TM_TRY(sha256(hash, x->der));
    TM_TRY(house_authority_urls(&crl_url, &ca_url, c->arena, c->house, x));
    buf_puts(out, "{\"name\":");
    buf_put_json_string(out, slice_str(x->name));
    api_put_text(out, "kind", x->is_root ? "root" : "issuing");
    put_name(out, "subject", x->cert.subject);
    put_name(out, "issuer", x->cert.issuer);
    api_put_time(out, "not_before", x->cert.not_before);
    api_put_time(out, "not_after", x->cert.not_after);
    api_put_text(out, "parent", x->parent);
    api_put_text(out, "key", x->offline ? "elsewhere" : x->key_ref);
    api_put_text(out, "algorithm", alg ? alg->name : "");
    api_put_bool(out, "offline", x->offline);
    api_put_bool(out, "disabled", x->disabled);
    put_hex(out, "serial", x->cert.serial);
    put_hex(out, "key_id", x->key_id);
    put_hex(out, "fingerprint", SLICE_ARR(hash));
    api_put_text(out, "crl_url", crl_url);
    api_put_text(out, "ca_url", ca_url);
    if (whole) {
        struct buf pem;
        buf_init(&pem, IMPORT_MAX);
        tm_err e = authority_export(&pem, x, CA_EXPORT_PEM);
        api_put_text(out, "certificate", buf_str(&pem));
        buf_done(&pem);
        TM_TRY(e);
    }
    buf_putc(out, '}');
    return TM_OK;
}

static tm_err list(struct api_call *c, struct diag *diag)
{
    (void)diag;
    const struct authority *const *v;
    size_t n = catalog_authorities(c->catalog, &v), shown = 0;
    buf_puts(&c->out, "{\"items\":[");
    for (size_t i = 0; i < n; i++) {
        if (v[i]->tenant != c->tenant->id)
            continue;
        buf_puts(&c->out, shown++ ? "," : "");
        TM_TRY(put_authority(c, v[i], false));
    }
    buf_puts(&c->out, "]}\n");
    return TM_OK;
}

static tm_err put_one(struct api_call *c, const struct catalog *cat, const char *name, struct diag *diag)
{
    const struct authority *x = catalog_authority(cat, c->tenant->id, name);
    if (!x)
        return diag_fail(diag, TM_ENOTFOUND, NULL, "name", "there is no authority \"%s\"", name);
    TM_TRY(put_authority(c, x, true));
    buf_putc(&c->out, '\n');
    return TM_OK;
}

static tm_err get(struct api_call *c, struct diag *diag)
{
    return put_one(c, c->catalog, api_param(c, "name"), diag);
}

static tm_err import(struct api_call *c, struct diag *diag)
{
    struct ca_spec s;
    struct ca_result r = {0};
    const char *title = api_query(c, "title");
    ca_spec_init(&s);
    s.name = api_param(c, "name");
    s.title = title ? title : "";
    s.tenant = c->tenant->id;
    s.issues_cas = api_query(c, "issues_cas") != NULL;
    const struct ceremony by = {.house = c->house, .by = c->principal};
    TM_TRY(ceremony_import_cert(&r, c->arena, &by, &s, c->body, diag));
    c->status = 201;
    struct catalog *fresh = house_catalog(c->house);
    tm_err e = put_one(c, fresh, s.name, diag);
    catalog_unref(fresh);
    return e;
}

/* ---- what the document says ---- */

static const struct api_field authority_fields[] = {
    {"name", "string", NULL, "issuing-ca"},
    {"kind", "root|issuing", "a root is a trust anchor", "issuing"},
    {"subject", "string", "RFC 4514", "CN=Example Issuing CA,O=Example"},
    {"issuer", "string", NULL, "CN=Example Root CA,O=Example"},
    {"not_before", "time?", NULL, NULL},
    {"not_after", "time?", "9999-12-31T23:59:59Z: never", NULL},
    {"parent", "string", "the authority here that signed it; empty: none", "root"},
    {"key", "string", "its name in the signer, or \"elsewhere\"", "issuing-ca"},
    {"algorithm", "string", NULL, "ec-p256"},
    {"offline", "boolean", "its key is elsewhere: it signs nothing here", "false"},
    {"disabled", "boolean", NULL, "false"},
    {"serial", "hex", NULL, API_SERIAL_EXAMPLE},
    {"key_id", "hex", "subjectKeyIdentifier, as in /crl/ and /ca/",
     "76238fb4e9bff6afec80700e591aeeae79124a9c"},
    {"fingerprint", "hex", "SHA-256 of the certificate", NULL},
    {"crl_url", "string", "in what it issues", "http://pki.example.org/crl/76238fb4/full.crl"},
    {"ca_url", "string", "in what it issues", "http://pki.example.org/ca/76238fb4.cer"},
    {"certificate?", "pem", "not in lists", NULL},
    {0},
};
static const struct api_field authority_list_fields[] = {{"items", "[]AuthorityView", NULL, NULL}, {0}};
const struct api_schema authority_api_schemas[] = {
    {"AuthorityView", "an authority as it is; the resource Authority is what can be set of it",
     authority_fields, NULL, NULL},
    {"AuthorityList", NULL, authority_list_fields, NULL, NULL},
    {0},
};
static const struct api_field import_query[] = {
    {"title", "string", "a line for people", "the old root"},
    {"issues_cas", "true|1", "a tier: signs CAs and CRLs, no leaves", "1"},
    {0},
};
static const struct api_content import_bodies[] = {
    {0, "application/x-pem-file", NULL, "its certificate, those above it behind it"},
    {0, "application/pkix-cert", NULL, "its certificate, DER"},
    {0, "application/pkcs7-mime", NULL, "certs-only PKCS#7"},
    {0},
};
static const struct api_content imported[] = {{201, "application/json", "AuthorityView", "known from now on"},
                                              {0}};

const struct api_route authority_api_routes[] = {
    {HTTP_M_GET, "/api/v1/authorities", API_READERS, list, 0, "listAuthorities",
     "The authorities of this tenant", "authorities", NULL, "AuthorityList"},
    {HTTP_M_GET, "/api/v1/authorities/{name}", API_READERS, get, 0, "getAuthority",
     "One authority, with its certificate", "authorities", NULL, "AuthorityView"},
    {HTTP_M_POST, "/api/v1/authorities/{name}/import", ROLE_ADMIN, import, IMPORT_MAX, "importAuthority",
     "Make a CA known by its certificate; its key stays where it is. CAs with keys are ceremonies of the command line",
     "authorities", NULL, NULL, .query = import_query, .takes = import_bodies, .gives = imported},
    {0},
};
