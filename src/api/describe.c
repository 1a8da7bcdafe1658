/* Readable text of what somebody holds in their hands: certificates, requests, CRLs. Nothing is stored. */
#include "api/groups.h"
#include "x509/print.h"

enum { DESCRIBE_MAX = 256 << 10 };

static tm_err describe(struct api_call *c, struct diag *diag)
{
    if (api_accepts(c, "text/plain")) {
        c->answer_type = "text/plain; charset=utf-8";
        return x509_print_any(&c->out, c->body, diag);
    }
    buf_puts(&c->out, "{\"items\":");
    TM_TRY(x509_print_any_json(&c->out, c->body, diag));
    buf_puts(&c->out, "}\n");
    return TM_OK;
}

static const struct api_field described_fields[] = {
    {"items", "[]object", "one for each object found", NULL},
    {0},
};
const struct api_schema describe_api_schemas[] = {
    {"Described", "certificates, requests and CRLs with every extension decoded", described_fields, NULL,
     NULL},
    {0},
};
static const struct api_content bodies[] = {
    {0, "application/x-pem-file", NULL, "PEM"},
    {0, "application/octet-stream", NULL, "DER"},
    {0},
};
static const struct api_content texts[] = {{200, "text/plain", NULL, "for people"}, {0}};

const struct api_route describe_api_routes[] = {
    {HTTP_M_POST, "/api/v1/describe", API_READERS | ROLE_OWNER, describe, DESCRIBE_MAX, "describe",
     "What a certificate, request or CRL says, PEM or DER: as JSON, or as text by Accept", "system", NULL,
     "Described", .takes = bodies, .gives = texts},
    {0},
};
