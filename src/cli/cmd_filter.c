/* filter: make revocation filters, say what is published, and ask a file. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/call.h"
#include "cli/commands.h"
#include "cli/show.h"
#include "filter/writer.h"
#include "issue/resources.h"
#include "keys/pubkey.h"
#include "status/filter.h"
#include "status/filter_verify.h"
#include "x509/cert.h"
#include "x509/crl.h"
#include <math.h>
#include <string.h>
#include <unistd.h>

enum { CAS_MAX = 64, PEM_MAX = 1 << 20 };

/* ---- through the API ---- */

static int make(struct cli *c, const char *kind)
{
    struct cli_reply r;
    const char *path =
        arena_printf(c->arena, "/api/v1/filters/%s/build?kind=%s", show_escape(c, c->args[0]), kind);
    cli_call_patience(CLI_PATIENCE_DAY);
    if (!path || !cli_call_ok(c, "POST", path, slice_of(NULL, 0), NULL, &r))
        return 1;
    return show_value(c, r.json);
}

static int build(struct cli *c)
{
    return make(c, "full");
}

static int delta(struct cli *c)
{
    return make(c, "delta");
}

/* ---- files ---- */

static bool open_file(struct tmf_filter *f, struct cli *c, const char *path)
{
    struct slice bytes;
    if (!cli_read_file(c, path, FILTER_FILE_MAX, &bytes))
        return false;
    return tmf_open(f, bytes.p, bytes.n) == 0 ||
           cli_fail(c, "%s is no revocation filter of a version that is known here", path) == 0;
}

static json_t *time_json(int64_t t)
{
    char text[21];
    clock_format_rfc3339(text, t);
    return json_string(text);
}

static json_t *issuers_json(struct cli *c, const struct tmf_filter *f)
{
    json_t *list = json_array();
    struct tmf_issuer x;
    for (uint32_t i = 0; tmf_issuer_at(f, i, &x) == 0; i++)
        json_array_append_new(list, json_pack("{s:s,s:o,s:I,s:I}", "spki_sha256",
                                              arena_hex(c->arena, SLICE_ARR(x.id)), "covered_until",
                                              time_json(x.covered_until), "certificates",
                                              (json_int_t)x.members, "revoked", (json_int_t)x.revoked));
    return list;
}

static int info_file(struct cli *c, const char *path)
{
    struct tmf_filter f;
    uint8_t digest[SHA256_LEN];
    if (!open_file(&f, c, path) || sha256(digest, slice_of(f.p, f.body)) != TM_OK)
        return 1;
    double bound = filter_bound(&f) / 8;
    json_t *v = json_pack("{s:s,s:s,s:I,s:o,s:o,s:I,s:I,s:I,s:I,s:s}", "name", f.name, "kind",
                          f.kind == TMF_FULL ? "full" : "delta", "number", (json_int_t)f.number,
                          "this_update", time_json(f.this_update), "next_update", time_json(f.next_update),
                          "octets", (json_int_t)f.n, "signature_octets", (json_int_t)f.signature_n,
                          "body_octets", (json_int_t)f.body, "bound_octets", (json_int_t)ceil(bound),
                          "digest", arena_hex(c->arena, SLICE_ARR(digest)));
    if (bound > 0)
        json_object_set_new(v, "body_to_bound", json_real(round((double)f.body / bound * 1000) / 1000));
    if (f.kind == TMF_DELTA)
        json_object_set_new(v, "base", json_integer((json_int_t)f.base_number));
    json_object_set_new(v, "issuers", issuers_json(c, &f));
    int status = show_value(c, v);
    json_decref(v);
    return status;
}

static int info(struct cli *c)
{
    if (access(c->args[0], R_OK) == 0)
        return info_file(c, c->args[0]);
    struct cli_reply r;
    const char *path = arena_printf(c->arena, "/api/v1/filters/%s", show_escape(c, c->args[0]));
    if (!path || !cli_call_ok(c, "GET", path, slice_of(NULL, 0), NULL, &r))
        return 1;
    return show_value(c, r.json);
}

/* ---- questions ---- */

struct asked {
    struct filter_trust trust;
    struct crl crls[CAS_MAX]; /* verified */
    size_t n_crls;
    struct tmf_filter f, delta;
    bool has_delta;
    struct slice ders[CAS_MAX];
    struct cert cas[CAS_MAX];
    size_t n_cas;
};

static bool read_cas(struct asked *q, struct cli *c)
{
    const char *path = cli_get(c, "ca");
    struct slice pem;
    struct diag diag = {0};
    if (!path)
        return cli_usage(c, "name the authorities that the filter is about: --ca FILE (PEM)") == 0;
    if (!cli_read_file(c, path, PEM_MAX, &pem))
        return false;
    const char *text = arena_printf(c->arena, "%.*s", (int)pem.n, (const char *)pem.p);
    const char *texts[] = {text};
    struct json_strings list = {.v = texts, .n = 1};
    if (!text || pem_list_decode(q->ders, CAS_MAX, &q->n_cas, c->arena, &list, path, &diag) != TM_OK)
        return cli_fail(c, "%s: %s", path, diag.message) == 0;
    for (size_t i = 0; i < q->n_cas; i++)
        if (cert_parse(&q->cas[i], q->ders[i], NULL) != TM_OK)
            return cli_fail(c, "%s: not a certificate", path) == 0;
    return true;
}

/* CRLs of these authorities, PEM or one in DER, by which the filter's signer may be revoked. */
static bool read_crls(struct asked *q, struct cli *c)
{
    const char *path = cli_get(c, "crl");
    struct slice text, der;
    if (!path)
        return true;
    if (!cli_read_file(c, path, FILTER_FILE_MAX, &text))
        return false;
    bool pem = text.n && memmem(text.p, text.n, "-----BEGIN", 10);
    while (pem ? pem_next(&der, NULL, c->arena, &text, "X509 CRL") == TM_OK : text.n > 0) {
        struct crl *crl = &q->crls[q->n_crls];
        if (!pem) {
            der = text;
            text = (struct slice){0};
        }
        bool good = q->n_crls < CAS_MAX && crl_parse(crl, der, NULL) == TM_OK;
        size_t i = 0;
        while (good && i < q->n_cas &&
               !(slice_eq(crl->issuer, q->cas[i].subject) &&
                 pubkey_verify(&q->cas[i].spki, &crl->sigalg, crl->tbs, crl->signature, NULL) == TM_OK))
            i++;
        if (!good || i == q->n_cas)
            return cli_fail(c, "%s: a CRL that is none of the authorities of --ca", path) == 0;
        q->n_crls++;
    }
    return q->n_crls > 0 || cli_fail(c, "%s: no CRL", path) == 0;
}

static bool listed(const struct crl *crl, struct slice serial)
{
    struct crl_iter it;
    struct crl_entry entry;
    crl_iter_init(&it, crl, NULL);
    while (crl_next(&it, &entry) == TM_OK)
        if (slice_eq(entry.serial, serial))
            return true;
    return false;
}

static bool signer_revoked(const struct filter_trust *t, size_t ca, struct slice serial)
{
    const struct asked *q = TM_CONTAINER(t, const struct asked, trust);
    for (size_t i = 0; i < q->n_crls; i++)
        if (slice_eq(q->crls[i].issuer, t->cas[ca].subject) && listed(&q->crls[i], serial))
            return true;
    return false;
}

static bool verified(const struct asked *q, struct cli *c, const struct tmf_filter *f, const char *path,
                     uint8_t digest[SHA256_LEN])
{
    struct diag diag = {0};
    tm_err e = filter_verify(f, &q->trust, clock_now(), digest, &diag);
    return e == TM_OK || cli_fail(c, "%s: %s", path, diag.message[0] ? diag.message : tm_err_name(e)) == 0;
}

static bool load(struct asked *q, struct cli *c)
{
    uint8_t digest[SHA256_LEN], other[SHA256_LEN];
    const char *path = c->args[0], *with = cli_get(c, "delta");
    if (!read_cas(q, c) || !read_crls(q, c))
        return false;
    q->trust = (struct filter_trust){.cas = q->cas, .n_cas = q->n_cas, .revoked = signer_revoked};
    if (!open_file(&q->f, c, path) || !verified(q, c, &q->f, path, digest))
        return false;
    if (q->f.kind != TMF_FULL)
        return cli_fail(c, "%s is a delta: give the full filter, and this with --delta", path) == 0;
    if (!with)
        return true;
    q->has_delta = open_file(&q->delta, c, with) && verified(q, c, &q->delta, with, other);
    if (q->has_delta && !tmf_fits(&q->delta, &q->f, digest))
        return cli_fail(c, "%s goes with another full filter, number %llu", with,
                        (unsigned long long)q->delta.base_number) == 0;
    return q->has_delta;
}

/* A serial in hex, or a file with a certificate; with a certificate its issuer is known, else there has to be one CA. */
static bool subject_of(struct slice *ret_serial, const struct cert **ret_ca, const struct asked *q,
                       struct cli *c, const char *text)
{
    struct slice file, der[CAS_MAX]; /* its chain may follow */
    struct cert cert;
    struct diag diag = {0};
    size_t n = 0;
    if (access(text, R_OK) != 0) {
        if (hex_decode(ret_serial, c->arena, slice_str(text)) != TM_OK || ret_serial->n == 0)
            return cli_fail(c, "%s is neither a file nor a serial number in hex", text) == 0;
        *ret_ca = &q->cas[0];
        return q->n_cas == 1 ||
               cli_fail(c, "--ca names several authorities: give the certificate itself, not its serial") ==
                   0;
    }
    if (!cli_read_file(c, text, PEM_MAX, &file))
        return false;
    const char *pem = arena_printf(c->arena, "%.*s", (int)file.n, (const char *)file.p);
    const char *texts[] = {pem};
    struct json_strings list = {.v = texts, .n = 1};
    if (!pem || pem_list_decode(der, CAS_MAX, &n, c->arena, &list, text, &diag) != TM_OK ||
        cert_parse(&cert, der[0], &diag) != TM_OK)
        return cli_fail(c, "%s: %s", text, diag.message) == 0;
    *ret_serial = cert.serial;
    for (size_t i = 0; i < q->n_cas; i++)
        if (slice_eq(cert.issuer, q->cas[i].subject)) {
            *ret_ca = &q->cas[i];
            return true;
        }
    return cli_fail(c, "%s was issued by none of the authorities of --ca", text) == 0;
}

static const char *answer_text(enum tmf_answer a)
{
    switch (a) {
    case TMF_GOOD:
        return "good";
    case TMF_REVOKED:
        return "revoked";
    case TMF_NOT_COVERED:
        return "not-covered";
    case TMF_UNKNOWN_ISSUER:
        return "unknown-issuer";
    default:
        return "corrupt";
    }
}

static int query(struct cli *c)
{
    static const struct show_column columns[] = {
        {"CERTIFICATE", "certificate"}, {"STATUS", "status"}, {"AS OF", "as_of"}, {0}};
    struct asked *q = arena_calloc(c->arena, 1, sizeof *q);
    if (!q || !load(q, c))
        return 1;
    json_t *rows = json_array();
    int status = 0;
    for (int i = 1; i < c->n_args && status != 1; i++) {
        struct slice serial;
        const struct cert *ca = NULL;
        uint8_t issuer[SHA256_LEN];
        if (!subject_of(&serial, &ca, q, c, c->args[i]) || !ca || sha256(issuer, ca->spki.der) != TM_OK) {
            status = 1;
            break;
        }
        enum tmf_answer a = tmf_query(&q->f, q->has_delta ? &q->delta : NULL, issuer, serial.p, serial.n);
        json_array_append_new(
            rows, json_pack("{s:s,s:s,s:o}", "certificate", c->args[i], "status", answer_text(a), "as_of",
                            time_json(q->has_delta ? q->delta.this_update : q->f.this_update)));
    }
    if (status == 0)
        status = show_items(c, rows, columns);
    json_decref(rows);
    return status;
}

static const struct cli_option query_options[] = {
    {"ca", 0, "FILE", "certificates of the authorities, PEM: the signature is verified with them", false},
    {"delta", 0, "FILE", "a delta that goes with the filter", false},
    {"crl", 0, "FILE", "CRLs of the authorities: a filter whose signer they list is refused", false},
    {0},
};

const struct command filter_commands[] = {
    {.noun = "filter",
     .verb = "build",
     .summary = "make and publish a revocation filter now",
     .arguments = "NAME",
     .description =
         "NAME is a resource of kind Filter, which says what it is about and how often the server makes it by itself, or an\n"
         "authority. Every certificate that it has issued and that has not expired is looked at; the filter answers exactly for\n"
         "all of them and is published under /filter/. Its size is shown beside the least that any exact description takes.",
     .example = "touchmark filter build issuing-ca",
     .min_args = 1,
     .max_args = 1,
     .run = build},
    {.noun = "filter",
     .verb = "delta",
     .summary = "make and publish what has changed since the full filter",
     .arguments = "NAME",
     .description =
         "A small file that goes with the newest full filter: what was revoked, released and issued since.",
     .example = "touchmark filter delta issuing-ca",
     .min_args = 1,
     .max_args = 1,
     .run = delta},
    {.noun = "filter",
     .verb = "info",
     .summary = "what is published, or what a file says of itself",
     .arguments = "NAME|FILE",
     .description =
         "Of a file: number, dates, issuers, its size beside the information bound. Nothing is verified here.",
     .example = "touchmark filter info issuing-ca\ntouchmark filter info issuing-ca.tmf",
     .min_args = 1,
     .max_args = 1,
     .run = info},
    {.noun = "filter",
     .verb = "query",
     .summary = "ask a filter file about certificates",
     .arguments = "FILE CERT|SERIAL...",
     .description =
         "Needs no house: verifies the filter's signature under the authorities of --ca, then answers good, revoked, not-covered\n"
         "(issued after the filter was made) or unknown-issuer for each. Only a certificate whose own signature is good may be\n"
         "asked about: for a serial that was never given out the answer means nothing.",
     .example = "curl -O http://pki.example.org/filter/issuing-ca.tmf\n"
                "touchmark filter query issuing-ca.tmf --ca issuing-ca.pem device.pem",
     .options = query_options,
     .min_args = 2,
     .max_args = -1,
     .run = query},
    {0},
};
