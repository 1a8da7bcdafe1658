/* Enrollment tokens and API tokens: "<id>" is public, the secret is shown once; the store keeps its hash, or where it is needed again, sealed. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/text.h"
#include "issue/house.h"
#include "issue/issue.h"
#include "issue/secrets.h"
#include "register/register.h"
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

enum { SECRET_OCTETS = 24, ID_OCTETS = 9, NAMES_MAX = 100, TTL_MAX = 400 * 86400 };

/* Secrets have 192 random bits, so that a plain hash is enough: there is nothing to guess. The tag keeps hashes of other things apart. */
static tm_err secret_hash(uint8_t ret[SHA256_LEN], struct slice secret)
{
    const struct slice parts[] = {SLICE_LIT("touchmark-token-v1\0"), secret};
    return sha256_many(ret, parts, 2);
}

static void put_string(struct buf *b, const char *key, const char *value)
{
    buf_puts(b, b->n > 1 ? "," : "");
    buf_put_json_string(b, slice_str(key));
    buf_putc(b, ':');
    buf_put_json_string(b, slice_str(value ? value : ""));
}

static tm_err claims_make(const char **ret, struct arena *a, const struct token_spec *s)
{
    struct buf b;
    buf_init(&b, 64 << 10);
    buf_putc(&b, '{');
    if (s->principal) {
        put_string(&b, "type", "api");
        put_string(&b, "principal", s->principal);
        put_string(&b, "roles", s->roles);
        if (s->scopes && s->scopes[0])
            put_string(&b, "scopes", s->scopes);
        if (s->only_tenant && s->only_tenant[0])
            put_string(&b, "tenant", s->only_tenant);
        if (s->vouched) {
            put_string(&b, "provider", s->vouched->provider);
            put_string(&b, "issuer", s->vouched->issuer);
            put_string(&b, "owner_of", s->vouched->owner_of);
            buf_printf(&b, ",\"all_tenants\":%s", s->vouched->all_tenants ? "true" : "false");
        }
    } else {
        put_string(&b, "type", s->external ? "external" : s->mac ? "mac" : "enrollment");
        put_string(&b, "endpoint", s->endpoint);
        put_string(&b, "profile", s->profile);
        put_string(&b, "device", s->device);
        buf_puts(&b, ",\"names\":[");
        for (size_t i = 0; i < s->n_names; i++) {
            buf_puts(&b, i ? "," : "");
            buf_put_json_string(&b, slice_str(s->names[i]));
        }
        buf_putc(&b, ']');
    }
    buf_putc(&b, '}');
    tm_err e = buf_err(&b);
    if (e == TM_OK) {
        *ret = arena_strdup(a, buf_str(&b));
        e = *ret ? TM_OK : TM_ENOMEM;
    }
    buf_done(&b);
    return e;
}

static tm_err text_of(char **ret, struct arena *a, struct slice octets)
{
    struct buf b;
    buf_init(&b, 256);
    buf_put_base64(&b, octets, BASE64_URL, 0);
    *ret = arena_strdup(a, buf_str(&b));
    if (b.p)
        explicit_bzero(b.p, b.n);
    buf_done(&b);
    return *ret ? TM_OK : TM_ENOMEM;
}

static tm_err random_text(char **ret, struct arena *a, size_t octets)
{
    uint8_t raw[SECRET_OCTETS];
    TM_TRY(random_bytes(raw, octets));
    tm_err e = text_of(ret, a, slice_of(raw, octets));
    explicit_bzero(raw, sizeof raw);
    return e;
}

/* One that makes MACs is needed as it is: the signer seals it. */
static tm_err make_shared(struct token_row *t, char **ret, struct arena *a, struct house *h, tenant_id tenant,
                          struct diag *diag)
{
    uint8_t secret[SHARED_SECRET_LEN];
    TM_TRY(random_bytes(secret, sizeof secret));
    tm_err e = secrets_seal(&t->sealed, a, h, tenant, t->id, secret, diag);
    if (e == TM_OK)
        e = text_of(ret, a, SLICE_ARR(secret));
    OPENSSL_cleanse(secret, sizeof secret);
    return e;
}

/* One that is presented is kept as its hash. */
static tm_err make_secret(struct token_row *t, char **ret, struct arena *a)
{
    TM_TRY(random_text(ret, a, SECRET_OCTETS));
    return secret_hash(t->secret_hash, slice_str(*ret));
}

static tm_err check_spec(const struct token_spec *s, struct diag *diag)
{
    if (s->ttl < 1 || (!s->principal && s->ttl > TTL_MAX))
        return diag_fail(diag, TM_EINVAL, NULL, "/ttl", "an enrollment token lives between 1s and 400d");
    if (s->max_uses < 0)
        return diag_fail(diag, TM_EINVAL, NULL, "/uses", "must not be negative");
    if (s->n_names > NAMES_MAX)
        return diag_fail(diag, TM_ETOOBIG, NULL, "/names", "at most %d names", NAMES_MAX);
    return TM_OK;
}

/* The row, and the secret that is given out. */
static tm_err make_row(struct token_row *t, char **ret_secret, struct arena *a, struct house *h,
                       tenant_id tenant, const struct token_spec *s, struct diag *diag)
{
    char *id;
    do /* a command takes what begins with "-" for an option */
        TM_TRY(random_text(&id, a, ID_OCTETS));
    while (id[0] == '-');
    int64_t now = clock_now();
    t->id = id;
    t->expires_at = s->ttl >= TM_TIME_NEVER - now ? TM_TIME_NEVER : now + s->ttl;
    t->max_uses = s->principal ? INT64_MAX : s->max_uses ? s->max_uses : 1;
    t->created_by = s->by ? s->by : "";
    t->created_at = now;
    TM_TRY(s->external || s->mac ? make_shared(t, ret_secret, a, h, tenant, diag)
                                 : make_secret(t, ret_secret, a));
    return claims_make(&t->claims, a, s);
}

tm_err token_create(char **ret_id, char **ret_secret, struct arena *a, struct house *h, tenant_id tenant,
                    const struct token_spec *s, struct diag *diag)
{
    TM_TRY(check_spec(s, diag));
    char *secret;
    struct effect effects[2] = {{.kind = EFFECT_TOKEN_ADD, .tenant = tenant}};
    struct token_row *t = &effects[0].u.token.row;
    TM_TRY(make_row(t, &secret, a, h, tenant, s, diag));
    struct event_field fields[] = {
        {.key = "by", .kind = EVENT_STR, .s = slice_str(t->created_by)},
        {.key = "claims", .kind = EVENT_RAW, .s = slice_str(t->claims)},
        {.key = "expires_at", .kind = EVENT_INT, .i = t->expires_at},
        {.key = "id", .kind = EVENT_STR, .s = slice_str(t->id)},
        {.key = "uses", .kind = EVENT_INT, .i = s->principal ? 0 : t->max_uses},
        {0},
    };
    struct slice body;
    TM_TRY(register_event_body(&body, a, fields));
    char *about = arena_printf(a, "token/%s", t->id);
    char *id = arena_strdup(a, t->id);
    if (!about || !id)
        return TM_ENOMEM;
    TM_TRY(register_event_effect(&effects[1], a, tenant, "token.created", about, body, clock_now_ms()));
    TM_TRY(house_commit(h, effects, 2, diag));
    *ret_id = id;
    *ret_secret = secret;
    return TM_OK;
}

/* ---- many at once ---- */

tm_err token_numbered(const char **ret, struct arena *a, const char *text, int64_t number)
{
    const char *at = text ? strstr(text, "{n}") : NULL;
    *ret = at ? arena_printf(a, "%.*s%lld%s", (int)(at - text), text, (long long)number, at + 3) : text;
    return *ret || !text ? TM_OK : TM_ENOMEM;
}

static tm_err make_numbered(struct token_row *row, struct token_made *made, struct arena *a, struct house *h,
                            tenant_id tenant, const struct token_spec *pattern, int64_t number,
                            struct diag *diag)
{
    struct token_spec s = *pattern;
    const char **names = arena_calloc(a, s.n_names + 1, sizeof *names);
    if (!names)
        return TM_ENOMEM;
    TM_TRY(token_numbered(&s.device, a, pattern->device, number));
    for (size_t i = 0; i < s.n_names; i++)
        TM_TRY(token_numbered(&names[i], a, pattern->names[i], number));
    s.names = names;
    TM_TRY(make_row(row, &made->secret, a, h, tenant, &s, diag));
    made->device = s.device ? s.device : "";
    made->names = names;
    made->id = arena_strdup(a, row->id);
    return made->id ? TM_OK : TM_ENOMEM;
}

/* One event for all: who holds the list can show that it is the one that was made. */
static tm_err batch_event(struct effect *ret, struct arena *a, tenant_id tenant, const struct token_spec *s,
                          const struct token_row *row, struct slice ids, size_t n, int64_t first)
{
    uint8_t hash[SHA256_LEN], mark[ID_OCTETS];
    const char *claims;
    TM_TRY(sha256(hash, ids));
    TM_TRY(random_bytes(mark, sizeof mark));
    TM_TRY(claims_make(&claims, a, s));
    struct event_field fields[] = {
        {.key = "by", .kind = EVENT_STR, .s = slice_str(row->created_by)},
        {.key = "claims", .kind = EVENT_RAW, .s = slice_str(claims)},
        {.key = "count", .kind = EVENT_INT, .i = (int64_t)n},
        {.key = "expires_at", .kind = EVENT_INT, .i = row->expires_at},
        {.key = "first", .kind = EVENT_INT, .i = first},
        {.key = "ids_sha256", .kind = EVENT_HEX, .s = SLICE_ARR(hash)},
        {.key = "uses", .kind = EVENT_INT, .i = row->max_uses},
        {0},
    };
    struct slice body;
    TM_TRY(register_event_body(&body, a, fields));
    char *hex = arena_hex(a, SLICE_ARR(mark));
    char *about = hex ? arena_printf(a, "token-batch/%s", hex) : NULL;
    return about ? register_event_effect(ret, a, tenant, "token.batch-created", about, body, clock_now_ms())
                 : TM_ENOMEM;
}

tm_err token_create_batch(struct token_made *ret, size_t n, int64_t first, struct arena *a, struct house *h,
                          tenant_id tenant, const struct token_spec *s, struct diag *diag)
{
    TM_TRY(check_spec(s, diag));
    if (n < 1 || n > TOKEN_BATCH_MAX || s->principal)
        return diag_fail(diag, TM_EINVAL, NULL, "/count", "from 1 to %d tokens for enrollment at once",
                         TOKEN_BATCH_MAX);
    struct effect *effects = arena_calloc(a, n + 1, sizeof *effects);
    struct buf ids;
    buf_init(&ids, TOKEN_BATCH_MAX * 64);
    tm_err e = effects ? TM_OK : TM_ENOMEM;
    for (size_t i = 0; i < n && e == TM_OK; i++) {
        effects[i] = (struct effect){.kind = EFFECT_TOKEN_ADD, .tenant = tenant};
        e = make_numbered(&effects[i].u.token.row, &ret[i], a, h, tenant, s, first + (int64_t)i, diag);
        buf_printf(&ids, "%s\n", e == TM_OK ? ret[i].id : "");
    }
    if (e == TM_OK)
        e = buf_err(&ids);
    if (e == TM_OK)
        e = batch_event(&effects[n], a, tenant, s, &effects[0].u.token.row, buf_slice(&ids), n, first);
    buf_done(&ids);
    if (e == TM_OK)
        e = house_commit(h, effects, n + 1, diag);
    return e;
}

/* The row of a token whose secret fits. Unknown id and wrong secret are one error. */
static tm_err token_check(struct token_row *ret, struct arena *a, struct house *h, tenant_id tenant,
                          const char *id, struct slice secret, struct diag *diag)
{
    struct store_read q = {.kind = READ_TOKEN, .tenant = tenant, .arena = a, .name = id};
    tm_err e = store_read_now(h->store, &q);
    if (e != TM_OK && e != TM_ENOTFOUND) {
        *diag = q.diag;
        return e;
    }
    uint8_t hash[SHA256_LEN];
    TM_TRY(secret_hash(hash, secret));
    if (e == TM_ENOTFOUND || !slice_ct_eq(SLICE_ARR(hash), SLICE_ARR(q.tokens[0].secret_hash)) ||
        q.tokens[0].revoked)
        return diag_fail(diag, TM_EAUTH, "token.secret", NULL, "the token is not known here, or revoked");
    if (q.tokens[0].expires_at < clock_now())
        return diag_fail(diag, TM_EEXPIRED, "token.expired", NULL, "the token has expired");
    *ret = q.tokens[0];
    return TM_OK;
}

static tm_err read_claims(struct caller *ret, char **ret_profile, struct arena *a, const struct token_row *t,
                          const char *wanted, const char *endpoint, json_t *doc, struct diag *diag)
{
    const char *type = json_string_value(json_object_get(doc, "type"));
    if (!type || strcmp(type, wanted) != 0)
        return diag_fail(diag, TM_EAUTH, "token.type", NULL, "this is a token of another kind than \"%s\"",
                         wanted);
    const char *for_endpoint = json_string_value(json_object_get(doc, "endpoint"));
    if (for_endpoint && for_endpoint[0] && strcmp(for_endpoint, endpoint) != 0)
        return diag_fail(diag, TM_EAUTH, "token.endpoint", NULL, "the token is for another endpoint");
    const char *profile = json_string_value(json_object_get(doc, "profile"));
    const char *device = json_string_value(json_object_get(doc, "device"));
    TM_TRY(json_texts(&ret->names, &ret->n_names, a, json_object_get(doc, "names")));
    ret->kind = CALLER_TOKEN;
    ret->id = t->id;
    ret->device_id = arena_strdup(a, device ? device : "");
    *ret_profile = arena_strdup(a, profile ? profile : "");
    return ret->device_id && *ret_profile ? TM_OK : TM_ENOMEM;
}

tm_err token_authenticate(struct caller *ret, char **ret_profile, struct arena *a, struct house *h,
                          tenant_id tenant, const char *endpoint, const char *id, struct slice secret,
                          struct diag *diag)
{
    struct token_row t;
    TM_TRY(token_check(&t, a, h, tenant, id, secret, diag));
    json_t *doc = NULL;
    TM_TRY(json_parse(&doc, slice_str(t.claims), 64 << 10, diag));
    tm_err e = read_claims(ret, ret_profile, a, &t, "enrollment", endpoint, doc, diag);
    json_decref(doc);
    return e;
}

/* The token whose secret the house has to know itself: not presented, but used. */
static tm_err shared_secret(struct token_row *ret, struct caller *caller, char **ret_profile, struct arena *a,
                            struct house *h, tenant_id tenant, const char *type, const char *endpoint,
                            const char *id, struct diag *diag)
{
    struct store_read q = {.kind = READ_TOKEN, .tenant = tenant, .arena = a, .name = id};
    tm_err e = store_read_now(h->store, &q);
    if (e == TM_ENOTFOUND || (e == TM_OK && q.tokens[0].revoked))
        return diag_fail(diag, TM_EAUTH, "token.secret", NULL, "the key is not known here, or revoked");
    if (e != TM_OK) {
        *diag = q.diag;
        return e;
    }
    if (q.tokens[0].expires_at < clock_now())
        return diag_fail(diag, TM_EEXPIRED, "token.expired", NULL, "the key has expired");
    json_t *doc = NULL;
    TM_TRY(json_parse(&doc, slice_str(q.tokens[0].claims), 64 << 10, diag));
    e = read_claims(caller, ret_profile, a, &q.tokens[0], type, endpoint, doc, diag);
    json_decref(doc);
    *ret = q.tokens[0];
    return e;
}

tm_err token_external(struct caller *ret, char **ret_profile, uint8_t ret_key[32], struct arena *a,
                      struct house *h, tenant_id tenant, const char *endpoint, const char *id,
                      struct diag *diag)
{
    struct token_row t;
    TM_TRY(shared_secret(&t, ret, ret_profile, a, h, tenant, "external", endpoint, id, diag));
    return secrets_open(ret_key, a, h, tenant, id, t.sealed, diag);
}

tm_err token_mac(struct caller *ret, char **ret_profile, char **ret_secret, struct arena *a, struct house *h,
                 tenant_id tenant, const char *endpoint, const char *id, struct diag *diag)
{
    struct token_row t;
    TM_TRY(shared_secret(&t, ret, ret_profile, a, h, tenant, "mac", endpoint, id, diag));
    uint8_t secret[SHARED_SECRET_LEN];
    TM_TRY(secrets_open(secret, a, h, tenant, id, t.sealed, diag));
    tm_err e = text_of(ret_secret, a, SLICE_ARR(secret));
    OPENSSL_cleanse(secret, sizeof secret);
    return e;
}

static tm_err grant_member(const char **ret, struct arena *a, const json_t *doc, const char *name)
{
    const char *text = json_string_value(json_object_get(doc, name));
    *ret = arena_strdup(a, text ? text : "");
    return *ret ? TM_OK : TM_ENOMEM;
}

tm_err token_principal(struct token_grant *ret, struct arena *a, struct house *h, tenant_id tenant,
                       const char *id, struct slice secret, struct diag *diag)
{
    struct token_row t;
    TM_TRY(token_check(&t, a, h, tenant, id, secret, diag));
    json_t *doc = NULL;
    TM_TRY(json_parse(&doc, slice_str(t.claims), 64 << 10, diag));
    const char *type = json_string_value(json_object_get(doc, "type"));
    struct token_grant g = {0};
    tm_err e = type && strcmp(type, "api") == 0 && json_is_string(json_object_get(doc, "principal"))
                   ? TM_OK
                   : diag_fail(diag, TM_EAUTH, "token.type", NULL, "this is not an API token");
    if (e == TM_OK)
        e = grant_member(&g.principal, a, doc, "principal");
    if (e == TM_OK)
        e = grant_member(&g.roles, a, doc, "roles");
    if (e == TM_OK)
        e = grant_member(&g.scopes, a, doc, "scopes");
    if (e == TM_OK)
        e = grant_member(&g.only_tenant, a, doc, "tenant");
    if (e == TM_OK)
        e = grant_member(&g.vouched.provider, a, doc, "provider");
    if (e == TM_OK)
        e = grant_member(&g.vouched.issuer, a, doc, "issuer");
    if (e == TM_OK)
        e = grant_member(&g.vouched.owner_of, a, doc, "owner_of");
    g.vouched.all_tenants = json_is_true(json_object_get(doc, "all_tenants"));
    if (e == TM_OK)
        *ret = g;
    json_decref(doc);
    return e;
}

tm_err token_revoke(struct house *h, tenant_id tenant, const char *id, const char *by, struct diag *diag)
{
    struct arena *a = arena_new(0);
    if (!a)
        return TM_ENOMEM;
    struct effect effects[2] = {{.kind = EFFECT_TOKEN_REVOKE, .tenant = tenant}};
    effects[0].u.token.row.id = id;
    effects[0].u.token.now = clock_now();
    struct event_field fields[] = {
        {.key = "by", .kind = EVENT_STR, .s = slice_str(by ? by : "")},
        {.key = "id", .kind = EVENT_STR, .s = slice_str(id)},
        {0},
    };
    struct slice body;
    char *about = arena_printf(a, "token/%s", id);
    tm_err e = about ? register_event_body(&body, a, fields) : TM_ENOMEM;
    if (e == TM_OK)
        e = register_event_effect(&effects[1], a, tenant, "token.revoked", about, body, clock_now_ms());
    if (e == TM_OK)
        e = house_commit(h, effects, 2, diag);
    arena_free(a);
    return e;
}
