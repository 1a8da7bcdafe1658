#include "base/arena.h"
#include "base/clock.h"
#include "identity/rows.h"
#include "identity/user.h"
#include "issue/house.h"
#include "register/register.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INVITE_OPEN = 1, INVITE_USED };

/* One a user: the row's id is the user's name, its key that of the invitation, so that a new one takes the place of the one before. */
static const struct json_field kept_schema[] = {
    JSON_FIELD(struct invite, by, JSON_K_STRING, .def = ""),
    JSON_FIELD(struct invite, hash, JSON_K_STRING, .required = true),
    {0},
};

static void adopt(struct invite *i, tenant_id tenant, const struct object_row *row)
{
    i->tenant = tenant;
    i->id = row->key;
    i->name = row->id;
    i->expires_at = row->keep_until;
    i->version = row->version;
}

tm_err invite_of(struct invite *ret, struct arena *a, struct house *h, tenant_id tenant, const char *name,
                 struct diag *diag)
{
    struct object_row row;
    struct invite i = {0};
    TM_TRY(row_read(&row, &i, kept_schema, a, h, tenant, OBJECT_INVITE, name, diag));
    adopt(&i, tenant, &row);
    if (i.expires_at < clock_now() || row.status != INVITE_OPEN)
        return TM_ENOTFOUND;
    *ret = i;
    return TM_OK;
}

static struct object_row row_of(const struct invite *i)
{
    return (struct object_row){.tenant = i->tenant,
                               .kind = OBJECT_INVITE,
                               .id = i->name,
                               .owner = "",
                               .key = i->id,
                               .ref = "",
                               .status = INVITE_OPEN,
                               .created_at = clock_now(),
                               .keep_until = i->expires_at,
                               .version = i->version};
}

tm_err invite_make(char ret[USER_INVITE_TEXT], struct arena *a, struct house *h, tenant_id tenant,
                   const char *name, int64_t ttl, const char *by, int64_t *ret_expires, struct diag *diag)
{
    char secret[ROW_SECRET_TEXT], hash[65];
    struct effect effects[2];
    struct invite i = {.tenant = tenant, .name = name, .by = by, .expires_at = clock_now() + ttl};
    if (ttl < 60 || ttl > USER_INVITE_TTL_MAX)
        return diag_fail(diag, TM_EINVAL, NULL, "/ttl", "an invitation lives between 1m and 30d");
    TM_TRY(row_id(&i.id, a));
    TM_TRY(row_secret(secret, hash));
    struct object_row row = row_of(&i);
    row.version = -1; /* whatever was there */
    TM_TRY(row_put(&effects[0], a, &row, json_pack("{s:s,s:s}", "by", by, "hash", hash)));
    struct event_field fields[] = {{.key = "by", .kind = EVENT_STR, .s = slice_str(by)},
                                   {.key = "expires_at", .kind = EVENT_INT, .i = i.expires_at},
                                   {0}};
    TM_TRY(row_event(&effects[1], a, tenant, "user.invited", arena_printf(a, "principal/%s", name), fields));
    TM_TRY(house_commit(h, effects, 2, diag));
    snprintf(ret, USER_INVITE_TEXT, "%u.%s.%s", (unsigned)tenant, i.id, secret);
    explicit_bzero(secret, sizeof secret);
    *ret_expires = i.expires_at;
    return TM_OK;
}

static tm_err unknown(struct diag *diag)
{
    return diag_fail(diag, TM_EAUTH, "invite.unknown", "/invite",
                     "this invitation is not known, or was used; ask for another");
}

tm_err invite_find(struct invite *ret, struct arena *a, struct house *h, const char *text, struct diag *diag)
{
    char *rest;
    unsigned long tenant = strtoul(text, &rest, 10);
    const char *id = *rest == '.' ? rest + 1 : "", *dot = strchr(id, '.');
    struct invite i = {0};
    if (!dot || dot == id || tenant > INT32_MAX || strlen(text) >= USER_INVITE_TEXT)
        return unknown(diag);
    const char *key = arena_strndup(a, id, (size_t)(dot - id));
    struct store_read q = {.kind = READ_OBJECT,
                           .tenant = (tenant_id)tenant,
                           .arena = a,
                           .object_kind = OBJECT_INVITE,
                           .name2 = key};
    tm_err e = key ? store_read_now(h->store, &q) : TM_ENOMEM;
    if (e == TM_ENOTFOUND)
        return unknown(diag);
    if (e != TM_OK) {
        *diag = q.diag;
        return e;
    }
    TM_TRY(row_bind(&i, kept_schema, a, &q.objects[0], diag));
    adopt(&i, (tenant_id)tenant, &q.objects[0]);
    if (q.objects[0].status != INVITE_OPEN || !row_secret_fits(slice_str(dot + 1), i.hash))
        return unknown(diag);
    if (i.expires_at < clock_now())
        return diag_fail(diag, TM_EEXPIRED, "invite.expired", "/invite",
                         "this invitation has expired; ask for another");
    *ret = i;
    return TM_OK;
}

/* Changed, not dropped: of two that come at the same time the second one finds another version. */
tm_err invite_use(struct effect *ret, struct arena *a, const struct invite *i)
{
    struct object_row row = row_of(i);
    row.status = INVITE_USED;
    row.keep_until = clock_now() + 1;
    return row_put(ret, a, &row, json_pack("{s:s,s:s}", "by", i->by, "hash", ""));
}

tm_err invite_withdraw(struct house *h, tenant_id tenant, const char *name, const char *by, struct diag *diag)
{
    struct arena *a = arena_new(0);
    struct invite i;
    struct effect effects[2];
    tm_err e = a ? invite_of(&i, a, h, tenant, name, diag) : TM_ENOMEM;
    if (e == TM_ENOTFOUND)
        e = diag_fail(diag, e, NULL, "name", "no invitation waits for this user");
    if (e == TM_OK)
        e = invite_use(&effects[0], a, &i);
    if (e == TM_OK) {
        struct event_field fields[] = {{.key = "by", .kind = EVENT_STR, .s = slice_str(by)}, {0}};
        e = row_event(&effects[1], a, tenant, "user.invitation-withdrawn",
                      arena_printf(a, "principal/%s", name), fields);
    }
    if (e == TM_OK)
        e = house_commit(h, effects, 2, diag);
    arena_free(a);
    return e;
}
