#include "identity/user.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "identity/password.h"
#include "identity/rows.h"
#include "identity/session.h"
#include "identity/totp.h"
#include "issue/house.h"
#include "issue/issue.h"
#include "issue/secrets.h"
#include "register/register.h"
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

enum {
    HANDLE_OCTETS = 16,
    RECOVERY_OCTETS = 10,
    RECOVERY_GROUP = 4,
    PAGE = 500,
    CLAIMS_MAX = 64 << 10,
    TOKEN_ID_TEXT = 256
};

static const struct json_field user_schema[] = {
    JSON_FIELD(struct user, password, JSON_K_STRING, .def = ""),
    JSON_FIELD(struct user, totp, JSON_K_STRING, .def = ""),
    JSON_FIELD(struct user, totp_step, JSON_K_INT),
    JSON_FIELD(struct user, recovery, JSON_K_STRINGS, .max = USER_RECOVERY_CODES),
    JSON_FIELD(struct user, places, JSON_K_STRINGS, .max = USER_PLACES),
    JSON_FIELD(struct user, signed_in_at, JSON_K_INT),
    {0},
};

static void adopt(struct user *u, const struct object_row *row)
{
    u->tenant = row->tenant;
    u->name = row->id;
    u->handle = row->key;
    u->created_at = row->created_at;
    u->version = row->version;
}

tm_err user_read(struct user *ret, struct arena *a, struct house *h, tenant_id tenant, const char *name,
                 struct diag *diag)
{
    struct object_row row;
    struct user u = {0};
    tm_err e = row_read(&row, &u, user_schema, a, h, tenant, OBJECT_USER, name, diag);
    if (e == TM_ENOTFOUND) {
        *ret = (struct user){.tenant = tenant, .name = name, .handle = "", .password = "", .totp = ""};
        return TM_OK;
    }
    TM_TRY(e);
    adopt(&u, &row);
    u.tenant = tenant;
    *ret = u;
    return TM_OK;
}

tm_err user_by_handle(struct user *ret, struct arena *a, struct house *h, tenant_id tenant,
                      struct slice handle, struct diag *diag)
{
    struct user u = {0};
    const char *key = arena_hex(a, handle);
    struct store_read q = {
        .kind = READ_OBJECT, .tenant = tenant, .arena = a, .object_kind = OBJECT_USER, .name2 = key};
    if (!key)
        return TM_ENOMEM;
    if (handle.n != HANDLE_OCTETS)
        return TM_ENOTFOUND;
    tm_err e = store_read_now(h->store, &q);
    if (e != TM_OK) {
        *diag = q.diag;
        return e;
    }
    TM_TRY(row_bind(&u, user_schema, a, &q.objects[0], diag));
    adopt(&u, &q.objects[0]);
    u.tenant = tenant;
    *ret = u;
    return TM_OK;
}

static json_t *user_state(const struct user *u)
{
    json_t *o = json_pack("{s:I,s:I}", "totp_step", (json_int_t)u->totp_step, "signed_in_at",
                          (json_int_t)u->signed_in_at);
    json_t *codes = json_array(), *places = json_array();
    for (size_t i = 0; i < u->places.n; i++)
        json_array_append_new(places, json_string(u->places.v[i]));
    json_object_set_new(o, "places", places);
    for (size_t i = 0; i < u->recovery.n; i++)
        json_array_append_new(codes, json_string(u->recovery.v[i]));
    if (u->password[0])
        json_object_set_new(o, "password", json_string(u->password));
    if (u->totp[0])
        json_object_set_new(o, "totp", json_string(u->totp));
    json_object_set_new(o, "recovery", codes);
    return o;
}

tm_err user_effect(struct effect *ret, struct arena *a, const struct user *u)
{
    struct object_row row = {
        .tenant = u->tenant,
        .kind = OBJECT_USER,
        .id = u->name,
        .owner = "",
        .key = u->handle,
        .ref = "",
        .status = 1,
        .created_at = u->version ? u->created_at : clock_now(),
        .version = u->version,
    };
    TM_TRY(row_put(ret, a, &row, user_state(u)));
    ret->u.object.unique = true; /* of the handle */
    return TM_OK;
}

tm_err user_ensure(struct user *ret, struct arena *a, struct house *h, tenant_id tenant, const char *name,
                   struct diag *diag)
{
    TM_TRY(user_read(ret, a, h, tenant, name, diag));
    if (ret->version)
        return TM_OK;
    uint8_t handle[HANDLE_OCTETS];
    struct effect effect;
    TM_TRY(random_bytes(handle, sizeof handle));
    ret->handle = arena_hex(a, SLICE_ARR(handle));
    if (!ret->handle)
        return TM_ENOMEM;
    TM_TRY(user_effect(&effect, a, ret));
    tm_err e = house_commit(h, &effect, 1, diag);
    if (e != TM_OK && e != TM_ECONFLICT)
        return e;
    return user_read(ret, a, h, tenant, name, diag); /* perhaps another was quicker */
}

/* ---- where from ---- */

/* Hashed with what nobody else knows: the store lists no addresses. */
static tm_err place_of(const char **ret, struct arena *a, const struct user *u, const char *address)
{
    uint8_t hash[SHA256_LEN];
    const struct slice parts[] = {SLICE_LIT("touchmark-place-v1\0"), slice_str(u->handle), SLICE_LIT("\0"),
                                  slice_str(address)};
    TM_TRY(sha256_many(hash, parts, 4));
    *ret = arena_hex(a, slice_of(hash, 16));
    return *ret ? TM_OK : TM_ENOMEM;
}

tm_err user_place(const char **ret_place, struct arena *a, const struct user *u, const char *address)
{
    const char *place;
    TM_TRY(place_of(&place, a, u, address));
    *ret_place = "";
    for (size_t i = 0; i < u->places.n; i++)
        if (strcmp(u->places.v[i], place) == 0)
            *ret_place = place;
    return TM_OK;
}

tm_err user_signed_in(struct user *u, struct arena *a, const char *address)
{
    const char *place, **v = arena_calloc(a, USER_PLACES, sizeof *v);
    size_t n = 0;
    if (!v)
        return TM_ENOMEM;
    TM_TRY(place_of(&place, a, u, address));
    v[n++] = place;
    for (size_t i = 0; i < u->places.n && n < USER_PLACES; i++)
        if (strcmp(u->places.v[i], place) != 0)
            v[n++] = u->places.v[i];
    u->places.v = v;
    u->places.n = n;
    u->signed_in_at = clock_now();
    return TM_OK;
}

/* ---- a password with one-time codes ---- */

static tm_err sealed_name(const char **ret, struct arena *a, const struct user *u)
{
    *ret = arena_printf(a, "totp/%s", u->handle);
    return *ret ? TM_OK : TM_ENOMEM;
}

/* Sixteen letters of base32 in groups of four: 80 bits, so that a plain hash is enough. */
static tm_err recovery_code(char ret[USER_RECOVERY_TEXT], const char **ret_hash, struct arena *a)
{
    uint8_t octets[RECOVERY_OCTETS];
    char plain[24], hash[65];
    struct buf b;
    TM_TRY(random_bytes(octets, sizeof octets));
    buf_init(&b, 32);
    buf_put_base32(&b, SLICE_ARR(octets));
    snprintf(plain, sizeof plain, "%s", buf_str(&b));
    buf_done(&b);
    for (char *s = plain; *s; s++)
        *s = (char)(*s >= 'A' && *s <= 'Z' ? *s + 'a' - 'A' : *s);
    snprintf(ret, USER_RECOVERY_TEXT, "%.4s-%.4s-%.4s-%.4s", plain, plain + RECOVERY_GROUP,
             plain + 2 * RECOVERY_GROUP, plain + 3 * RECOVERY_GROUP);
    TM_TRY(row_secret_hash(hash, slice_str(plain)));
    *ret_hash = arena_strdup(a, hash);
    return *ret_hash ? TM_OK : TM_ENOMEM;
}

tm_err user_set_password(struct user *u, struct arena *a, struct house *h, struct slice password,
                         const uint8_t totp_secret[32], char ret_codes[][USER_RECOVERY_TEXT],
                         struct diag *diag)
{
    char kept[PASSWORD_TEXT];
    const char *record;
    struct slice sealed;
    TM_TRY(password_acceptable(password, u->name, diag));
    TM_TRY(password_hash(kept, password, diag));
    TM_TRY(sealed_name(&record, a, u));
    TM_TRY(secrets_seal(&sealed, a, h, u->tenant, record, totp_secret, diag));
    u->totp = arena_base64(a, sealed);
    if (!u->totp)
        return TM_ENOMEM;
    u->password = arena_strdup(a, kept);
    u->recovery.v = arena_calloc(a, USER_RECOVERY_CODES, sizeof *u->recovery.v);
    if (!u->password || !u->recovery.v)
        return TM_ENOMEM;
    u->recovery.n = USER_RECOVERY_CODES;
    for (size_t i = 0; i < USER_RECOVERY_CODES; i++)
        TM_TRY(recovery_code(ret_codes[i], &u->recovery.v[i], a));
    return TM_OK;
}

/* As people write it: upper case, without hyphens. */
static void plain_code(char ret[USER_RECOVERY_TEXT], const char *code)
{
    size_t n = 0;
    for (; *code && n + 1 < USER_RECOVERY_TEXT; code++)
        if (*code != '-' && *code != ' ')
            ret[n++] = (char)(*code >= 'A' && *code <= 'Z' ? *code + 'a' - 'A' : *code);
    ret[n] = '\0';
}

static bool use_recovery(struct user *u, const char *plain)
{
    for (size_t i = 0; i < u->recovery.n; i++) {
        if (!row_secret_fits(slice_str(plain), u->recovery.v[i]))
            continue;
        u->recovery.v[i] = u->recovery.v[--u->recovery.n];
        return true;
    }
    return false;
}

tm_err user_check_code(struct user *u, bool *ret_recovery, struct arena *a, struct house *h, const char *code,
                       struct diag *diag)
{
    char plain[USER_RECOVERY_TEXT];
    const char *record;
    struct slice sealed;
    uint8_t secret[SHARED_SECRET_LEN];
    *ret_recovery = false;
    plain_code(plain, code);
    if (strlen(plain) != TOTP_DIGITS) {
        *ret_recovery = use_recovery(u, plain);
        return *ret_recovery ? TM_OK
                             : diag_fail(diag, TM_EAUTH, "session.credentials", NULL,
                                         "name, password or code do not fit");
    }
    if (!u->totp[0])
        return diag_fail(diag, TM_EAUTH, "session.credentials", NULL, "name, password or code do not fit");
    TM_TRY(sealed_name(&record, a, u));
    TM_TRY(base64_decode(&sealed, a, slice_str(u->totp), BASE64_STD));
    TM_TRY(secrets_open(secret, a, h, u->tenant, record, sealed, diag));
    tm_err e = totp_check(&u->totp_step, SLICE_ARR(secret), plain, u->totp_step, clock_now(), diag);
    OPENSSL_cleanse(secret, sizeof secret);
    return e;
}

tm_err user_clear_password(struct house *h, tenant_id tenant, const char *name, const char *by,
                           struct diag *diag)
{
    struct arena *a = arena_new(0);
    struct user u = {0};
    struct effect effects[2];
    struct event_field fields[] = {{.key = "by", .kind = EVENT_STR, .s = slice_str(by)}, {0}};
    tm_err e = a ? user_read(&u, a, h, tenant, name, diag) : TM_ENOMEM;
    if (e == TM_OK && !u.password[0])
        e = diag_fail(diag, TM_ENOTFOUND, NULL, NULL, "there is no password to remove");
    u.password = u.totp = "";
    u.recovery.n = 0;
    if (e == TM_OK)
        e = user_effect(&effects[0], a, &u);
    if (e == TM_OK)
        e = row_event(&effects[1], a, tenant, "password.removed", arena_printf(a, "principal/%s", name),
                      fields);
    if (e == TM_OK)
        e = house_commit(h, effects, 2, diag);
    arena_free(a);
    return e;
}

static tm_err forget(struct arena *a, struct house *h, tenant_id tenant, const char *name, struct diag *diag)
{
    struct effect effects[2 + USER_PASSKEYS_MAX];
    struct passkey *v;
    size_t n, used = 0;
    TM_TRY(passkeys_of(&v, &n, a, h, tenant, name, diag));
    row_drop(&effects[used++],
             &(struct object_row){.tenant = tenant, .kind = OBJECT_USER, .id = name, .version = -1});
    row_drop(&effects[used++],
             &(struct object_row){.tenant = tenant, .kind = OBJECT_INVITE, .id = name, .version = -1});
    for (size_t i = 0; i < n && i < USER_PASSKEYS_MAX; i++)
        row_drop(
            &effects[used++],
            &(struct object_row){.tenant = tenant, .kind = OBJECT_CREDENTIAL, .id = v[i].id, .version = -1});
    return house_commit(h, effects, used, diag);
}

/* An API token, not revoked yet, that acts as this principal. */
static bool is_token_of(const struct token_row *t, const char *name)
{
    json_t *claims = NULL;
    struct diag why = {0};
    if (t->revoked || t->max_uses != INT64_MAX || !t->claims ||
        json_parse(&claims, slice_str(t->claims), CLAIMS_MAX, &why) != TM_OK)
        return false;
    const char *type = json_string_value(json_object_get(claims, "type")),
               *principal = json_string_value(json_object_get(claims, "principal"));
    bool yes = type && principal && strcmp(type, "api") == 0 && strcmp(principal, name) == 0;
    json_decref(claims);
    return yes;
}

static tm_err revoke_tokens(struct arena *a, struct house *h, tenant_id tenant, const char *name,
                            const char *by, struct diag *diag)
{
    char after[TOKEN_ID_TEXT] = "";
    for (;;) {
        struct store_read q = {
            .kind = READ_TOKENS, .tenant = tenant, .arena = a, .limit = PAGE, .after = slice_str(after)};
        tm_err e = store_read_now(h->store, &q);
        if (e != TM_OK && e != TM_ENOTFOUND) {
            *diag = q.diag;
            return e;
        }
        size_t n = e == TM_OK ? q.n : 0;
        for (size_t i = 0; i < n; i++)
            if (is_token_of(&q.tokens[i], name))
                TM_TRY(token_revoke(h, tenant, q.tokens[i].id, by, diag));
        if (!q.more)
            return TM_OK;
        if (q.page_next.n >= sizeof after)
            return TM_ECORRUPT;
        memcpy(after, q.page_next.p, q.page_next.n);
        after[q.page_next.n] = '\0';
        arena_reset(a);
    }
}

tm_err user_forget(struct house *h, tenant_id tenant, const char *name, const char *by, struct diag *diag)
{
    size_t n;
    struct arena *a = arena_new(0);
    tm_err e = a ? forget(a, h, tenant, name, diag) : TM_ENOMEM;
    if (e == TM_OK) {
        arena_reset(a);
        e = revoke_tokens(a, h, tenant, name, by, diag);
    }
    arena_free(a);
    return e == TM_OK ? sessions_end(&n, h, tenant, name, NULL, by, "the principal is gone", diag) : e;
}
