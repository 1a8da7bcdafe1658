/* The state of the house, and the certificates that others need to trust it. */
#include "api/groups.h"
#include "authority/ceremony.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "issue/chain.h"
#include "issue/jobs.h"
#include "keys/signer.h"
#include "status/crl.h"
#include "status/crl_file.h"
#include <stdatomic.h>
#include <string.h>

enum { JOBS_MAX = 64 };

static void put_crl(struct buf *out, struct api_call *c, const struct authority *x)
{
    struct crl_row crl;
    if (crl_current(&crl, c->arena, c->house, x) != TM_OK) {
        buf_puts(out, ",\"crl\":null");
        return;
    }
    buf_puts(out, ",\"crl\":{\"number\":\"");
    buf_put_hex(out, crl.number);
    buf_puts(out, "\"");
    api_put_time(out, "this_update", crl.this_update);
    api_put_time(out, "next_update", crl.next_update);
    api_put_int(out, "octets", (int64_t)crl_row_size(&crl));
    buf_printf(out, ",\"stale\":%s}", crl.next_update < clock_now() ? "true" : "false");
}

static void put_authorities(struct api_call *c)
{
    struct buf *out = &c->out;
    const struct authority *const *v;
    size_t n = catalog_authorities(c->catalog, &v), shown = 0;
    buf_puts(out, ",\"authorities\":[");
    for (size_t i = 0; i < n; i++) {
        if (v[i]->tenant != c->tenant->id)
            continue;
        buf_printf(out, "%s{\"name\":", shown++ ? "," : "");
        buf_put_json_string(out, slice_str(v[i]->name));
        api_put_bool(out, "root", v[i]->is_root);
        api_put_bool(out, "offline", v[i]->offline);
        api_put_bool(out, "disabled", v[i]->disabled);
        api_put_time(out, "not_after", v[i]->cert.not_after);
        put_crl(out, c, v[i]);
        buf_puts(out, "}");
    }
    buf_puts(out, "]");
}

static void put_jobs(struct api_call *c)
{
    struct job_state jobs[JOBS_MAX];
    size_t n = c->house->jobs ? jobs_state(c->house->jobs, jobs, JOBS_MAX) : 0;
    buf_puts(&c->out, ",\"jobs\":[");
    for (size_t i = 0; i < n; i++) {
        buf_printf(&c->out, "%s{\"name\":", i ? "," : "");
        buf_put_json_string(&c->out, slice_str(jobs[i].name));
        api_put_int(&c->out, "runs", (int64_t)jobs[i].runs);
        api_put_int(&c->out, "failures", (int64_t)jobs[i].failures);
        api_put_int(&c->out, "last_ms", jobs[i].last_ms);
        api_put_bool(&c->out, "failing", jobs[i].failing);
        if (jobs[i].failing)
            api_put_text(&c->out, "why", jobs[i].why);
        buf_puts(&c->out, "}");
    }
    buf_puts(&c->out, "]");
}

static tm_err status(struct api_call *c, struct diag *diag)
{
    struct house *h = c->house;
    struct store_read counts = {.kind = READ_COUNTS}, size = {.kind = READ_LOG_SIZE},
                      checkpoint = {.kind = READ_CHECKPOINT};
    TM_TRY(api_read(c, &counts, diag));
    TM_TRY(api_read(c, &size, diag));
    tm_err e = api_read(c, &checkpoint, diag);
    if (e != TM_OK && e != TM_ENOTFOUND)
        return e;
    bool only_reads = atomic_load(&h->read_only);
    const char *why = atomic_load(&h->read_only_reason);
    buf_printf(&c->out, "{\"version\":\"%s\",\"tenant\":", TM_VERSION);
    buf_put_json_string(&c->out, slice_str(c->tenant->name));
    api_put_text(&c->out, "principal", c->principal);
    api_put_text(&c->out, "roles", api_roles_text(c->arena, c->roles));
    api_put_time(&c->out, "started_at", h->started_at);
    api_put_text(&c->out, "public_base", h->public_base);
    buf_printf(&c->out, ",\"ports\":{\"enrollment\":%d,\"plain\":%d,\"console\":%d}", h->ports.enrollment,
               h->ports.plain, h->ports.console);
    api_put_bool(&c->out, "signer", h->signer && signer_alive(h->signer));
    api_put_bool(&c->out, "read_only", only_reads);
    if (only_reads)
        api_put_text(&c->out, "read_only_reason", why);
    buf_printf(
        &c->out,
        ",\"counts\":{\"certificates\":%llu,\"revoked\":%llu,\"expired\":%llu,\"devices\":%llu,\"events\":%llu}",
        (unsigned long long)counts.counts.certs, (unsigned long long)counts.counts.revoked,
        (unsigned long long)counts.counts.expired, (unsigned long long)counts.counts.devices,
        (unsigned long long)counts.counts.events);
    bool covered = e == TM_OK && checkpoint.n > 0;
    buf_printf(&c->out, ",\"register\":{\"events\":%llu,\"checkpoint\":%llu", (unsigned long long)size.count,
               covered ? (unsigned long long)checkpoint.checkpoints[0].size : 0ull);
    api_put_time(&c->out, "checkpoint_at", covered ? checkpoint.checkpoints[0].time / 1000 : 0);
    api_put_int(&c->out, "signatures_waiting", h->chain ? (int64_t)chain_waiting(h->chain) : 0);
    buf_puts(&c->out, "}");
    put_authorities(c);
    put_jobs(c);
    buf_puts(&c->out, "}\n");
    return TM_OK;
}

static tm_err chain(struct api_call *c, struct diag *diag)
{
    const struct authority *x = catalog_authority(c->catalog, c->tenant->id, api_param(c, "name"));
    if (!x)
        return diag_fail(diag, TM_ENOTFOUND, NULL, "name", "there is no authority \"%s\"",
                         api_param(c, "name"));
    bool cms = api_accepts(c, "application/pkcs7-mime"), der = api_accepts(c, "application/pkix-cert");
    c->answer_type = cms   ? "application/pkcs7-mime; smime-type=certs-only"
                     : der ? "application/pkix-cert"
                           : "application/pem-certificate-chain";
    return authority_export(&c->out, x, cms ? CA_EXPORT_PKCS7 : der ? CA_EXPORT_DER : CA_EXPORT_CHAIN);
}

static tm_err trust_bundle(struct api_call *c, struct diag *diag)
{
    (void)diag;
    c->answer_type = "application/pem-certificate-chain";
    return authority_roots(&c->out, c->house, c->tenant->id);
}

/* ---- what the document says ---- */

static const struct api_field status_fields[] = {
    {"version", "string", NULL, "0.1.0"},
    {"tenant", "string", NULL, "default"},
    {"principal", "string", "who asks", "admin"},
    {"roles", "string", "of the caller in this tenant", "admin"},
    {"started_at", "time?", NULL, NULL},
    {"public_base", "string", "what addresses in certificates begin with", "http://pki.example.org"},
    {"ports", "Ports", "where a running server listens; 0: not", NULL},
    {"signer", "boolean", "the signer's process is there", "true"},
    {"read_only", "boolean", "nothing is issued", "false"},
    {"read_only_reason?", "string", NULL, NULL},
    {"counts", "Counts", NULL, NULL},
    {"register", "RegisterStatus", NULL, NULL},
    {"authorities", "[]AuthorityStatus", NULL, NULL},
    {"jobs", "[]Job", NULL, NULL},
    {0},
};
static const struct api_field ports_fields[] = {
    {"enrollment", "integer", "over TLS", "8443"},
    {"plain", "integer", "plain HTTP", "8080"},
    {"console", "integer", "the console and the API, over TLS", "9443"},
    {0},
};
static const struct api_field counts_fields[] = {
    {"certificates", "integer", NULL, "17"}, {"revoked", "integer", NULL, "1"},
    {"expired", "integer", NULL, "0"},       {"devices", "integer", NULL, "5"},
    {"events", "integer", NULL, "142"},      {0},
};
static const struct api_field register_status_fields[] = {
    {"events", "integer", NULL, "142"},
    {"checkpoint", "integer", "events that the newest checkpoint covers", "142"},
    {"checkpoint_at", "time?", NULL, NULL},
    {"signatures_waiting", "integer", NULL, "0"},
    {0},
};
static const struct api_field authority_status_fields[] = {
    {"name", "string", NULL, "issuing-ca"},
    {"root", "boolean", NULL, "false"},
    {"offline", "boolean", "its key is elsewhere", "false"},
    {"disabled", "boolean", NULL, "false"},
    {"not_after", "time?", NULL, NULL},
    {"crl", "CrlStatus?", NULL, NULL},
    {0},
};
static const struct api_field crl_status_fields[] = {
    {"number", "hex", NULL, "01a1fd03cbc9"}, {"this_update", "time?", NULL, NULL},
    {"next_update", "time?", NULL, NULL},    {"octets", "integer", NULL, "269"},
    {"stale", "boolean", NULL, "false"},     {0},
};
static const struct api_field job_fields[] = {
    {"name", "string", NULL, "crl.due"},
    {"runs", "integer", NULL, "12"},
    {"failures", "integer", NULL, "0"},
    {"last_ms", "integer", "how long the last run took", "3"},
    {"failing", "boolean", NULL, "false"},
    {"why?", "string", NULL, NULL},
    {0},
};
const struct api_schema system_api_schemas[] = {
    {"Status", "how the house is", status_fields, NULL, NULL},
    {"Counts", NULL, counts_fields, NULL, NULL},
    {"Ports", NULL, ports_fields, NULL, NULL},
    {"RegisterStatus", NULL, register_status_fields, NULL, NULL},
    {"AuthorityStatus", NULL, authority_status_fields, NULL, NULL},
    {"CrlStatus", NULL, crl_status_fields, NULL, NULL},
    {"Job", NULL, job_fields, NULL, NULL},
    {0},
};
static const struct api_content chain_forms[] = {
    {200, "application/pem-certificate-chain", NULL, "PEM, up to the root"},
    {200, "application/pkix-cert", NULL, "the authority's own, DER"},
    {200, "application/pkcs7-mime", NULL, "certs-only PKCS#7"},
    {0},
};
static const struct api_content bundle_forms[] = {{200, "application/pem-certificate-chain", NULL, "PEM"},
                                                  {0}};

const struct api_route system_api_routes[] = {
    {HTTP_M_GET, "/api/v1/status", API_READERS, status, 0, "getStatus",
     "How the house is: counts, authorities, register, signer, jobs", "system", NULL, "Status"},
    {HTTP_M_GET, "/api/v1/authorities/{name}/chain", 0, chain, 0, "getAuthorityChain",
     "The certificate of an authority and its issuers up to the root, as PEM", "trust", NULL, NULL,
     .gives = chain_forms},
    {HTTP_M_GET, "/api/v1/trust-bundle", 0, trust_bundle, 0, "getTrustBundle",
     "The roots of this tenant, as PEM", "trust", NULL, NULL, .gives = bundle_forms},
    {0},
};
