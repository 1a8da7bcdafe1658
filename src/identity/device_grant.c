#include "identity/device_grant.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"
#include "identity/rows.h"
#include "issue/house.h"
#include "register/register.h"
#include <string.h>

/* RFC 8628 6.1: letters that are not taken for others, and make no words. */
static const char letters[] = "BCDFGHJKLMNPQRSTVWXZ";
enum { LETTERS = sizeof letters - 1, CODE_LETTERS = 8, HALF = 4, UNBIASED = 256 - 256 % LETTERS };

static const struct json_field grant_schema[] = {
    JSON_FIELD(struct grant, client, JSON_K_STRING, .def = ""),
    JSON_FIELD(struct grant, peer, JSON_K_STRING, .def = ""),
    JSON_FIELD(struct grant, roles, JSON_K_STRING, .def = ""),
    JSON_FIELD(struct grant, scopes, JSON_K_STRING, .def = ""),
    JSON_FIELD(struct grant, ttl, JSON_K_INT, .required = true),
    JSON_FIELD(struct grant, principal, JSON_K_STRING, .def = ""),
    JSON_FIELD(struct grant, only_tenant, JSON_K_STRING, .def = ""),
    JSON_FIELD(struct grant, home, JSON_K_INT),
    JSON_FIELD(struct grant, provider, JSON_K_STRING, .def = ""),
    JSON_FIELD(struct grant, issuer, JSON_K_STRING, .max = 2048, .def = ""),
    JSON_FIELD(struct grant, owner_of, JSON_K_STRING, .max = 2048, .def = ""),
    JSON_FIELD(struct grant, all_tenants, JSON_K_BOOL),
    JSON_FIELD(struct grant, ends_at, JSON_K_INT),
    {0},
};

static void adopt(struct grant *g, tenant_id tenant, const struct object_row *row)
{
    g->tenant = tenant;
    g->id = row->id;
    g->user_code = row->key;
    g->status = (enum grant_status)row->status;
    g->created_at = row->created_at;
    g->expires_at = row->keep_until;
    g->version = row->version;
}

static tm_err put(struct effect *ret, struct arena *a, const struct grant *g)
{
    struct object_row row = {.tenant = g->tenant,
                             .kind = OBJECT_DEVICE_GRANT,
                             .id = g->id,
                             .owner = "",
                             .key = g->user_code,
                             .ref = "",
                             .status = (int)g->status,
                             .created_at = g->created_at,
                             .keep_until = g->expires_at,
                             .version = g->version};
    return row_put(ret, a, &row,
                   json_pack("{s:s,s:s,s:s,s:s,s:I,s:s,s:s,s:I,s:s,s:s,s:s,s:b,s:I}", "client", g->client,
                             "peer", g->peer, "roles", g->roles, "scopes", g->scopes, "ttl",
                             (json_int_t)g->ttl, "principal", g->principal, "only_tenant", g->only_tenant,
                             "home", (json_int_t)g->home, "provider", g->provider, "issuer", g->issuer,
                             "owner_of", g->owner_of, "all_tenants", g->all_tenants, "ends_at",
                             (json_int_t)g->ends_at));
}

static tm_err user_code(const char **ret, struct arena *a)
{
    char text[GRANT_CODE_TEXT] = "";
    size_t n = 0;
    while (n < GRANT_CODE_TEXT - 1) {
        uint8_t octet;
        TM_TRY(random_bytes(&octet, 1));
        if (octet >= UNBIASED)
            continue;
        text[n++] = letters[octet % LETTERS];
        if (n == HALF)
            text[n++] = '-';
    }
    *ret = arena_strdup(a, text);
    return *ret ? TM_OK : TM_ENOMEM;
}

static tm_err check_room(const struct grant *g, struct arena *a, struct house *h, struct diag *diag)
{
    struct store_read q = {.kind = READ_OBJECTS,
                           .tenant = g->tenant,
                           .arena = a,
                           .object_kind = OBJECT_DEVICE_GRANT,
                           .object_status = GRANT_PENDING,
                           .limit = GRANT_PENDING_MAX};
    int64_t now = clock_now();
    size_t waiting = 0;
    do { /* those that are over stand among them until they are swept */
        q.after = q.page_next;
        tm_err e = store_read_now(h->store, &q);
        if (e == TM_ENOTFOUND)
            break;
        if (e != TM_OK) {
            *diag = q.diag;
            return e;
        }
        for (size_t i = 0; i < q.n; i++)
            waiting += q.objects[i].keep_until >= now;
    } while (q.more && waiting < GRANT_PENDING_MAX);
    return waiting >= GRANT_PENDING_MAX
               ? diag_fail(diag, TM_EQUOTA, "login.many", NULL, "too many logins wait to be confirmed")
               : TM_OK;
}

tm_err grant_begin(struct grant *g, char ret_device_code[GRANT_DEVICE_TEXT], struct arena *a, struct house *h,
                   struct diag *diag)
{
    char hash[65];
    struct effect effect;
    TM_TRY(check_room(g, a, h, diag));
    TM_TRY(row_secret(ret_device_code, hash));
    TM_TRY(user_code(&g->user_code, a));
    g->id = arena_strdup(a, hash);
    g->status = GRANT_PENDING;
    g->principal = g->only_tenant = g->provider = g->issuer = g->owner_of = "";
    g->created_at = clock_now();
    g->expires_at = g->created_at + GRANT_SECONDS;
    g->version = 0;
    if (!g->id)
        return TM_ENOMEM;
    TM_TRY(put(&effect, a, g));
    effect.u.object.unique = true; /* of the user code */
    return house_commit(h, &effect, 1, diag);
}

static tm_err unknown(struct diag *diag)
{
    return diag_fail(diag, TM_ENOTFOUND, "expired_token", "code",
                     "there is no login with this code; it may have expired");
}

static tm_err find(struct grant *ret, struct store_read *q, struct arena *a, struct house *h,
                   struct diag *diag)
{
    struct grant g = {0};
    q->kind = READ_OBJECT;
    q->object_kind = OBJECT_DEVICE_GRANT;
    q->arena = a;
    tm_err e = store_read_now(h->store, q);
    if (e == TM_ENOTFOUND)
        return unknown(diag);
    if (e != TM_OK) {
        *diag = q->diag;
        return e;
    }
    TM_TRY(row_bind(&g, grant_schema, a, &q->objects[0], diag));
    adopt(&g, q->tenant, &q->objects[0]);
    if (g.expires_at < clock_now() || g.status == GRANT_USED)
        return unknown(diag);
    *ret = g;
    return TM_OK;
}

tm_err grant_by_user_code(struct grant *ret, struct arena *a, struct house *h, tenant_id tenant,
                          const char *code, struct diag *diag)
{
    char text[GRANT_CODE_TEXT] = "";
    size_t n = 0, letters_n = 0;
    for (; *code && n < GRANT_CODE_TEXT - 1; code++) {
        if (*code == '-' || *code == ' ')
            continue;
        text[n++] = (char)(*code >= 'a' && *code <= 'z' ? *code - 'a' + 'A' : *code);
        if (++letters_n == HALF)
            text[n++] = '-';
    }
    if (*code || letters_n != CODE_LETTERS)
        return unknown(diag);
    struct store_read q = {.tenant = tenant, .name2 = text};
    return find(ret, &q, a, h, diag);
}

tm_err grant_by_device_code(struct grant *ret, struct arena *a, struct house *h, tenant_id tenant,
                            const char *code, struct diag *diag)
{
    char hash[65];
    TM_TRY(row_secret_hash(hash, slice_str(code)));
    struct store_read q = {.tenant = tenant, .name = hash};
    return find(ret, &q, a, h, diag);
}

tm_err grant_change(struct grant *g, enum grant_status status, const char *by, struct arena *a,
                    struct house *h, struct diag *diag)
{
    struct effect effects[2];
    size_t n = 1;
    struct event_field fields[] = {{.key = "client", .kind = EVENT_STR, .s = slice_str(g->client)},
                                   {.key = "code", .kind = EVENT_STR, .s = slice_str(g->user_code)},
                                   {.key = "peer", .kind = EVENT_STR, .s = slice_str(g->peer)},
                                   {0}};
    g->status = status;
    TM_TRY(put(&effects[0], a, g));
    if (status != GRANT_USED)
        TM_TRY(row_event(&effects[n++], a, g->tenant,
                         status == GRANT_APPROVED ? "login.approved" : "login.denied",
                         arena_printf(a, "principal/%s", by), fields));
    return house_commit(h, effects, n, diag);
}
