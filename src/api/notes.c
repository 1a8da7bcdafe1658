/* Who answers for a certificate: what is said of it by hand, and what holds in the end. */
#include "api/groups.h"
#include "api/schemas.h"
#include "base/arena.h"
#include "base/clock.h"
#include "inventory/owner.h"
#include "issue/house.h"
#include "issue/ownership_doc.h"
#include <string.h>

enum { NOTE_BODY = 16 << 10 };

struct note_doc {
    const char *owner, *technical, *place, *service, *comment;
    int criticality;
    struct json_strings tags;
};
const struct json_field note_schema[] = {
    JSON_FIELD(struct note_doc, owner, JSON_K_STRING, .max = NOTE_TEXT_MAX, .def = "",
               .doc = "who answers for it"),
    JSON_FIELD(struct note_doc, technical, JSON_K_STRING, .max = NOTE_TEXT_MAX, .def = "",
               .doc = "who works on it"),
    JSON_FIELD(struct note_doc, place, JSON_K_STRING, .max = NOTE_TEXT_MAX, .def = "", .doc = "where it is"),
    JSON_FIELD(struct note_doc, service, JSON_K_STRING, .max = NOTE_TEXT_MAX, .def = "",
               .doc = "what it is for"),
    JSON_FIELD(struct note_doc, criticality, JSON_K_ENUM, .names = criticality_words, .def = "",
               .doc = "low, medium, high or critical"),
    JSON_FIELD(struct note_doc, tags, JSON_K_STRINGS, .max = NOTE_TAGS_MAX, .doc = "further words"),
    JSON_FIELD(struct note_doc, comment, JSON_K_STRING, .max = 1000, .def = "", .doc = "for people"),
    {0},
};

static tm_err find(struct cert_row *ret, struct api_call *c, unsigned roles, struct diag *diag)
{
    struct store_read q = {.kind = READ_CERT};
    TM_TRY(api_cert_id(q.id, c, api_param(c, "serial"), diag));
    tm_err e = api_read(c, &q, diag);
    if (e == TM_ENOTFOUND)
        return diag_fail(diag, e, NULL, "serial", "there is no certificate with this id in the inventory");
    TM_TRY(e);
    *ret = q.certs[0];
    return api_may_device(c, roles, ret->device, diag);
}

static void put_tags(struct buf *out, const char *const *tags, size_t n)
{
    buf_puts(out, ",\"tags\":[");
    for (size_t i = 0; i < n; i++) {
        buf_puts(out, i ? "," : "");
        buf_put_json_string(out, slice_str(tags[i]));
    }
    buf_putc(out, ']');
}

static tm_err answer(struct api_call *c, const struct cert_row *row, struct diag *diag)
{
    struct cert_note note;
    struct cert_owner holds;
    TM_TRY(cert_note_read(&note, c->arena, c->house, c->tenant->id, row->id, diag));
    TM_TRY(cert_owner_find(&holds, c->arena, c->house, c->tenant->id, row, diag));
    buf_puts(&c->out, "{\"note\":{\"by\":");
    buf_put_json_string(&c->out, slice_str(note.by));
    for (int i = 0; i < OWNED_TAG; i++)
        api_put_text(&c->out, owned_names[i], note.text[i]);
    put_tags(&c->out, note.tags, note.n_tags);
    api_put_text(&c->out, "comment", note.comment);
    api_put_time(&c->out, "at", note.at);
    buf_puts(&c->out, "},\"holds\":[");
    for (int i = 0, n = 0; i < OWNED_TAG; i++) {
        if (!holds.text[i][0])
            continue;
        buf_printf(&c->out, "%s{\"field\":\"%s\"", n++ ? "," : "", owned_names[i]);
        api_put_text(&c->out, "value", holds.text[i]);
        api_put_text(&c->out, "from", holds.from[i]);
        buf_putc(&c->out, '}');
    }
    buf_putc(&c->out, ']');
    put_tags(&c->out, holds.tags, holds.n_tags);
    buf_puts(&c->out, "}\n");
    c->etag = note.version;
    return TM_OK;
}

static tm_err get(struct api_call *c, struct diag *diag)
{
    struct cert_row row;
    TM_TRY(find(&row, c, API_READERS, diag));
    return answer(c, &row, diag);
}

static tm_err put(struct api_call *c, struct diag *diag)
{
    struct note_doc doc = {0};
    struct cert_row row;
    json_t *body = NULL;
    int64_t expected;
    TM_TRY(api_body_json(&body, c, diag));
    tm_err e = json_bind(&doc, note_schema, body, "", c->arena, diag);
    json_decref(body);
    TM_TRY(e);
    TM_TRY(api_expected_version(&expected, c, diag));
    TM_TRY(find(&row, c, ROLE_ADMIN | ROLE_OPERATOR, diag));
    struct cert_note note = {
        .text = {doc.owner, doc.technical, doc.place, doc.service, criticality_words[doc.criticality]},
        .n_tags = doc.tags.n,
        .comment = doc.comment,
        .by = c->principal ? c->principal : ""};
    for (size_t i = 0; i < doc.tags.n; i++)
        note.tags[i] = doc.tags.v[i];
    TM_TRY(cert_note_write(c->house, c->arena, c->tenant->id, &row, &note, expected, diag));
    return answer(c, &row, diag);
}

/* ---- what the document says ---- */

static const struct api_field note_fields[] = {
    {"by", "string", "who wrote it; empty: there is none", "alice"},
    {"owner", "string", "who answers for it", "facilities"},
    {"technical", "string", "who works on it", "network-team"},
    {"place", "string", NULL, "vienna"},
    {"service", "string", "what it is for", "badge readers"},
    {"criticality", "string", "low, medium, high, critical; empty: nothing is said", "high"},
    {"tags", "[]string", NULL, "[\"pci\"]"},
    {"comment", "string", "for people", ""},
    {"at", "time?", "when", NULL},
    {0},
};
static const struct api_field held_fields[] = {
    {"field", "owner|technical|place|service|criticality", NULL, "owner"},
    {"value", "string", NULL, "facilities"},
    {"from", "string", "note, rule/<name> or device/<id>", "rule/badge-readers"},
    {0},
};
static const struct api_field ownership_fields[] = {
    {"note", "CertificateNote", "what is said by hand", NULL},
    {"holds", "[]CertificateHeld", "what holds: the note's, else the rules', else the device's", NULL},
    {"tags", "[]string", "the note's and those of all rules that match", "[\"pci\"]"},
    {0},
};
const struct api_schema note_api_schemas[] = {
    {"CertificateNote", NULL, note_fields, NULL, NULL},
    {"CertificateHeld", NULL, held_fields, NULL, NULL},
    {"CertificateOwnership", "who answers for a certificate", ownership_fields, NULL, NULL},
    {"CertificateNoteDocument", "what is to be said of a certificate; what is left out is said no more", NULL,
     note_schema,
     "{\"owner\":\"facilities\",\"place\":\"vienna\",\"criticality\":\"high\",\"tags\":[\"pci\"]}"},
    {0},
};

enum { SELVES = API_READERS | ROLE_OWNER, HANDS = ROLE_ADMIN | ROLE_OPERATOR | ROLE_OWNER };

const struct api_route note_api_routes[] = {
    {HTTP_M_GET, "/api/v1/certificates/{serial}/note", SELVES, get, 0, "getCertificateNote",
     "Who answers for a certificate, and who says so", "certificates", NULL, "CertificateOwnership",
     API_ETAG},
    {HTTP_M_PUT, "/api/v1/certificates/{serial}/note", HANDS, put, NOTE_BODY, "putCertificateNote",
     "Say who answers for a certificate, where it is and what for; recorded in the register", "certificates",
     "CertificateNoteDocument", "CertificateOwnership", API_IF_MATCH},
    {0},
};
