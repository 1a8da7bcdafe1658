/* Certificates of other issuers: files of any kind, and what was met where. */
#include "api/groups.h"
#include "api/schemas.h"
#include "base/arena.h"
#include "base/text.h"
#include "inventory/formats/container.h"
#include "inventory/sighting.h"
#include "x509/cert.h"
#include "x509/name.h"
#include <stdlib.h>
#include <string.h>

/* A file in base64 inside a document is a third longer. */
enum { IMPORT_BODY = CONTAINER_OCTETS_MAX / 3 * 4 + (1 << 20), LABEL_MAX = 200, PIECE = 200 };

/* ---- what is asked ---- */

struct import_doc {
    const char *content, *password, *form, *label, *name;
    bool has_password;
};
const struct json_field import_schema[] = {
    JSON_FIELD(struct import_doc, content, JSON_K_STRING, .required = true, .max = IMPORT_BODY,
               .doc = "the file in base64"),
    JSON_FIELD(struct import_doc, password, JSON_K_STRING, .max = 1024, .def = "",
               .seen_offset = offsetof(struct import_doc, has_password) + 1,
               .doc = "of a PKCS#12 or Java keystore"),
    JSON_FIELD(struct import_doc, form, JSON_K_STRING, .max = 20, .def = "",
               .doc =
                   "pem, der, pkcs7, pkcs12, jks, yaml, csv or ndjson; told by content where it is left out"),
    JSON_FIELD(struct import_doc, label, JSON_K_STRING, .max = LABEL_MAX, .def = "",
               .doc = "remember it as a place, import:<label>/<name>; empty: the certificates alone"),
    JSON_FIELD(struct import_doc, name, JSON_K_STRING, .max = LABEL_MAX, .def = "", .doc = "of the file"),
    {0},
};

struct import {
    struct api_call *c;
    struct container_input in;
    const char *label, *name;
    struct container found;
    struct sightings_taken taken;
    size_t shown;
};

/* A document has what the query would say, and a password, which has no place in an address. */
static tm_err from_document(struct import *im, struct arena *a, struct diag *diag)
{
    struct import_doc d = {0};
    json_t *doc = NULL;
    TM_TRY(json_parse(&doc, im->c->body, IMPORT_BODY, diag));
    tm_err e = json_is_object(doc) ? json_bind(&d, import_schema, doc, "", a, diag)
                                   : diag_fail(diag, TM_EINVAL, NULL, "", "the body must be a JSON object");
    json_decref(doc);
    TM_TRY(e);
    if (base64_decode(&im->in.bytes, a, slice_str(d.content), BASE64_STD) != TM_OK)
        return diag_fail(diag, TM_EMALFORMED, "RFC 4648 4", "/content", "not base64");
    im->in.form = d.form;
    im->in.has_password = d.has_password;
    im->in.password = slice_str(d.password);
    im->label = d.label;
    im->name = d.name;
    return TM_OK;
}

static const char *query_or_none(const struct api_call *c, const char *name)
{
    const char *s = api_query(c, name);
    return s ? s : "";
}

static tm_err what_is_asked(struct import *im, struct arena *a, struct diag *diag)
{
    struct api_call *c = im->c;
    const char *type = c->content_type ? c->content_type : "";
    if (strncmp(type, "application/json", 16) == 0)
        return from_document(im, a, diag);
    im->in.bytes = c->body;
    im->in.form = query_or_none(c, "form");
    im->label = query_or_none(c, "label");
    im->name = query_or_none(c, "name");
    return TM_OK;
}

/* ---- what is answered ---- */

static void put_subject(struct buf *out, struct slice der)
{
    struct cert cert;
    struct buf text;
    if (cert_parse(&cert, der, NULL) != TM_OK)
        return;
    buf_init(&text, 16 << 10);
    name_print_der(&text, cert.subject);
    api_put_text(out, "subject", buf_str(&text));
    buf_done(&text);
}

static void put_result(struct import *im, const char *alias, struct slice der,
                       const struct sighting_result *r)
{
    static const char *const words[] = {
        [SIGHTING_ADDED] = "created", [SIGHTING_KNOWN] = "known", [SIGHTING_REFUSED] = "failed"};
    struct buf *out = &im->c->out;
    buf_printf(out, "%s{\"index\":%zu", im->shown ? "," : "", im->shown);
    im->shown++;
    api_put_text(out, "status", words[r->outcome]);
    if (alias[0])
        api_put_text(out, "alias", alias);
    if (r->outcome == SIGHTING_REFUSED) {
        api_put_text(out, "detail", r->why);
    } else {
        buf_puts(out, ",\"serial\":\"");
        buf_put_hex(out, SLICE_ARR(r->id));
        buf_puts(out, "\"");
        put_subject(out, der);
    }
    buf_putc(out, '}');
}

static void put_end(struct import *im)
{
    struct buf *out = &im->c->out;
    const struct container *f = &im->found;
    buf_printf(out, "],\"created\":%zu,\"known\":%zu,\"failed\":%zu", im->taken.added, im->taken.known,
               im->taken.refused);
    api_put_text(out, "format", f->format);
    if (f->note && f->note[0])
        api_put_text(out, "note", f->note);
    buf_printf(out, ",\"keys\":%zu,\"unread\":%zu,\"why\":[", f->keys, f->refused);
    for (size_t i = 0; i < f->refused && i < CONTAINER_REFUSALS_MAX; i++) {
        buf_printf(out, "%s{\"where\":", i ? "," : "");
        buf_put_json_string(out, slice_str(f->refusals[i].where));
        api_put_text(out, "why", f->refusals[i].why);
        buf_putc(out, '}');
    }
    buf_puts(out, "]}\n");
}

/* ---- doing it ---- */

static const char *place_of(struct arena *a, const struct import *im, const char *alias)
{
    return arena_printf(a, "import:%s%s%s%s%s", im->label, im->name[0] ? "/" : "", im->name,
                        alias[0] ? "#" : "", alias);
}

static tm_err take_piece(struct import *im, struct arena *a, size_t from, size_t n, struct diag *diag)
{
    struct sighting *s = arena_calloc(a, n, sizeof *s);
    struct sighting_result *r = arena_calloc(a, n * SIGHTING_CHAIN_MAX, sizeof *r);
    struct sightings_taken t;
    if (!s || !r)
        return arena_err(a);
    for (size_t i = 0; i < n; i++) {
        const struct container_item *it = &im->found.items[from + i];
        s[i] = (struct sighting){.place = im->label[0] ? place_of(a, im, it->alias) : NULL,
                                 .via = "import",
                                 .run = "",
                                 .chain = it->chain,
                                 .n_chain = it->n_chain};
        if (im->label[0] && !s[i].place)
            return arena_err(a);
    }
    tm_err e = sightings_take_each(im->c->house, im->c->tenant->id, im->c->principal, s, n, r, &t, diag);
    im->taken.added += t.added;
    im->taken.known += t.known;
    im->taken.refused += t.refused;
    TM_TRY(e);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < s[i].n_chain; k++)
            put_result(im, im->found.items[from + i].alias, s[i].chain[k], r++);
    return TM_OK;
}

static tm_err take_all(struct import *im, struct diag *diag)
{
    struct arena *a = arena_new(64 << 20);
    tm_err e = a ? TM_OK : TM_ENOMEM;
    buf_puts(&im->c->out, "{\"items\":[");
    for (size_t i = 0; i < im->found.n_items && e == TM_OK; i += PIECE) {
        size_t left = im->found.n_items - i;
        e = take_piece(im, a, i, left < PIECE ? left : PIECE, diag);
        arena_reset(a);
    }
    arena_free(a);
    put_end(im);
    return e;
}

static tm_err import(struct api_call *c, struct diag *diag)
{
    struct import *im = calloc(1, sizeof *im);
    struct arena *a = arena_new(3 * (size_t)IMPORT_BODY);
    tm_err e = im && a ? TM_OK : TM_ENOMEM;
    if (e == TM_OK) {
        im->c = c;
        e = what_is_asked(im, a, diag);
    }
    if (e == TM_OK)
        e = container_read(&im->found, &im->in, diag);
    if (e == TM_ENOTFOUND)
        e = TM_EMALFORMED;
    if (e == TM_ELOCKED) /* the file, not this house */
        e = TM_EINVAL;
    if (e == TM_OK) {
        e = take_all(im, diag);
        container_done(&im->found);
    }
    arena_free(a);
    free(im);
    return e;
}

/* ---- what the document says ---- */

static const struct api_field imported_fields[] = {
    {"index", "integer", "place in the file, from 0", "0"},
    {"status", "created|known|failed", NULL, "created"},
    {"alias?", "string", "what the file calls it", "mykey"},
    {"serial?", "hex", "its id in this inventory", API_SERIAL_EXAMPLE},
    {"subject?", "string", "RFC 4514", "CN=server.example.org"},
    {"detail?", "string", "why it failed", "not a certificate"},
    {0},
};
static const struct api_field unread_fields[] = {
    {"where", "string", "a block, line or entry of the file", "block 3"},
    {"why", "string", NULL, "a PEM block that is cut or is not base64"},
    {0},
};
static const struct api_field import_result_fields[] = {
    {"items", "[]ImportedCertificate", NULL, NULL},
    {"created", "integer", NULL, "1"},
    {"known", "integer", NULL, "0"},
    {"failed", "integer", NULL, "0"},
    {"format", "string", "what the file is", "pkcs12"},
    {"note?", "string", "what else is to be said", "its integrity was not verified: no password was given"},
    {"keys", "integer", "private keys in it, which were passed over", "1"},
    {"unread", "integer", "parts of the file that can't be read", "0"},
    {"why", "[]ImportUnread", "the first 100 of them", NULL},
    {0},
};
const struct api_schema import_api_schemas[] = {
    {"ImportedCertificate", NULL, imported_fields, NULL, NULL},
    {"ImportUnread", NULL, unread_fields, NULL, NULL},
    {"ImportResult", NULL, import_result_fields, NULL, NULL},
    {"Import", "a file with its password", NULL, import_schema,
     "{\"content\":\"MIIJ…\",\"password\":\"changeit\",\"label\":\"old-ca\",\"name\":\"web.p12\"}"},
    {0},
};
static const struct api_content import_forms[] = {
    {0, "application/x-pem-file", NULL, "PEM blocks"},
    {0, "application/pkix-cert", NULL, "one certificate in DER"},
    {0, "application/pkcs7-mime", NULL, "PKCS#7 or CMS"},
    {0, "application/pkcs12", NULL,
     "a key store whose certificates are not encrypted; else as JSON with its password"},
    {0, "application/x-java-keystore", NULL, "JKS or JCEKS"},
    {0, "text/csv", NULL, "a heading with a column \"certificate\", then one a row"},
    {0, "application/x-ndjson", NULL, "an object with a member \"certificate\" a line"},
    {0, "application/yaml", NULL, "kubeconfig and the like"},
    {0, "application/octet-stream", NULL, "any of them"},
    {0},
};
static const struct api_field import_query[] = {
    {"form", "pem|der|pkcs7|pkcs12|jks|yaml|csv|ndjson", "told by content where it is left out", "pem"},
    {"label", "string", "remember it as a place, import:<label>/<name>", "old-ca"},
    {"name", "string", "of the file", "web.pem"},
    {0},
};

const struct api_route import_api_routes[] = {
    {HTTP_M_POST, "/api/v1/certificates/import", ROLE_ADMIN | ROLE_OPERATOR, import, IMPORT_BODY,
     "importCertificates",
     "Bring certificates of other issuers into the inventory: PEM, DER, PKCS#7, PKCS#12, Java keystores, "
     "kubeconfig and secrets, CSV, NDJSON. Private keys are passed over",
     "certificates", "Import", "ImportResult", .query = import_query, .takes = import_forms},
    {0},
};
