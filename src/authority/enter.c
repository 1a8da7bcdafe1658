#include "authority/enter.h"
#include "authority/anchors.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/text.h"
#include "issue/chain.h"
#include "issue/house.h"
#include "issue/issue.h"
#include "policy/decide.h"
#include "policy/profile.h"
#include "register/register.h"
#include "x509/name.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { RESOURCE_MAX = 1 << 20, EFFECTS_MAX = 8, DAY = 86400 };

static void fingerprint_text(char out[96], const uint8_t hash[SHA256_LEN])
{
    for (size_t i = 0; i < SHA256_LEN; i++)
        snprintf(out + 3 * i, 4, i + 1 < SHA256_LEN ? "%02X:" : "%02X", hash[i]);
}

static const char *name_text(struct arena *a, struct slice tlv)
{
    struct buf b;
    buf_init(&b, 64 << 10);
    name_print_der(&b, tlv);
    const char *s = arena_strdup(a, buf_str(&b));
    buf_done(&b);
    return s ? s : "";
}

void ca_result_fill(struct ca_result *ret, struct arena *a, const char *name, struct slice der)
{
    struct cert c;
    uint8_t hash[SHA256_LEN] = {0};
    *ret = (struct ca_result){.name = arena_strdup(a, name)};
    /* It may have been read from a bundle that is closed before the result is used. */
    if (arena_copy(&ret->der, a, der) != TM_OK)
        ret->der = (struct slice){0};
    if (cert_parse(&c, der, NULL) != TM_OK || sha256(hash, der) != TM_OK)
        return;
    ret->subject = name_text(a, c.subject);
    ret->not_before = c.not_before;
    ret->not_after = c.not_after;
    fingerprint_text(ret->fingerprint, hash);
    struct slice ski = cert_ski(&c);
    if (2 * ski.n < sizeof ret->key_id_hex)
        hex_encode(ret->key_id_hex, ski);
}

/* ---- before ---- */

tm_err authority_key_id(const char **ret, struct arena *a, struct house *h, const struct ca_spec *s,
                        struct diag *diag)
{
    if (s->tenant == TENANT_DEFAULT) {
        *ret = s->name;
        return TM_OK;
    }
    struct catalog *cat = house_catalog(h);
    const struct tenant *t = catalog_tenant_by_id(cat, s->tenant);
    const char *id = t ? arena_printf(a, "%s.%s", t->name, s->name) : NULL;
    catalog_unref(cat);
    if (!t)
        return diag_fail(diag, TM_ENOTFOUND, NULL, "/tenant", "there is no such tenant");
    if (!id)
        return TM_ENOMEM;
    if (strlen(id) > 63)
        return diag_fail(diag, TM_EINVAL, NULL, "/name",
                         "tenant and name together are longer than 62 characters");
    *ret = id;
    return TM_OK;
}

tm_err ceremony_check(const struct ceremony *c, const struct ca_spec *s, bool with_key, struct diag *diag)
{
    if (with_key && c->house->mode != HOUSE_OFFLINE)
        return diag_fail(
            diag, TM_EUNAVAIL, "ceremony.offline", NULL,
            "a running server can't make or change CAs; stop it, run the command again, start it");
    TM_TRY(ca_spec_check(s, diag));
    /* The register's checkpoint key lives beside the CAs'. */
    if (strcmp(s->name, "register") == 0)
        return diag_fail(diag, TM_EINVAL, NULL, "/name", "\"register\" is the name of the register's key");
    struct catalog *cat = house_catalog(c->house);
    bool taken = catalog_authority(cat, s->tenant, s->name) != NULL;
    catalog_unref(cat);
    if (taken)
        return diag_fail(diag, TM_ECONFLICT, NULL, "/name", "there is an authority \"%s\" already", s->name);
    return TM_OK;
}

const char *ceremony_key_dir(struct arena *a, const struct ceremony *c)
{
    return arena_printf(a, "%s/keys", c->house->home);
}

void ceremony_discard_key(const struct ceremony *c, const char *key_id)
{
    static const char *const suffixes[] = {"key", "env"};
    char path[4096];
    for (size_t i = 0; i < 2; i++)
        if (snprintf(path, sizeof path, "%s/keys/%s.%s", c->house->home, key_id, suffixes[i]) <
            (int)sizeof path)
            unlink(path);
}

/* ---- the resource ---- */

static json_t *pem_string(struct slice der)
{
    struct buf b;
    buf_init(&b, 2 * CERT_DER_MAX);
    buf_put_pem(&b, "CERTIFICATE", der);
    json_t *v = buf_err(&b) == TM_OK ? json_string(buf_str(&b)) : NULL;
    buf_done(&b);
    return v;
}

static json_t *duration_string(int64_t seconds)
{
    char text[24];
    duration_format(text, seconds);
    return json_string(text);
}

static const char *text_of(const char *s)
{
    return s ? s : "";
}

static json_t *authority_document(const struct entry *x)
{
    const struct ca_spec *s = x->spec;
    bool offline = x->key_id[0] == '\0';
    int64_t lifetime = s->crl_lifetime ? s->crl_lifetime : offline ? 90 * DAY : 7 * DAY;
    int64_t every = s->crl_every ? s->crl_every : offline ? 30 * DAY : DAY;
    json_t *chain = json_array();
    for (size_t i = 0; i < x->n_chain && chain; i++)
        json_array_append_new(chain, pem_string(x->chain[i]));
    json_t *doc = json_pack(
        "{s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:b, s:s, s:{s:o, s:o}, s:{s:s, s:s, s:s}}", "kind", "Authority",
        "name", s->name, "title", text_of(s->title), "key", x->key_id, "certificate", pem_string(x->der),
        "chain", chain, "parent", x->parent ? x->parent->name : "", "root", x->root ? 1 : 0, "signature",
        text_of(s->signature), "crl", "lifetime", duration_string(lifetime), "every", duration_string(every),
        "urls", "crl", text_of(s->crl_url), "ca", text_of(s->ca_url), "ocsp", text_of(s->ocsp_url));
    if (doc && json_array_size(chain) != x->n_chain) {
        json_decref(doc);
        return NULL;
    }
    return doc;
}

/* ---- the effects ---- */

struct effects {
    struct effect v[EFFECTS_MAX];
    size_t n;
};

static tm_err add_event(struct effects *l, struct arena *a, tenant_id tenant, const char *type,
                        const char *about, const struct event_field *fields)
{
    struct slice body;
    TM_TRY(register_event_body(&body, a, fields));
    return register_event_effect(&l->v[l->n++], a, tenant, type, about, body, clock_now_ms());
}

/* A certificate that one of our authorities signed elsewhere (an offline bundle, another machine) with a serial of our kind: its id here is
 * that serial, and its issuer's list takes it when it is revoked. Whatever else is brought in counts as imported. */
static bool serial_is_ours(const struct entry *x, const struct cert *cert)
{
    uint8_t prefix[CERT_SERIAL_LEN];
    if (!x->parent || cert->serial.n != CERT_SERIAL_LEN)
        return false;
    serial_prefix(prefix, cert->not_after, clock_now());
    return memcmp(prefix, cert->serial.p, 2) == 0;
}

static tm_err already_there(bool *ret, struct house *h, struct arena *a, tenant_id tenant,
                            struct slice serial, struct diag *diag)
{
    struct store_read q = {.kind = READ_CERT, .tenant = tenant, .arena = a};
    memcpy(q.id, serial.p, CERT_SERIAL_LEN);
    tm_err e = store_read_now(h->store, &q);
    *ret = e == TM_OK;
    if (e != TM_OK && e != TM_ENOTFOUND)
        *diag = q.diag;
    return e == TM_ENOTFOUND ? TM_OK : e;
}

/* The CA's certificate in the inventory of whoever issued it, so that it can be found and revoked like any other. */
static tm_err add_certificate(struct effects *l, struct arena *a, const struct entry *x,
                              const struct cert *cert, struct slice serial, struct slice tbs_hash,
                              tenant_id tenant)
{
    struct effect *e = &l->v[l->n++];
    *e = (struct effect){.kind = EFFECT_CERT_ADD, .tenant = tenant};
    struct cert_row *row = &e->u.cert.row;
    TM_TRY(cert_row_from_cert(row, a, cert));
    memcpy(row->id, serial.p, sizeof row->id);
    row->source = CERT_ISSUED;
    row->authority = x->parent ? x->parent->name : x->spec->name;
    row->profile = "";
    row->device = "";
    row->endpoint = "";
    row->door = DOOR_CEREMONY;
    row->issued_at = clock_now_ms();
    row->retention = RETAIN_FULL;
    row->keep_until = TM_TIME_NEVER;
    struct cert_key *keys;
    TM_TRY(cert_keys_collect(&keys, &e->u.cert.n_keys, a, cert, ""));
    e->u.cert.keys = keys;

    char *hex = arena_hex(a, serial);
    char *about = hex ? arena_printf(a, "certificate/%s", hex) : NULL;
    if (!about)
        return TM_ENOMEM;
    struct event_field fields[] = {
        {.key = "authority", .kind = EVENT_STR, .s = slice_str(row->authority)},
        {.key = "caller", .kind = EVENT_STR, .s = slice_str(x->c->by)},
        {.key = "door", .kind = EVENT_STR, .s = SLICE_LIT("ceremony")},
        {.key = "fingerprint", .kind = EVENT_HEX, .s = SLICE_ARR(row->fingerprint)},
        {.key = "kind", .kind = EVENT_STR, .s = SLICE_LIT("ca")},
        {.key = "not_after", .kind = EVENT_INT, .i = cert->not_after},
        {.key = "not_before", .kind = EVENT_INT, .i = cert->not_before},
        {.key = "serial", .kind = EVENT_HEX, .s = serial},
        {.key = "subject", .kind = EVENT_STR, .s = slice_str(row->subject)},
        {.key = "tbs", .kind = EVENT_HEX, .s = tbs_hash},
        /* An offline bundle has a chain of its own, which is not this signer's. */
        {.key = x->signed_here ? "chain" : NULL,
         .kind = EVENT_INT,
         .i = x->signature ? (int64_t)x->signature->chain_seq : 0},
        {0},
    };
    return add_event(l, a, tenant, "certificate.issued", about, fields);
}

static tm_err add_resource(struct effects *l, struct arena *a, const struct entry *x, struct diag *diag)
{
    json_t *doc = authority_document(x);
    if (!doc)
        return TM_ENOMEM;
    struct buf text;
    buf_init(&text, RESOURCE_MAX);
    buf_put_json(&text, doc, false);
    struct slice json;
    tm_err e = buf_err(&text);
    if (e == TM_OK)
        e = resource_kind_find("Authority")->check(a, doc, diag);
    if (e == TM_OK)
        e = arena_copy(&json, a, buf_slice(&text));
    buf_done(&text);
    json_decref(doc);
    uint8_t hash[SHA256_LEN];
    if (e == TM_OK)
        e = sha256(hash, json);
    char *about = arena_printf(a, "resource/Authority/%s", x->spec->name);
    if (e != TM_OK || !about)
        return e != TM_OK ? e : TM_ENOMEM;
    l->v[l->n++] = (struct effect){
        .kind = EFFECT_RESOURCE_PUT,
        .tenant = x->spec->tenant,
        .expected_version = 0,
        .u.resource = {.kind = "Authority",
                       .name = x->spec->name,
                       .json = json,
                       .updated_at = clock_now_ms(),
                       .updated_by = x->c->by},
    };
    struct event_field fields[] = {
        {.key = "by", .kind = EVENT_STR, .s = slice_str(x->c->by)},
        {.key = "kind", .kind = EVENT_STR, .s = SLICE_LIT("Authority")},
        {.key = "name", .kind = EVENT_STR, .s = slice_str(x->spec->name)},
        {.key = "sha256", .kind = EVENT_HEX, .s = SLICE_ARR(hash)},
        {0},
    };
    return add_event(l, a, x->spec->tenant, "resource.put", about, fields);
}

static tm_err add_acts(struct effects *l, struct arena *a, const struct entry *x, const struct cert *cert)
{
    uint8_t hash[SHA256_LEN];
    TM_TRY(sha256(hash, x->der));
    char *about = arena_printf(a, "authority/%s", x->spec->name);
    if (!about)
        return TM_ENOMEM;
    struct event_field created[] = {
        {.key = "by", .kind = EVENT_STR, .s = slice_str(x->c->by)},
        {.key = "fingerprint", .kind = EVENT_HEX, .s = SLICE_ARR(hash)},
        {.key = "key", .kind = EVENT_STR, .s = slice_str(x->key_id)},
        {.key = "key_id", .kind = EVENT_HEX, .s = cert_ski(cert)},
        {.key = "not_after", .kind = EVENT_INT, .i = cert->not_after},
        {.key = "parent", .kind = EVENT_STR, .s = slice_str(x->parent ? x->parent->name : "")},
        {.key = "root", .kind = EVENT_RAW, .s = slice_str(x->root ? "true" : "false")},
        {.key = "subject", .kind = EVENT_STR, .s = slice_str(name_text(a, cert->subject))},
        {0},
    };
    bool foreign = !x->signature && strncmp(x->what, "import", 6) == 0;
    TM_TRY(add_event(l, a, x->spec->tenant, foreign ? "authority.imported" : "authority.created", about,
                     created));
    struct event_field ceremony[] = {
        {.key = "authority", .kind = EVENT_STR, .s = slice_str(x->spec->name)},
        {.key = "by", .kind = EVENT_STR, .s = slice_str(x->c->by)},
        {.key = "ceremony", .kind = EVENT_STR, .s = slice_str(x->what)},
        {.key = "fingerprint", .kind = EVENT_HEX, .s = SLICE_ARR(hash)},
        {.key = "key", .kind = EVENT_STR, .s = slice_str(x->key_id)},
        {0},
    };
    return add_event(l, a, x->spec->tenant, "ceremony.completed", about, ceremony);
}

tm_err ceremony_event(const struct ceremony *c, tenant_id tenant, const char *what, const char *name,
                      const char *key_id, struct diag *diag)
{
    char about[128];
    snprintf(about, sizeof about, "authority/%s", name);
    struct event_field fields[] = {
        {.key = "authority", .kind = EVENT_STR, .s = slice_str(name)},
        {.key = "by", .kind = EVENT_STR, .s = slice_str(c->by)},
        {.key = "ceremony", .kind = EVENT_STR, .s = slice_str(what)},
        {.key = "key", .kind = EVENT_STR, .s = slice_str(key_id)},
        {0},
    };
    return house_event(c->house, tenant, "ceremony.completed", about, fields, diag);
}

static tm_err commit_all(struct house *h, struct effects *l, size_t first, struct diag *diag)
{
    /* A store may keep each tenant's rows elsewhere: no transaction spans two. The certificate is recorded before it can be used. */
    if (first && l->v[0].tenant != l->v[first].tenant) {
        TM_TRY(house_commit(h, l->v, first, diag));
        return house_commit(h, l->v + first, l->n - first, diag);
    }
    return house_commit(h, l->v, l->n, diag);
}

/* The inventory's row of the CA, in this transaction where it can be. *ret_apart: it has to be imported behind it. */
static tm_err add_row(bool *ret_apart, struct effects *l, struct arena *a, const struct entry *x,
                      const struct cert *cert, struct diag *diag)
{
    tenant_id tenant = x->parent ? x->parent->tenant : x->spec->tenant;
    *ret_apart = false;
    if (x->signature)
        return add_certificate(l, a, x, cert, SLICE_ARR(x->signature->serial),
                               SLICE_ARR(x->signature->tbs_hash), tenant);
    if (!serial_is_ours(x, cert)) {
        *ret_apart = strncmp(x->what, "create", 6) != 0; /* a root of our own is nobody's certificate */
        return TM_OK;
    }
    bool known;
    uint8_t *hash = arena_alloc(a, SHA256_LEN);
    if (!hash)
        return TM_ENOMEM;
    TM_TRY(sha256(hash, cert->tbs));
    TM_TRY(already_there(&known, x->c->house, a, tenant, cert->serial, diag));
    return known ? TM_OK : add_certificate(l, a, x, cert, cert->serial, slice_of(hash, SHA256_LEN), tenant);
}

/* What the new CA's messages may hand out: itself, and what stands above it (docs/adr/0008). */
static tm_err seal_anchors(struct arena *a, const struct entry *x, struct diag *diag)
{
    struct slice *v = arena_calloc(a, x->n_chain + 1, sizeof *v);
    if (!v)
        return TM_ENOMEM;
    v[0] = x->der;
    for (size_t i = 0; i < x->n_chain; i++)
        v[i + 1] = x->chain[i];
    return anchors_seal(a, x->c, x->key_id, x->key, v, x->n_chain + 1, diag);
}

tm_err authority_enter(struct ca_result *ret, struct arena *a, const struct entry *x, struct diag *diag)
{
    struct house *h = x->c->house;
    struct cert cert;
    bool apart;
    TM_TRY(cert_parse(&cert, x->der, diag));
    struct effects *l = arena_calloc(a, 1, sizeof *l);
    if (!l)
        return TM_ENOMEM;
    if (x->signature && x->signed_here)
        chain_signed(h->chain, x->signature->chain_seq, x->signature->chain_hash);
    if (x->key)
        TM_TRY(seal_anchors(a, x, diag));
    TM_TRY(add_row(&apart, l, a, x, &cert, diag));
    size_t first = l->n;
    TM_TRY(add_resource(l, a, x, diag));
    TM_TRY(add_acts(l, a, x, &cert));
    TM_TRY(commit_all(h, l, first, diag));
    if (x->signature && x->signed_here)
        chain_recorded(h->chain, x->signature->chain_seq);
    uint8_t id[CERT_SERIAL_LEN];
    bool fresh;
    if (apart)
        TM_TRY(issue_import(h, x->spec->tenant, x->der, x->c->by, id, &fresh, diag));
    ca_result_fill(ret, a, x->spec->name, x->der);
    return TM_OK;
}
