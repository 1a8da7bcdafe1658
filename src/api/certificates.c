/* The inventory: look up, list, fetch and revoke certificates, and bring foreign ones in. */
#include "api/groups.h"
#include "api/schemas.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/text.h"
#include "issue/issue.h"
#include "issue/issuer.h"
#include "policy/enrollment.h"
#include "policy/profile.h"
#include "x509/cms/certs_only.h"
#include "x509/general_name.h"
#include <stdlib.h>
#include <string.h>

enum { CHAIN_MAX = 16, SMALL_BODY = 8 << 10, LIST_DEFAULT = 100, LIST_MAX = 1000, NAMES_SHOWN = 16 };

static const char *const source_names[] = {"issued", "imported", "discovered"};

/* Its alternative names, where the certificate itself is kept: the first ones, which is what tells one from the others where there is no subject. */
static void put_names(struct buf *out, const struct cert_row *row)
{
    struct cert c;
    struct general_names names = {0};
    struct buf text;
    struct arena *a = row->der.n ? arena_new(0) : NULL;
    bool known = a && cert_parse(&c, row->der, NULL) == TM_OK && cert_san(&names, a, &c, NULL) == TM_OK;
    buf_init(&text, 64 << 10);
    if (known)
        buf_puts(out, ",\"names\":[");
    for (size_t i = 0; known && i < names.n && i < NAMES_SHOWN; i++) {
        buf_reset(&text);
        general_name_print(&text, &names.v[i]);
        buf_puts(out, i ? "," : "");
        buf_put_json_string(out, buf_slice(&text));
    }
    if (known)
        buf_putc(out, ']');
    buf_done(&text);
    arena_free(a);
}

const char *api_cert_status(const struct cert_row *row)
{
    if (row->revoked_at)
        return row->reason == CRL_CERTIFICATE_HOLD ? "on-hold" : "revoked";
    return row->not_after < clock_now() ? "expired" : "valid";
}

static void put_members(struct buf *out, const struct cert_row *row, bool pem)
{
    bool revoked = row->revoked_at != 0;
    buf_puts(out, "{\"serial\":\"");
    buf_put_hex(out, SLICE_ARR(row->id));
    buf_puts(out, "\"");
    api_put_text(out, "status", api_cert_status(row));
    api_put_text(out, "source", (unsigned)row->source < 3 ? source_names[row->source] : "");
    api_put_text(out, "issuer_class", issuer_class_names[issuer_class_of_row(row)]);
    if (row->source != CERT_ISSUED) {
        buf_puts(out, ",\"foreign_serial\":\"");
        buf_put_hex(out, row->serial);
        buf_puts(out, "\"");
    }
    api_put_text(out, "subject", row->subject);
    put_names(out, row);
    api_put_text(out, "authority", row->authority);
    api_put_text(out, "profile", row->profile);
    api_put_int(out, "profile_version", row->profile_version);
    api_put_text(out, "device", row->device);
    api_put_text(out, "endpoint", row->endpoint);
    api_put_text(out, "key", row->key_alg);
    api_put_text(out, "signature", row->sig_alg);
    api_put_bool(out, "ca", row->flags & CERT_FLAG_CA);
    api_put_bool(out, "self_signed", row->flags & CERT_FLAG_SELF_SIGNED);
    api_put_time(out, "issued_at", row->issued_at / 1000);
    api_put_time(out, "not_before", row->not_before);
    api_put_time(out, "not_after", row->not_after);
    buf_puts(out, ",\"fingerprint\":\"");
    buf_put_hex(out, SLICE_ARR(row->fingerprint));
    buf_puts(out, "\"");
    if (revoked) {
        api_put_time(out, "revoked_at", row->revoked_at);
        api_put_text(out, "reason", crl_reason_names[row->reason]);
        if (row->invalid_since)
            api_put_time(out, "invalid_since", row->invalid_since);
    }
    if (pem && row->der.n) {
        struct buf text;
        buf_init(&text, 1 << 20);
        buf_put_pem(&text, "CERTIFICATE", row->der);
        api_put_text(out, "certificate", buf_str(&text));
        buf_done(&text);
    }
}

void api_put_cert(struct buf *out, const struct cert_row *row, bool pem)
{
    put_members(out, row, pem);
    buf_putc(out, '}');
}

/* ---- list ---- */

static tm_err query_time(int64_t *ret, const struct api_call *c, const char *name, struct diag *diag)
{
    const char *s = api_query(c, name);
    if (s && clock_parse_rfc3339(ret, slice_str(s)) != TM_OK)
        return diag_fail(diag, TM_EINVAL, "RFC 3339", name,
                         "must be a date or a time such as 2027-01-31T00:00:00Z");
    return TM_OK;
}

/* A name as the index has it, with its kind: names of servers and addresses may come without. */
static struct slice san_key(struct arena *a, const char *text)
{
    struct general_name gn;
    struct buf b;
    struct slice key = slice_str(text);
    if (general_name_from_text(&gn, a, key, NULL) != TM_OK || (gn.type != GN_DNS && gn.type != GN_IP))
        return key;
    buf_init(&b, SMALL_BODY);
    general_name_print(&b, &gn);
    if (arena_copy(&key, a, slice_of(b.p, b.n)) != TM_OK)
        key = slice_str(text);
    buf_done(&b);
    return key;
}

/* The exact look-up that the query asks for, if any. */
static tm_err look_up(struct store_read *q, struct api_call *c, struct diag *diag)
{
    static const struct {
        const char *name;
        enum cert_key_kind kind;
        bool hex;
    } keys[] = {
        {"subject", CERT_KEY_SUBJECT, false},
        {"cn", CERT_KEY_CN, false},
        {"san", CERT_KEY_SAN, false},
        {"fingerprint", CERT_KEY_FINGERPRINT, true},
        {"spki", CERT_KEY_SPKI, true},
        {"device", CERT_KEY_DEVICE, false},
        {"serial", CERT_KEY_FOREIGN_SERIAL, true},
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *value = api_query(c, keys[i].name);
        if (!value || !value[0])
            continue;
        if (q->kind == READ_CERTS_BY_KEY)
            return diag_fail(diag, TM_EINVAL, NULL, keys[i].name,
                             "look up by one of subject, cn, san, serial, "
                             "fingerprint, spki and device at a time");
        q->kind = READ_CERTS_BY_KEY;
        q->key = (struct cert_key){.kind = keys[i].kind, .value = slice_str(value)};
        if (keys[i].kind == CERT_KEY_SAN)
            q->key.value = san_key(c->arena, value);
        if (keys[i].hex && hex_decode(&q->key.value, c->arena, slice_str(value)) != TM_OK)
            return diag_fail(diag, TM_EINVAL, NULL, keys[i].name, "must be hexadecimal");
    }
    return TM_OK;
}

static tm_err list_filter(struct store_read *q, struct api_call *c, struct diag *diag)
{
    q->filter = (struct cert_filter){
        .authority = api_query(c, "authority"),
        .profile = api_query(c, "profile"),
        .revoked = -1,
        .source = -1,
    };
    const char *revoked = api_query(c, "revoked"), *source = api_query(c, "source");
    if (revoked)
        q->filter.revoked = strcmp(revoked, "true") == 0 || strcmp(revoked, "1") == 0;
    for (int i = 0; source && i < 3; i++)
        if (strcmp(source, source_names[i]) == 0)
            q->filter.source = i;
    if (source && q->filter.source < 0)
        return diag_fail(diag, TM_EINVAL, NULL, "source", "must be issued, imported or discovered");
    TM_TRY(query_time(&q->filter.not_after_to, c, "expires_before", diag));
    return query_time(&q->filter.not_after_from, c, "expires_after", diag);
}

/* What a look-up found is filtered here; the store filters its pages itself. */
static bool passes(const struct cert_row *r, const struct store_read *q)
{
    const struct cert_filter *f = &q->filter;
    if (q->kind != READ_CERTS_BY_KEY)
        return true;
    return (!f->authority || strcmp(f->authority, r->authority) == 0) &&
           (!f->profile || strcmp(f->profile, r->profile) == 0) &&
           (f->revoked < 0 || f->revoked == (r->revoked_at != 0)) &&
           (f->source < 0 || f->source == (int)r->source) &&
           (!f->not_after_from || r->not_after >= f->not_after_from) &&
           (!f->not_after_to || r->not_after <= f->not_after_to);
}

/* ---- search ---- */

enum { SEARCH_MAX = 1000, FINGERPRINT_LEN = 32, SERIAL_LEAST = 4 };

struct search {
    struct api_call *c;
    const struct cert_row *seen[SEARCH_MAX];
    size_t n, limit;
};

static void found(struct search *s, const struct cert_row *rows, size_t n)
{
    for (size_t i = 0; i < n && s->n < s->limit; i++) {
        bool known = false;
        for (size_t k = 0; k < s->n && !known; k++)
            known = memcmp(s->seen[k]->id, rows[i].id, CERT_SERIAL_LEN) == 0;
        if (!known)
            s->seen[s->n++] = &rows[i];
    }
}

static tm_err search_key(struct search *s, enum cert_key_kind kind, struct slice value, struct diag *diag)
{
    struct store_read q = {
        .kind = READ_CERTS_BY_KEY, .key = {.kind = kind, .value = value}, .limit = SEARCH_MAX};
    tm_err e = api_read(s->c, &q, diag);
    if (e == TM_OK)
        found(s, q.certs, q.n);
    return e == TM_ENOTFOUND ? TM_OK : e;
}

static tm_err search_octets(struct search *s, struct slice octets, struct diag *diag)
{
    if (octets.n == CERT_SERIAL_LEN) {
        struct store_read q = {.kind = READ_CERT};
        memcpy(q.id, octets.p, CERT_SERIAL_LEN);
        tm_err e = api_read(s->c, &q, diag);
        if (e == TM_OK)
            found(s, q.certs, 1);
        else if (e != TM_ENOTFOUND)
            return e;
    }
    if (octets.n == FINGERPRINT_LEN) {
        TM_TRY(search_key(s, CERT_KEY_FINGERPRINT, octets, diag));
        TM_TRY(search_key(s, CERT_KEY_SPKI, octets, diag));
    }
    return search_key(s, CERT_KEY_FOREIGN_SERIAL, octets, diag);
}

/* Hex as openssl and browsers show it: with colons, upper case. */
static bool octets_of(struct slice *ret, struct arena *a, const char *text)
{
    char *plain = arena_strdup(a, text);
    size_t n = 0;
    for (const char *p = text; plain && *p; p++)
        if (*p != ':' && *p != ' ')
            plain[n++] = *p;
    if (plain)
        plain[n] = '\0';
    return plain && hex_decode(ret, a, slice_str(plain)) == TM_OK && ret->n >= SERIAL_LEAST;
}

static tm_err search(struct api_call *c, const char *text, struct diag *diag)
{
    static const enum cert_key_kind kinds[] = {CERT_KEY_CN, CERT_KEY_SAN, CERT_KEY_DEVICE, CERT_KEY_SUBJECT};
    for (const struct http_param *p = c->query; p && p->name; p++)
        if (strcmp(p->name, "q") != 0 && strcmp(p->name, "limit") != 0)
            return diag_fail(diag, TM_EINVAL, NULL, p->name, "q goes with limit alone");
    if (!(c->roles & (API_READERS | ROLE_HOUSE_ADMIN)))
        return diag_fail(diag, TM_EFORBIDDEN, "role", "q", "an owner looks up by device");
    struct search *s = arena_calloc(c->arena, 1, sizeof *s);
    struct slice octets;
    if (!s)
        return TM_ENOMEM;
    s->c = c;
    TM_TRY(api_limit(&s->limit, c, LIST_DEFAULT, SEARCH_MAX, diag));
    if (octets_of(&octets, c->arena, text))
        TM_TRY(search_octets(s, octets, diag));
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        TM_TRY(search_key(s, kinds[i], kinds[i] == CERT_KEY_SAN ? san_key(c->arena, text) : slice_str(text),
                          diag));
    buf_puts(&c->out, "{\"items\":[");
    for (size_t i = 0; i < s->n; i++) {
        buf_puts(&c->out, i ? "," : "");
        api_put_cert(&c->out, s->seen[i], false);
    }
    buf_puts(&c->out, "]}\n");
    return TM_OK;
}

static tm_err list(struct api_call *c, struct diag *diag)
{
    const char *text = api_query(c, "q");
    if (api_query(c, "query") || api_query(c, "sort"))
        return api_list_where(c, diag);
    if (text && text[0])
        return search(c, text, diag);
    struct store_read q = {.kind = READ_CERTS, .with_der = true}; /* its names are in it */
    TM_TRY(api_limit(&q.limit, c, LIST_DEFAULT, LIST_MAX, diag));
    TM_TRY(look_up(&q, c, diag));
    TM_TRY(list_filter(&q, c, diag));
    const char *after = api_query(c, "after"), *device = api_query(c, "device");
    if (!(c->roles & (API_READERS | ROLE_HOUSE_ADMIN)))
        TM_TRY(api_may_device(c, 0, device, diag));
    if (after && (hex_decode(&q.after, c->arena, slice_str(after)) != TM_OK || q.after.n != CERT_SERIAL_LEN))
        return diag_fail(diag, TM_EINVAL, NULL, "after", "must be what \"next\" of the page before said");
    tm_err e = TM_ENOTFOUND;
    /* Our own serials are the inventory's ids; foreign ones have an index. */
    if (q.kind == READ_CERTS_BY_KEY && q.key.kind == CERT_KEY_FOREIGN_SERIAL &&
        q.key.value.n == CERT_SERIAL_LEN) {
        struct store_read one = {.kind = READ_CERT};
        memcpy(one.id, q.key.value.p, CERT_SERIAL_LEN);
        e = api_read(c, &one, diag);
        if (e == TM_OK) {
            q.certs = one.certs;
            q.n = 1;
        }
    }
    if (e == TM_ENOTFOUND)
        e = api_read(c, &q, diag);
    if (e != TM_OK && e != TM_ENOTFOUND)
        return e;
    TM_TRY(api_class_now(c, q.certs, q.n, diag));
    buf_puts(&c->out, "{\"items\":[");
    for (size_t i = 0, shown = 0; i < q.n; i++) {
        if (!passes(&q.certs[i], &q))
            continue;
        buf_puts(&c->out, shown++ ? "," : "");
        api_put_cert(&c->out, &q.certs[i], false);
    }
    api_put_next(&c->out, &q, true);
    return TM_OK;
}

/* ---- one ---- */

/* The inventory id that a serial in the path means: our own serials are ids, foreign ones have an index. */
static tm_err id_of(uint8_t ret[CERT_SERIAL_LEN], struct api_call *c, const char *text, struct diag *diag)
{
    struct slice octets;
    if (hex_decode(&octets, c->arena, slice_str(text)) != TM_OK || octets.n == 0)
        return diag_fail(diag, TM_EINVAL, NULL, "serial", "a serial stands in hex");
    struct store_read one = {.kind = READ_CERT};
    tm_err e = TM_ENOTFOUND;
    if (octets.n == CERT_SERIAL_LEN) {
        memcpy(one.id, octets.p, CERT_SERIAL_LEN);
        e = api_read(c, &one, diag);
    }
    if (e == TM_OK)
        memcpy(ret, octets.p, CERT_SERIAL_LEN);
    if (e != TM_ENOTFOUND)
        return e;
    struct store_read q = {
        .kind = READ_CERTS_BY_KEY, .key = {.kind = CERT_KEY_FOREIGN_SERIAL, .value = octets}, .limit = 2};
    e = api_read(c, &q, diag);
    if (e == TM_OK && q.n > 1)
        return diag_fail(
            diag, TM_ECONFLICT, NULL, "serial",
            "several CAs gave this serial: take the inventory's id, which GET /certificates?serial= shows");
    if (e == TM_OK && q.n == 1)
        memcpy(ret, q.certs[0].id, CERT_SERIAL_LEN);
    return e == TM_OK && q.n == 0 ? TM_ENOTFOUND : e;
}

static tm_err find(struct cert_row *ret, struct api_call *c, unsigned roles, struct diag *diag)
{
    struct store_read q = {.kind = READ_CERT, .with_der = true};
    tm_err e = id_of(q.id, c, api_param(c, "serial"), diag);
    if (e == TM_OK)
        e = api_read(c, &q, diag);
    if (e == TM_ENOTFOUND)
        return diag_fail(diag, e, NULL, "serial",
                         "there is no certificate with this serial in the inventory");
    TM_TRY(e);
    *ret = q.certs[0];
    return api_may_device(c, roles, ret->device, diag);
}

/* The certificate, then its issuers up to and with the root; the number of them. */
static size_t chain_of(struct slice all[CHAIN_MAX + 2], const struct api_call *c, const struct cert_row *row)
{
    size_t n = 0;
    all[n++] = row->der;
    const struct authority *x =
        row->source == CERT_ISSUED ? catalog_authority(c->catalog, c->tenant->id, row->authority) : NULL;
    if (!x)
        return n;
    if (!slice_eq(x->der, row->der))
        all[n++] = x->der;
    for (size_t i = 0; i < x->n_chain && n < CHAIN_MAX + 2; i++)
        all[n++] = x->chain[i];
    return n;
}

static tm_err get(struct api_call *c, struct diag *diag)
{
    struct cert_row row;
    TM_TRY(find(&row, c, API_READERS, diag));
    bool der = api_accepts(c, "application/pkix-cert");
    bool pem = api_accepts(c, "application/pem-certificate-chain");
    bool cms = api_accepts(c, "application/pkcs7-mime");
    if ((der || pem || cms) && row.der.n == 0)
        return diag_fail(diag, TM_ENOTFOUND, "profile.retention", "serial",
                         "the certificate itself is not kept, by its profile's retention");
    struct slice all[CHAIN_MAX + 2];
    size_t n = row.der.n ? chain_of(all, c, &row) : 0;
    if (der) {
        c->answer_type = "application/pkix-cert";
        buf_put_slice(&c->out, row.der);
    } else if (pem) {
        c->answer_type = "application/pem-certificate-chain";
        for (size_t i = 0; i < n; i++)
            if (n < 3 || i + 1 < n)
                buf_put_pem(&c->out, "CERTIFICATE", all[i]);
    } else if (cms) {
        c->answer_type = "application/pkcs7-mime; smime-type=certs-only";
        TM_TRY(certs_only_build(&c->out, all, n, NULL, 0));
    } else {
        TM_TRY(api_class_now(c, &row, 1, diag));
        put_members(&c->out, &row, true);
        if (api_query(c, "succession"))
            TM_TRY(api_put_succession(c, &row, diag));
        buf_puts(&c->out, "}\n");
    }
    return TM_OK;
}

/* ---- revocation ---- */

struct revoke_doc {
    const char *reason, *comment;
    int64_t invalid_since; /* 0: not said */
};
const struct json_field revoke_schema[] = {
    JSON_FIELD(struct revoke_doc, reason, JSON_K_STRING, .max = 40, .def = "unspecified",
               .doc = "keyCompromise, superseded, cessationOfOperation, … (RFC 5280 5.3.1)"),
    JSON_FIELD(struct revoke_doc, comment, JSON_K_STRING, .max = 1000, .def = "", .doc = "for the register"),
    {.key = "invalid-since",
     .kind = JSON_K_TIME,
     .offset = offsetof(struct revoke_doc, invalid_since),
     .doc =
         "since when it is known or suspected to be bad, which the CRL then says; not in the future (RFC 5280 5.3.2)"},
    {0},
};

static int reason_of(const char *name)
{
    for (int i = 0; i <= CRL_AA_COMPROMISE; i++)
        if (crl_reason_names[i] && strcmp(crl_reason_names[i], name) == 0)
            return i;
    return -1;
}

static tm_err revoke(struct api_call *c, struct diag *diag)
{
    struct revoke_doc d = {.reason = "unspecified", .comment = ""};
    if (c->body.n) {
        json_t *doc = NULL;
        TM_TRY(api_body_json(&doc, c, diag));
        tm_err e = json_bind(&d, revoke_schema, doc, "", c->arena, diag);
        json_decref(doc);
        TM_TRY(e);
    }
    int reason = reason_of(d.reason);
    if (reason < 0)
        return diag_fail(
            diag, TM_EINVAL, "RFC 5280 5.3.1", "/reason",
            "there is no reason \"%s\"; there are unspecified, keyCompromise, cACompromise, affiliationChanged, "
            "superseded, cessationOfOperation, certificateHold, privilegeWithdrawn and aACompromise",
            d.reason);
    struct cert_row row;
    TM_TRY(find(&row, c, ROLE_ADMIN | ROLE_OPERATOR, diag));
    bool staff = c->roles & (ROLE_ADMIN | ROLE_OPERATOR | ROLE_HOUSE_ADMIN);
    const struct profile *p = catalog_profile(c->catalog, c->tenant->id, row.profile);
    if (!staff && (!p || !profile_allows_reason(p, (enum crl_reason)reason)))
        return diag_fail(diag, TM_EFORBIDDEN, "profile.revocation", "/reason",
                         "the profile does not let owners revoke for this reason");
    int64_t at = 0;
    TM_TRY(issue_revoke_since(c->house, c->tenant->id, row.id, reason, d.invalid_since, c->principal,
                              d.comment, &at, diag));
    row.revoked_at = at;
    row.reason = reason;
    row.invalid_since = d.invalid_since;
    api_put_cert(&c->out, &row, false);
    buf_putc(&c->out, '\n');
    return TM_OK;
}

static tm_err release(struct api_call *c, struct diag *diag)
{
    struct cert_row row;
    TM_TRY(find(&row, c, ROLE_ADMIN | ROLE_OPERATOR, diag));
    TM_TRY(issue_unrevoke(c->house, c->tenant->id, row.id, c->principal, diag));
    row.revoked_at = 0;
    api_put_cert(&c->out, &row, false);
    buf_putc(&c->out, '\n');
    return TM_OK;
}

/* ---- what the document says ---- */

static const struct api_field certificate_fields[] = {
    {"serial", "hex", "its id in this inventory; the serial itself where it was issued here",
     API_SERIAL_EXAMPLE},
    {"status", "valid|expired|revoked|on-hold", NULL, "valid"},
    {"source", "issued|imported|discovered", "how it came to be known", "issued"},
    {"issuer_class", "own|vendor|public|self-signed|unknown",
     "whose hand it is from, told by signatures; in exports as it was told when it came in", "own"},
    {"foreign_serial?", "hex", "the serial, where it was not issued here", "1f03"},
    {"subject", "string", "RFC 4514", "CN=server.example.org"},
    {"names?", "[]string", "the first alternative names, where the certificate is kept",
     "[\"DNS:server.example.org\"]"},
    {"authority", "string", "who issued it; of foreign ones the issuer's name", "issuing-ca"},
    {"profile", "string", NULL, "server-internal-1y"},
    {"profile_version", "integer", NULL, "1"},
    {"device", "string", "the device that holds it; empty: none", ""},
    {"endpoint", "string", "the door it came through", "rest"},
    {"key", "string", "algorithm and size of the key; empty: not known", "p256"},
    {"signature", "string", "what it is signed with", "ecdsa-sha256"},
    {"ca", "boolean", "a CA's certificate", "false"},
    {"self_signed", "boolean", NULL, "false"},
    {"issued_at", "time?", NULL, NULL},
    {"not_before", "time?", NULL, NULL},
    {"not_after", "time?", NULL, "2027-11-21T08:00:00Z"},
    {"fingerprint", "hex", "SHA-256 of the certificate",
     "6776edacb246ac2e79bb17b9cbfb709897c4c86117c1510fd997142073a2f85d"},
    {"revoked_at?", "time?", NULL, NULL},
    {"reason?", "string", "RFC 5280 5.3.1", "superseded"},
    {"invalid_since?", "time?", "since when it is known or suspected to be bad, where somebody said so",
     NULL},
    {"certificate?", "pem", "where one is asked for and its profile keeps it", NULL},
    {"replaces?", "[]CertificateBrief",
     "with `succession`: those of the same holder whose place it took; newest first, at most eight", NULL},
    {"replaced_by?", "[]CertificateBrief", "with `succession`: what took its place and holds now", NULL},
    {0},
};
static const struct api_field brief_fields[] = {
    {"serial", "hex", NULL, API_SERIAL_EXAMPLE},
    {"status", "valid|expired|revoked|on-hold", NULL, "valid"},
    {"subject", "string", "RFC 4514", "CN=server.example.org"},
    {"profile", "string", NULL, "server-internal-1y"},
    {"issued_at", "time?", NULL, NULL},
    {"not_after", "time?", NULL, "2027-11-21T08:00:00Z"},
    {0},
};
static const struct api_field certificate_list_fields[] = {
    {"items", "[]Certificate", NULL, NULL},
    {"next?", "string", "what `after` is for the next page", API_SERIAL_EXAMPLE},
    {0},
};
const struct api_schema certificate_api_schemas[] = {
    {"Certificate", "one row of the inventory", certificate_fields, NULL, NULL},
    {"CertificateBrief", "as much of one as tells which it is", brief_fields, NULL, NULL},
    {"CertificateList", NULL, certificate_list_fields, NULL, NULL},
    {"Revocation", "why a certificate is taken back", NULL, revoke_schema,
     "{\"reason\":\"keyCompromise\",\"comment\":\"laptop lost\"}"},
    {0},
};

static const struct api_field list_query[] = {
    {"query", "string", "in the language of docs/inventory.md; newest first. Stands without the others",
     "issuer:issuing-ca expires<30d -status:revoked"},
    {"sort", "newest|oldest|expires", "with `query`", "expires"},
    {"q", "string", "a serial, fingerprint, name, device or subject: whatever fits, newest first",
     "server.example.org"},
    {"subject", "string", "with this subject, RFC 4514", "CN=server.example.org"},
    {"cn", "string", "with this common name", "server.example.org"},
    {"san", "string", "with this subject alternative name", "server.example.org"},
    {"serial", "hex", "with this serial", API_SERIAL_EXAMPLE},
    {"fingerprint", "hex", "SHA-256 of the certificate", NULL},
    {"spki", "hex", "SHA-256 of the subjectPublicKeyInfo", NULL},
    {"device", "string", "of this device", "SN-0001"},
    {"authority", "string", "issued by", "issuing-ca"},
    {"profile", "string", "made under", "server-internal-1y"},
    {"revoked", "true|false|1|0", "only revoked ones, or only others", "true"},
    {"source", "issued|imported|discovered", "how it came to be known", "issued"},
    {"expires_before", "time", "that end before", "2027-01-31T00:00:00Z"},
    {"expires_after", "time", "that end after", "2026-12-01T00:00:00Z"},
    {0},
};
static const struct api_field get_query[] = {
    {"succession", "true|1", "in JSON: say what it replaced and what replaced it as well", "1"},
    {0},
};
static const struct api_content certificate_forms[] = {
    {200, "application/pkix-cert", NULL, "DER"},
    {200, "application/pem-certificate-chain", NULL, "PEM, its issuers behind it"},
    {200, "application/pkcs7-mime", NULL, "certs-only PKCS#7"},
    {0},
};

enum { SELVES = API_READERS | ROLE_OWNER, HANDS = ROLE_ADMIN | ROLE_OPERATOR | ROLE_OWNER };

const struct api_route certificate_api_routes[] = {
    {HTTP_M_GET, "/api/v1/certificates", SELVES, list, 0, "listCertificates",
     "Look certificates up by subject, cn, san, serial, fingerprint, spki or device, or page through them all",
     "certificates", NULL, "CertificateList", API_PAGED, list_query},
    {HTTP_M_GET, "/api/v1/certificates/{serial}", SELVES, get, 0, "getCertificate",
     "One certificate: JSON with PEM, or by Accept as DER, PEM chain or PKCS#7", "certificates", NULL,
     "Certificate", 0, get_query, .gives = certificate_forms},
    {HTTP_M_POST, "/api/v1/certificates/{serial}/revoke", HANDS, revoke, SMALL_BODY, "revokeCertificate",
     "Revoke a certificate; an owner may for what the profile allows", "certificates", "Revocation",
     "Certificate", API_BODY_OPTIONAL},
    {HTTP_M_POST, "/api/v1/certificates/{serial}/release", ROLE_ADMIN | ROLE_OPERATOR, release, SMALL_BODY,
     "releaseCertificate", "Take a certificate off hold", "certificates", NULL, "Certificate"},
    {0},
};
