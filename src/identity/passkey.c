#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/text.h"
#include "identity/rows.h"
#include "identity/user.h"
#include "issue/house.h"
#include "register/register.h"
#include <string.h>

enum { ID_OCTETS = 16, PAGE = 100 };

static const struct json_field passkey_schema[] = {
    JSON_FIELD(struct passkey, label, JSON_K_STRING, .def = ""),
    JSON_FIELD(struct passkey, credential, JSON_K_STRING, .required = true),
    JSON_FIELD(struct passkey, key, JSON_K_STRING, .required = true),
    JSON_FIELD(struct passkey, alg, JSON_K_INT, .required = true),
    JSON_FIELD(struct passkey, rp_id, JSON_K_STRING, .required = true),
    JSON_FIELD(struct passkey, aaguid, JSON_K_STRING, .def = ""),
    JSON_FIELD(struct passkey, count, JSON_K_INT),
    JSON_FIELD(struct passkey, backed_up, JSON_K_BOOL),
    JSON_FIELD(struct passkey, used_at, JSON_K_INT),
    {0},
};

static void adopt(struct passkey *k, tenant_id tenant, const struct object_row *row)
{
    k->tenant = tenant;
    k->id = row->id;
    k->owner = row->owner;
    k->created_at = row->created_at;
    k->version = row->version;
}

/* Of the authenticator's id, which may have a thousand octets. */
static tm_err id_of(const char **ret, struct arena *a, struct slice credential_id)
{
    uint8_t hash[SHA256_LEN];
    TM_TRY(sha256(hash, credential_id));
    *ret = arena_hex(a, slice_of(hash, ID_OCTETS));
    return *ret ? TM_OK : TM_ENOMEM;
}

tm_err passkey_by_credential(struct passkey *ret, struct arena *a, struct house *h, tenant_id tenant,
                             struct slice credential_id, struct diag *diag)
{
    struct object_row row;
    struct passkey k = {0};
    const char *id;
    TM_TRY(id_of(&id, a, credential_id));
    TM_TRY(row_read(&row, &k, passkey_schema, a, h, tenant, OBJECT_CREDENTIAL, id, diag));
    adopt(&k, tenant, &row);
    *ret = k;
    return TM_OK;
}

tm_err passkeys_of(struct passkey **ret, size_t *ret_n, struct arena *a, struct house *h, tenant_id tenant,
                   const char *name, struct diag *diag)
{
    struct store_read q = {.kind = READ_OBJECTS_OWNED,
                           .tenant = tenant,
                           .arena = a,
                           .object_kind = OBJECT_CREDENTIAL,
                           .name = name,
                           .limit = PAGE};
    tm_err e = store_read_now(h->store, &q);
    if (e != TM_OK && e != TM_ENOTFOUND) {
        *diag = q.diag;
        return e;
    }
    size_t n = e == TM_OK ? q.n : 0;
    struct passkey *v = arena_calloc(a, n + 1, sizeof *v);
    if (!v)
        return TM_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        TM_TRY(row_bind(&v[i], passkey_schema, a, &q.objects[i], diag));
        adopt(&v[i], tenant, &q.objects[i]);
    }
    *ret = v;
    *ret_n = n;
    return TM_OK;
}

tm_err passkey_effect(struct effect *ret, struct arena *a, const struct passkey *k)
{
    struct object_row row = {
        .tenant = k->tenant,
        .kind = OBJECT_CREDENTIAL,
        .id = k->id,
        .owner = k->owner,
        .key = "",
        .ref = "",
        .status = 1,
        .created_at = k->created_at,
        .version = k->version,
    };
    json_t *state =
        json_pack("{s:s,s:s,s:s,s:I,s:s,s:s,s:I,s:b,s:I}", "label", k->label, "credential", k->credential,
                  "key", k->key, "alg", (json_int_t)k->alg, "rp_id", k->rp_id, "aaguid", k->aaguid, "count",
                  (json_int_t)k->count, "backed_up", k->backed_up, "used_at", (json_int_t)k->used_at);
    return row_put(ret, a, &row, state);
}

static tm_err text_of(const char **ret, struct arena *a, struct slice octets, enum base64_alphabet alphabet)
{
    struct buf b;
    buf_init(&b, 8192);
    buf_put_base64(&b, octets, alphabet, 0);
    tm_err e = buf_err(&b);
    if (e == TM_OK) {
        *ret = arena_strdup(a, buf_str(&b));
        e = *ret ? TM_OK : TM_ENOMEM;
    }
    buf_done(&b);
    return e;
}

tm_err passkey_new(struct effect *ret, struct passkey *ret_key, struct arena *a, struct house *h,
                   const struct user *u, const struct webauthn_credential *c, const char *rp_id,
                   const char *label, struct diag *diag)
{
    struct passkey *known, k = {.tenant = u->tenant, .owner = u->name, .rp_id = rp_id};
    size_t n;
    TM_TRY(passkeys_of(&known, &n, a, h, u->tenant, u->name, diag));
    if (n >= USER_PASSKEYS_MAX)
        return diag_fail(diag, TM_EQUOTA, "passkey.many", NULL,
                         "a user has at most %d passkeys; remove one first", USER_PASSKEYS_MAX);
    TM_TRY(id_of(&k.id, a, c->id));
    TM_TRY(text_of(&k.credential, a, c->id, BASE64_URL));
    TM_TRY(text_of(&k.key, a, c->key.spki.der, BASE64_STD));
    k.aaguid = arena_hex(a, SLICE_ARR(c->aaguid));
    k.label = arena_strdup(a, label);
    if (!k.aaguid || !k.label)
        return TM_ENOMEM;
    k.alg = c->key.alg;
    k.count = c->count;
    k.backed_up = c->backed_up;
    k.created_at = clock_now();
    *ret_key = k;
    return passkey_effect(ret, a, &k);
}

tm_err passkey_remove(struct house *h, tenant_id tenant, const char *name, const char *id, const char *by,
                      struct diag *diag)
{
    struct arena *a = arena_new(0);
    struct object_row row;
    struct passkey k = {0};
    struct effect effects[2];
    tm_err e = a ? row_read(&row, &k, passkey_schema, a, h, tenant, OBJECT_CREDENTIAL, id, diag) : TM_ENOMEM;
    if (e == TM_ENOTFOUND || (e == TM_OK && strcmp(row.owner, name) != 0))
        e = diag_fail(diag, TM_ENOTFOUND, NULL, "id", "there is no passkey \"%s\" of this user", id);
    if (e == TM_OK) {
        struct event_field fields[] = {{.key = "by", .kind = EVENT_STR, .s = slice_str(by)},
                                       {.key = "id", .kind = EVENT_STR, .s = slice_str(id)},
                                       {.key = "label", .kind = EVENT_STR, .s = slice_str(k.label)},
                                       {0}};
        row.tenant = tenant;
        row_drop(&effects[0], &row);
        e = row_event(&effects[1], a, tenant, "passkey.removed", arena_printf(a, "principal/%s", name),
                      fields);
    }
    if (e == TM_OK)
        e = house_commit(h, effects, 2, diag);
    arena_free(a);
    return e;
}
