#include "enroll/acme/rows.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/json_plain.h"
#include "base/text.h"
#include "policy/names.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum { PROBLEM_MAX = 16 << 10, TOKEN_OCTETS = 32, ID_RANDOM = 8 };

const char *const acme_status_names[] = {"pending",     "ready",   "processing", "valid",    "invalid",
                                         "deactivated", "expired", "revoked",    "canceled", NULL};

/* ---- ids ---- */

tm_err acme_id_make(const char **ret, struct arena *a)
{
    uint8_t octets[6 + ID_RANDOM];
    uint64_t now = (uint64_t)clock_now_ms();
    for (int i = 0; i < 6; i++)
        octets[i] = (uint8_t)(now >> (40 - 8 * i));
    TM_TRY(random_bytes(octets + 6, ID_RANDOM));
    *ret = arena_hex(a, SLICE_ARR(octets));
    return *ret ? TM_OK : TM_ENOMEM;
}

tm_err acme_token_make(const char **ret, struct arena *a)
{
    uint8_t octets[TOKEN_OCTETS];
    TM_TRY(random_bytes(octets, sizeof octets));
    struct buf b;
    buf_init(&b, 128);
    buf_put_base64(&b, SLICE_ARR(octets), BASE64_URL, 0);
    *ret = arena_strdup(a, buf_str(&b));
    buf_done(&b);
    return *ret ? TM_OK : TM_ENOMEM;
}

/* ---- state as JSON ---- */

static void put_key(struct buf *b, const char *key)
{
    buf_puts(b, b->n && b->p[b->n - 1] != '{' ? "," : "");
    buf_put_json_string(b, slice_str(key));
    buf_putc(b, ':');
}

/* What is empty is left out. */
static void put_text(struct buf *b, const char *key, const char *value)
{
    if (!value || !value[0])
        return;
    put_key(b, key);
    buf_put_json_string(b, slice_str(value));
}

static void put_octets(struct buf *b, const char *key, struct slice v)
{
    if (!v.n)
        return;
    put_key(b, key);
    buf_putc(b, '"');
    buf_put_base64(b, v, BASE64_STD, 0);
    buf_putc(b, '"');
}

static void put_int(struct buf *b, const char *key, int64_t v)
{
    if (!v)
        return;
    put_key(b, key);
    buf_printf(b, "%lld", (long long)v);
}

static void put_flag(struct buf *b, const char *key, bool v)
{
    if (!v)
        return;
    put_key(b, key);
    buf_puts(b, "true");
}

static void put_texts(struct buf *b, const char *key, const struct json_strings *v)
{
    if (!v->n)
        return;
    put_key(b, key);
    for (size_t i = 0; i < v->n; i++) {
        buf_putc(b, i ? ',' : '[');
        buf_put_json_string(b, slice_str(v->v[i]));
    }
    buf_putc(b, ']');
}

static void put_begin(struct buf *b)
{
    buf_init(b, ACME_STATE_MAX);
    buf_putc(b, '{');
}

static tm_err put_done(struct buf *b, struct object_row *row, struct arena *a)
{
    buf_putc(b, '}');
    tm_err e = buf_err(b);
    if (e == TM_OK)
        e = arena_copy(&row->state, a, buf_slice(b));
    buf_done(b);
    return e;
}

static tm_err read_state(void *out, const struct json_field *schema, struct arena *a,
                         const struct object_row *row)
{
    json_t *doc = NULL;
    struct diag diag = {0};
    if (row->state.n <= ACME_STATE_MAX && json_bind_plain(out, schema, row->state, a))
        return TM_OK;
    if (json_parse(&doc, row->state, ACME_STATE_MAX, &diag) != TM_OK)
        return TM_ECORRUPT;
    tm_err e = json_bind(out, schema, doc, "", a, &diag);
    json_decref(doc);
    return tm_err_class(e) == TM_CLASS_CALLER ? TM_ECORRUPT : e;
}

static tm_err read_octets(struct slice *ret, struct arena *a, const char *text)
{
    tm_err e = base64_decode(ret, a, slice_str(text), BASE64_STD);
    return tm_err_class(e) == TM_CLASS_CALLER ? TM_ECORRUPT : e;
}

/* ---- accounts ---- */

struct account_state {
    const char *spki, *thumbprint, *external, *profile;
    struct json_strings contact, names;
    int64_t terms;
};
static const struct json_field account_schema[] = {
    JSON_FIELD(struct account_state, spki, JSON_K_STRING, .required = true, .max = 16 << 10),
    JSON_FIELD(struct account_state, thumbprint, JSON_K_STRING, .required = true),
    JSON_FIELD(struct account_state, external, JSON_K_STRING, .def = ""),
    JSON_FIELD(struct account_state, profile, JSON_K_STRING, .def = ""),
    JSON_FIELD(struct account_state, contact, JSON_K_STRINGS),
    JSON_FIELD(struct account_state, names, JSON_K_STRINGS),
    JSON_FIELD(struct account_state, terms, JSON_K_INT),
    {0},
};

tm_err acme_account_read(struct acme_account *ret, struct arena *a, const struct object_row *row)
{
    struct account_state s = {0};
    TM_TRY(read_state(&s, account_schema, a, row));
    *ret = (struct acme_account){.row = *row,
                                 .id = row->id,
                                 .thumbprint = s.thumbprint,
                                 .contact = s.contact,
                                 .terms_at = s.terms,
                                 .external = s.external,
                                 .names = s.names,
                                 .profile = s.profile};
    return read_octets(&ret->spki, a, s.spki);
}

tm_err acme_account_write(struct acme_account *x, struct arena *a)
{
    struct buf b;
    put_begin(&b);
    put_octets(&b, "spki", x->spki);
    put_text(&b, "thumbprint", x->thumbprint);
    put_text(&b, "external", x->external);
    put_text(&b, "profile", x->profile);
    put_texts(&b, "contact", &x->contact);
    put_texts(&b, "names", &x->names);
    put_int(&b, "terms", x->terms_at);
    x->row.id = x->id;
    x->row.kind = OBJECT_ACME_ACCOUNT;
    x->row.owner = "";
    return put_done(&b, &x->row, a);
}

/* ---- orders ---- */

struct order_state {
    const char *profile, *replaces, *error, *pending, *account_url, *csr, *cert;
    struct json_strings names, authz, grounds;
    int64_t expires, not_before, not_after, cert_not_before, cert_not_after;
    struct acme_star star;
};
#define STAR(member) JSON_FIELD(struct acme_star, member, JSON_K_INT)
static const struct json_field star_schema[] = {
    STAR(start), STAR(end),  STAR(lifetime), STAR(adjust),
    STAR(first), STAR(next), STAR(failures), JSON_FIELD(struct acme_star, get, JSON_K_BOOL),
    {0},
};
static const struct json_field order_schema[] = {
    JSON_FIELD(struct order_state, profile, JSON_K_STRING, .required = true),
    JSON_FIELD(struct order_state, replaces, JSON_K_STRING, .def = ""),
    JSON_FIELD(struct order_state, error, JSON_K_STRING, .def = "", .max = PROBLEM_MAX),
    JSON_FIELD(struct order_state, pending, JSON_K_STRING, .def = ""),
    JSON_FIELD(struct order_state, account_url, JSON_K_STRING, .def = ""),
    JSON_FIELD(struct order_state, csr, JSON_K_STRING, .def = "", .max = ACME_STATE_MAX),
    JSON_FIELD(struct order_state, cert_not_before, JSON_K_INT),
    JSON_FIELD(struct order_state, cert_not_after, JSON_K_INT),
    JSON_FIELD(struct order_state, star, JSON_K_OBJECT, .sub = star_schema),
    JSON_FIELD(struct order_state, cert, JSON_K_STRING, .def = "", .max = ACME_STATE_MAX),
    JSON_FIELD(struct order_state, names, JSON_K_STRINGS, .required = true),
    JSON_FIELD(struct order_state, authz, JSON_K_STRINGS, .required = true),
    JSON_FIELD(struct order_state, grounds, JSON_K_STRINGS),
    JSON_FIELD(struct order_state, expires, JSON_K_INT),
    JSON_FIELD(struct order_state, not_before, JSON_K_INT),
    JSON_FIELD(struct order_state, not_after, JSON_K_INT),
    {0},
};

tm_err acme_order_read(struct acme_order *ret, struct arena *a, const struct object_row *row)
{
    struct order_state s = {0};
    TM_TRY(read_state(&s, order_schema, a, row));
    *ret = (struct acme_order){.row = *row,
                               .id = row->id,
                               .profile = s.profile,
                               .names = s.names,
                               .authz = s.authz,
                               .grounds = s.grounds,
                               .expires = s.expires,
                               .not_before = s.not_before,
                               .not_after = s.not_after,
                               .replaces = s.replaces,
                               .error = s.error,
                               .serial = row->ref,
                               .pending = s.pending,
                               .account_url = s.account_url,
                               .star = s.star,
                               .cert_not_before = s.cert_not_before,
                               .cert_not_after = s.cert_not_after};
    TM_TRY(read_octets(&ret->csr, a, s.csr));
    return read_octets(&ret->cert, a, s.cert);
}

static void put_star(struct buf *b, const struct acme_order *x)
{
    put_octets(b, "csr", x->csr);
    put_int(b, "cert_not_before", x->cert_not_before);
    put_int(b, "cert_not_after", x->cert_not_after);
    put_key(b, "star");
    buf_putc(b, '{');
    put_int(b, "start", x->star.start);
    put_int(b, "end", x->star.end);
    put_int(b, "lifetime", x->star.lifetime);
    put_int(b, "adjust", x->star.adjust);
    put_int(b, "first", x->star.first);
    put_int(b, "next", x->star.next);
    put_int(b, "failures", x->star.failures);
    put_flag(b, "get", x->star.get);
    buf_putc(b, '}');
}

tm_err acme_order_write(struct acme_order *x, struct arena *a)
{
    struct buf b;
    put_begin(&b);
    put_text(&b, "profile", x->profile);
    put_text(&b, "replaces", x->replaces);
    put_text(&b, "error", x->error);
    put_text(&b, "pending", x->pending);
    put_text(&b, "account_url", x->account_url);
    put_octets(&b, "cert", x->cert);
    if (x->star.end)
        put_star(&b, x);
    put_texts(&b, "names", &x->names);
    put_texts(&b, "authz", &x->authz);
    if (x->grounds.n)
        put_texts(&b, "grounds", &x->grounds);
    put_int(&b, "expires", x->expires);
    put_int(&b, "not_before", x->not_before);
    put_int(&b, "not_after", x->not_after);
    x->row.id = x->id;
    x->row.kind = OBJECT_ACME_ORDER;
    x->row.ref = x->serial ? x->serial : "";
    /* RFC 9773 5: an order that failed has replaced nothing. */
    x->row.key = x->replaces && x->row.status != ACME_INVALID ? x->replaces : "";
    return put_done(&b, &x->row, a);
}

/* ---- authorizations ---- */

static const struct json_field challenge_schema[] = {
    JSON_FIELD(struct acme_challenge_state, type, JSON_K_ENUM, .required = true,
               .names = acme_challenge_names),
    JSON_FIELD(struct acme_challenge_state, status, JSON_K_ENUM, .required = true,
               .names = acme_status_names),
    JSON_FIELD(struct acme_challenge_state, token, JSON_K_STRING, .def = ""),
    JSON_FIELD(struct acme_challenge_state, validated, JSON_K_INT),
    JSON_FIELD(struct acme_challenge_state, error, JSON_K_STRING, .def = "", .max = PROBLEM_MAX),
    {0},
};
struct authz_state {
    const char *name, *granted, *account_url, *endpoint, *thumbprint;
    int64_t expires, attempts;
    bool subdomains;
    struct json_objects challenges;
};
static const struct json_field authz_schema[] = {
    JSON_FIELD(struct authz_state, name, JSON_K_STRING, .required = true),
    JSON_FIELD(struct authz_state, granted, JSON_K_STRING, .def = ""),
    JSON_FIELD(struct authz_state, account_url, JSON_K_STRING, .def = ""),
    JSON_FIELD(struct authz_state, endpoint, JSON_K_STRING, .def = ""),
    JSON_FIELD(struct authz_state, thumbprint, JSON_K_STRING, .def = ""),
    JSON_FIELD(struct authz_state, expires, JSON_K_INT),
    JSON_FIELD(struct authz_state, attempts, JSON_K_INT),
    JSON_FIELD(struct authz_state, subdomains, JSON_K_BOOL),
    JSON_FIELD(struct authz_state, challenges, JSON_K_OBJECTS, .sub = challenge_schema,
               .size = sizeof(struct acme_challenge_state)),
    {0},
};

tm_err acme_authz_read(struct acme_authz *ret, struct arena *a, const struct object_row *row)
{
    struct authz_state s = {0};
    TM_TRY(read_state(&s, authz_schema, a, row));
    *ret = (struct acme_authz){.row = *row,
                               .id = row->id,
                               .expires = s.expires,
                               .granted = s.granted,
                               .attempts = s.attempts,
                               .subdomains = s.subdomains,
                               .account_url = s.account_url,
                               .endpoint = s.endpoint,
                               .thumbprint = s.thumbprint,
                               .challenges = s.challenges};
    return acme_identifier_from_text(&ret->identifier, &ret->wildcard, a, s.name);
}

static void put_challenge(struct buf *b, const struct acme_challenge_state *c)
{
    buf_putc(b, '{');
    put_text(b, "type", acme_challenge_names[c->type]);
    put_text(b, "status", acme_status_names[c->status]);
    put_text(b, "token", c->token);
    put_int(b, "validated", c->validated);
    put_text(b, "error", c->error);
    buf_putc(b, '}');
}

tm_err acme_authz_write(struct acme_authz *x, struct arena *a)
{
    const struct acme_challenge_state *c = x->challenges.v;
    struct buf b;
    put_begin(&b);
    put_text(&b, "name", acme_identifier_text(a, &x->identifier, x->wildcard));
    put_text(&b, "granted", x->granted);
    put_text(&b, "account_url", x->account_url);
    put_text(&b, "endpoint", x->endpoint);
    put_text(&b, "thumbprint", x->thumbprint);
    put_int(&b, "expires", x->expires);
    put_int(&b, "attempts", x->attempts);
    put_flag(&b, "subdomains", x->subdomains);
    if (x->challenges.n)
        put_key(&b, "challenges");
    for (size_t i = 0; i < x->challenges.n; i++) {
        buf_putc(&b, i ? ',' : '[');
        put_challenge(&b, &c[i]);
    }
    if (x->challenges.n)
        buf_putc(&b, ']');
    x->row.id = x->id;
    x->row.kind = OBJECT_ACME_AUTHZ;
    x->row.ref = "";
    x->row.key = acme_authz_key(a, x->row.owner, &x->identifier, x->wildcard, x->subdomains);
    return x->row.key ? put_done(&b, &x->row, a) : (buf_done(&b), TM_ENOMEM);
}

const char *acme_authz_key(struct arena *a, const char *account, const struct acme_identifier *id,
                           bool wildcard, bool subdomains)
{
    const char *text = acme_identifier_text(a, id, wildcard);
    return text ? arena_printf(a, "%s/%s%s", account, text, subdomains ? "/below" : "") : NULL;
}

/* ---- identifiers ---- */

const char *acme_identifier_text(struct arena *a, const struct acme_identifier *id, bool wildcard)
{
    return arena_printf(a, "%s:%s%s", id->ip ? "IP" : "DNS", wildcard ? "*." : "", id->value);
}

static tm_err parse_ip(struct acme_identifier *ret, struct arena *a, const char *value, struct diag *diag)
{
    uint8_t octets[16];
    char text[INET6_ADDRSTRLEN];
    int family = strchr(value, ':') ? AF_INET6 : AF_INET;
    if (inet_pton(family, value, octets) != 1 || !inet_ntop(family, octets, text, sizeof text))
        return diag_fail(diag, TM_EINVAL, "RFC 8738 3", "identifier", "is not an IP address");
    /* RFC 8738 3: one text for each address (RFC 5952) */
    if (strcasecmp(text, value) != 0)
        return diag_fail(diag, TM_EINVAL, "RFC 5952 4", "identifier", "is not in canonical form (%s)", text);
    *ret = (struct acme_identifier){.ip = true, .value = arena_strdup(a, text)};
    return ret->value ? TM_OK : TM_ENOMEM;
}

tm_err acme_identifier_parse(struct acme_identifier *ret, bool *ret_wildcard, struct arena *a,
                             const char *type, const char *value, struct diag *diag)
{
    *ret_wildcard = false;
    if (strcmp(type, "ip") == 0)
        return parse_ip(ret, a, value, diag);
    if (strcmp(type, "dns") != 0)
        return diag_fail(diag, TM_EUNSUPPORTED, "RFC 8555 7.1.3", "identifier",
                         "identifiers of type \"dns\" and \"ip\" are known");
    const char *why = dns_name_check(slice_str(value), true);
    if (why)
        return diag_fail(diag, TM_EINVAL, "RFC 8555 7.1.3", "identifier", "%s", why);
    bool wildcard = strncmp(value, "*.", 2) == 0;
    char *text = arena_strdup(a, value + (wildcard ? 2 : 0));
    if (!text)
        return TM_ENOMEM;
    for (char *c = text; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c + 32);
    *ret = (struct acme_identifier){.value = text};
    *ret_wildcard = wildcard;
    return TM_OK;
}

tm_err acme_identifier_from_text(struct acme_identifier *ret, bool *ret_wildcard, struct arena *a,
                                 const char *text)
{
    struct diag diag;
    bool dns = strncmp(text, "DNS:", 4) == 0;
    if (!dns && strncmp(text, "IP:", 3) != 0)
        return TM_ECORRUPT;
    tm_err e = acme_identifier_parse(ret, ret_wildcard, a, dns ? "dns" : "ip", text + (dns ? 4 : 3), &diag);
    return tm_err_class(e) == TM_CLASS_CALLER ? TM_ECORRUPT : e;
}
