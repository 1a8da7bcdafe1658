#include "issue/continuation.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/text.h"
#include "issue/house.h"
#include <string.h>

enum { STATE_MAX = 256 << 10 };

static struct slice text_of(const char *s)
{
    return slice_str(s ? s : "");
}

/* Who asks again for the same asks on: the same caller, key and names, through the same endpoint. */
tm_err continuation_key(const char **ret, struct issue_request *r)
{
    uint8_t hash[SHA256_LEN];
    const struct ext *san = exts_find(&r->e.exts, OID_EXT_SAN);
    const struct slice nul = SLICE_LIT("\0");
    const struct slice parts[] = {
        slice_str(r->e.tenant ? r->e.tenant : ""),
        nul,
        text_of(r->e.endpoint),
        nul,
        text_of(r->e.profile),
        nul,
        slice_str(caller_kind_names[r->e.caller.kind]),
        nul,
        text_of(r->e.caller.id),
        nul,
        text_of(r->order),
        nul,
        r->e.spki.der,
        r->e.subject,
        san ? san->value : (struct slice){0},
    };
    TM_TRY(sha256_many(hash, parts, sizeof parts / sizeof *parts));
    *ret = arena_hex(r->arena, SLICE_ARR(hash));
    return *ret ? TM_OK : TM_ENOMEM;
}

static void put_field(struct buf *b, const char *key, struct slice value)
{
    buf_puts(b, b->n > 1 ? "," : "");
    buf_put_json_string(b, slice_str(key));
    buf_putc(b, ':');
    buf_put_json_string(b, value);
}

static void put_base64(struct buf *b, const char *key, struct slice value)
{
    buf_puts(b, b->n > 1 ? "," : "");
    buf_put_json_string(b, slice_str(key));
    buf_puts(b, ":\"");
    buf_put_base64(b, value, BASE64_STD, 0);
    buf_putc(b, '"');
}

/* The request as it was authenticated: whoever approves sees it, and it can be run again without the client. */
static tm_err state_make(struct slice *ret, struct issue_request *r)
{
    struct buf b;
    buf_init(&b, STATE_MAX);
    buf_putc(&b, '{');
    put_field(&b, "endpoint", text_of(r->e.endpoint));
    put_field(&b, "profile", text_of(r->e.profile));
    put_field(&b, "authority", text_of(r->authority));
    put_field(&b, "door", slice_str(door_names[r->e.door]));
    put_field(&b, "caller_kind", slice_str(caller_kind_names[r->e.caller.kind]));
    put_field(&b, "caller", text_of(r->e.caller.id));
    put_field(&b, "trust_set", text_of(r->e.caller.trust_set));
    put_field(&b, "roles", text_of(r->e.caller.roles));
    put_field(&b, "peer", text_of(r->e.caller.peer));
    put_field(&b, "token", text_of(r->token_id));
    put_field(&b, "device", text_of(r->device_id && r->device_id[0] ? r->device_id : r->e.caller.device_id));
    put_field(&b, "request", text_of(r->e.request_id));
    put_field(&b, "order", text_of(r->order));
    put_base64(&b, "csr", r->csr ? r->csr->der : (struct slice){0});
    put_field(&b, "format",
              slice_str(r->csr && r->csr->format == CSR_CRMF    ? "crmf"
                        : r->csr && r->csr->format == CSR_SPKAC ? "spkac"
                                                                : "pkcs10"));
    /* An authorized RA vouched for it, or what it decrypted did; a signature is verified anew. */
    if (r->e.pop_by_decryption)
        put_field(&b, "pop", r->e.pop_verified ? SLICE_LIT("decrypted") : SLICE_LIT("pending"));
    else if (r->csr && r->csr->pop == CSR_POP_RA_VERIFIED && r->e.pop_verified)
        put_field(&b, "pop", SLICE_LIT("ra"));
    put_base64(&b, "caller_cert", r->e.caller.cert);
    put_base64(&b, "predecessor", r->predecessor);
    put_field(&b, "kind", slice_str(r->e.kind == ENROLL_RENEW ? "renew" : "new"));
    buf_puts(&b, ",\"names\":[");
    for (size_t i = 0; i < r->e.caller.n_names; i++) {
        buf_puts(&b, i ? "," : "");
        buf_put_json_string(&b, slice_str(r->e.caller.names[i]));
    }
    buf_putc(&b, ']');
    put_field(&b, "rule", text_of(r->decision.rule));
    buf_putc(&b, '}');
    tm_err e = buf_err(&b);
    if (e == TM_OK)
        e = arena_copy(ret, r->arena, buf_slice(&b));
    buf_done(&b);
    return e;
}

tm_err continuation_row_make(struct continuation_row *ret, struct issue_request *r, int64_t deadline,
                             const char *before)
{
    enum { ID_OCTETS = 16 };
    uint8_t id[SHA256_LEN];
    const char *key;
    TM_TRY(continuation_key(&key, r));
    const struct slice parts[] = {slice_str(key), SLICE_LIT("\0"), text_of(before)};
    TM_TRY(sha256_many(id, parts, sizeof parts / sizeof *parts));
    int64_t now = clock_now();
    *ret = (struct continuation_row){
        .id = arena_hex(r->arena, slice_of(id, ID_OCTETS)),
        .key = key,
        .kind = "enrollment",
        .status = "pending",
        .created_at = now,
        .expires_at = now + deadline,
    };
    return ret->id ? state_make(&ret->state, r) : TM_ENOMEM;
}

static const char *member(json_t *doc, const char *key, struct arena *a)
{
    const char *s = json_string_value(json_object_get(doc, key));
    return arena_strdup(a, s ? s : "");
}

static tm_err bytes(struct slice *ret, json_t *doc, const char *key, struct arena *a)
{
    const char *s = json_string_value(json_object_get(doc, key));
    return base64_decode(ret, a, slice_str(s ? s : ""), BASE64_STD);
}

static int index_of(const char *const *names, const char *name, int otherwise)
{
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return otherwise;
}

static tm_err restore(struct issue_request *ret, struct arena *a, json_t *doc, struct diag *diag)
{
    struct enrollment *e = &ret->e;
    e->endpoint = member(doc, "endpoint", a);
    e->profile = member(doc, "profile", a);
    e->request_id = member(doc, "request", a);
    e->caller.id = member(doc, "caller", a);
    e->caller.peer = member(doc, "peer", a);
    e->caller.roles = member(doc, "roles", a);
    const char *trust_set = member(doc, "trust_set", a), *token = member(doc, "token", a),
               *door = member(doc, "door", a);
    const char *kind = member(doc, "kind", a), *caller_kind = member(doc, "caller_kind", a),
               *format = member(doc, "format", a), *pop = member(doc, "pop", a);
    ret->authority = member(doc, "authority", a);
    ret->device_id = member(doc, "device", a);
    ret->order = member(doc, "order", a);
    if (arena_err(a) != TM_OK)
        return arena_err(a);
    e->caller.trust_set = trust_set[0] ? trust_set : NULL;
    e->caller.kind = (enum caller_kind)index_of(caller_kind_names, caller_kind, CALLER_ANONYMOUS);
    e->door = (enum door)index_of(door_names, door, DOOR_REST);
    e->pop_by_decryption = strcmp(pop, "decrypted") == 0 || strcmp(pop, "pending") == 0;
    e->pop_verified = strcmp(pop, "decrypted") == 0 || strcmp(pop, "ra") == 0;
    e->kind = strcmp(kind, "renew") == 0 ? ENROLL_RENEW : ENROLL_NEW;
    e->caller.device_id = ret->device_id;
    ret->token_id = token[0] ? token : NULL;
    TM_TRY(bytes(&e->caller.cert, doc, "caller_cert", a));
    TM_TRY(bytes(&ret->predecessor, doc, "predecessor", a));
    TM_TRY(json_texts(&e->caller.names, &e->caller.n_names, a, json_object_get(doc, "names")));
    struct slice der;
    TM_TRY(bytes(&der, doc, "csr", a));
    struct csr *csr = arena_calloc(a, 1, sizeof *csr);
    if (!csr)
        return TM_ENOMEM;
    if (strcmp(format, "crmf") == 0)
        TM_TRY(csr_parse_crmf(csr, a, der, diag));
    else if (strcmp(format, "spkac") == 0)
        TM_TRY(csr_parse_spkac(csr, der, diag));
    else
        TM_TRY(csr_parse_pkcs10(csr, der, diag));
    return issue_from_csr(ret, csr, diag);
}

tm_err continuation_restore(struct issue_request *ret, struct arena *a, const struct continuation_row *row,
                            tenant_id tenant, struct house *h, struct diag *diag)
{
    *ret = (struct issue_request){.house = h, .arena = a, .tenant = tenant, .continuation_id = row->id};
    struct catalog *c = house_catalog(h);
    const struct tenant *t = catalog_tenant_by_id(c, tenant);
    ret->e.tenant = t ? arena_strdup(a, t->name) : NULL;
    catalog_unref(c);
    json_t *doc = NULL;
    TM_TRY(json_parse(&doc, row->state, STATE_MAX, diag));
    tm_err e = restore(ret, a, doc, diag);
    json_decref(doc);
    return e;
}

/* Octets as text, in the document. */
static int set_octets(json_t *doc, const char *key, struct slice octets)
{
    struct buf b;
    buf_init(&b, STATE_MAX);
    buf_put_base64(&b, octets, BASE64_STD, 0);
    int bad = buf_err(&b) != TM_OK || json_object_set_new(doc, key, json_string(buf_str(&b)));
    buf_done(&b);
    return bad;
}

static tm_err state_from(struct continuation_row *row, struct arena *a, const json_t *doc)
{
    struct buf b;
    buf_init(&b, STATE_MAX);
    buf_put_json(&b, doc, false);
    tm_err e = buf_err(&b);
    if (e == TM_OK)
        e = arena_copy(&row->state, a, buf_slice(&b));
    buf_done(&b);
    return e;
}

static tm_err add_comment(json_t *doc, const char *by, const char *text, const char *decision,
                          struct diag *diag)
{
    json_t *comments = json_object_get(doc, "comments");
    if (!comments) {
        comments = json_array();
        if (json_object_set_new(doc, "comments", comments) != 0)
            return TM_ENOMEM;
    }
    if (json_array_size(comments) >= CONTINUATION_COMMENTS && !decision)
        return diag_fail(diag, TM_EQUOTA, NULL, "comment", "there are %d comments already",
                         CONTINUATION_COMMENTS);
    json_t *one = json_pack("{s:s, s:I, s:s}", "by", by ? by : "", "at", (json_int_t)clock_now(), "text",
                            text ? text : "");
    if (decision && one && json_object_set_new(one, "decision", json_string(decision)) != 0) {
        json_decref(one);
        return TM_ENOMEM;
    }
    return json_array_append_new(comments, one) == 0 ? TM_OK : TM_ENOMEM;
}

tm_err continuation_comment(struct continuation_row *row, struct arena *a, const char *by, const char *text,
                            const char *decision, struct diag *diag)
{
    json_t *doc = NULL;
    TM_TRY(json_parse(&doc, row->state, STATE_MAX, diag));
    tm_err e = add_comment(doc, by, text, decision, diag);
    if (e == TM_OK)
        e = state_from(row, a, doc);
    json_decref(doc);
    return e;
}

tm_err continuation_finish(struct continuation_row *row, struct arena *a, const uint8_t *serial,
                           struct slice cert, const char *reason)
{
    json_t *doc = NULL;
    TM_TRY(json_parse(&doc, row->state, STATE_MAX, NULL));
    int bad;
    if (serial) {
        char *hex = arena_hex(a, slice_of(serial, CERT_SERIAL_LEN));
        bad = !hex || json_object_set_new(doc, "serial", json_string(hex)) ||
              (cert.n && set_octets(doc, "certificate", cert));
    } else {
        bad = json_object_set_new(doc, "rejected", json_string(reason ? reason : ""));
    }
    tm_err e = bad ? TM_ENOMEM : state_from(row, a, doc);
    json_decref(doc);
    row->status = serial ? "done" : "rejected";
    /* However short the wait was to be: who asked has time to come and fetch it. */
    int64_t until = clock_now() + CONTINUATION_LIFE;
    row->expires_at = row->expires_at > until ? row->expires_at : until;
    return e;
}

tm_err continuation_issued(uint8_t ret[CERT_SERIAL_LEN], struct slice *ret_cert, struct arena *a,
                           const struct continuation_row *row)
{
    json_t *doc = NULL;
    TM_TRY(json_parse(&doc, row->state, STATE_MAX, NULL));
    const char *hex = json_string_value(json_object_get(doc, "serial"));
    struct slice serial = {0};
    tm_err e = hex ? hex_decode(&serial, a, slice_str(hex)) : TM_ENOTFOUND;
    const char *cert = json_string_value(json_object_get(doc, "certificate"));
    *ret_cert = (struct slice){0};
    if (e == TM_OK && cert)
        e = base64_decode(ret_cert, a, slice_str(cert), BASE64_STD);
    json_decref(doc);
    if (e != TM_OK)
        return e;
    if (serial.n != CERT_SERIAL_LEN)
        return TM_ECORRUPT;
    memcpy(ret, serial.p, CERT_SERIAL_LEN);
    return TM_OK;
}
