#include "enroll/acme/grounds.h"
#include "base/arena.h"
#include <string.h>

static const char granted[] = "granted:";

static tm_err read_row(struct object_row *ret, struct arena *a, struct house *h, tenant_id tenant,
                       enum object_kind kind, const char *id, struct diag *diag)
{
    struct store_read q = {
        .kind = READ_OBJECT, .tenant = tenant, .arena = a, .object_kind = kind, .name = id};
    tm_err e = store_read_now(h->store, &q);
    if (e == TM_OK)
        *ret = q.objects[0];
    else
        *diag = q.diag;
    return e;
}

static const char *method(const struct acme_authz *z)
{
    const struct acme_challenge_state *c = z->challenges.v;
    for (size_t i = 0; i < z->challenges.n; i++)
        if (c[i].status == ACME_VALID)
            return acme_challenge_names[c[i].type];
    return "";
}

/* Of the authorization as it stands, or as the order remembers it; `ret_taken`: its account took it back. */
static tm_err ground(const char **ret, bool *ret_taken, struct arena *a, struct house *h, tenant_id tenant,
                     const struct acme_order *o, size_t i, struct diag *diag)
{
    struct object_row row;
    struct acme_authz z;
    *ret = i < o->grounds.n ? o->grounds.v[i] : "";
    *ret_taken = false;
    if (i >= o->authz.n)
        return TM_OK;
    tm_err e = read_row(&row, a, h, tenant, OBJECT_ACME_AUTHZ, o->authz.v[i], diag);
    if (e == TM_ENOTFOUND)
        return TM_OK; /* older than the endpoint keeps them */
    TM_TRY(e);
    TM_TRY(acme_authz_read(&z, a, &row));
    *ret_taken = row.status == ACME_DEACTIVATED;
    *ret = z.granted[0] ? arena_printf(a, "%s%s", granted, z.granted) : method(&z);
    return *ret ? TM_OK : TM_ENOMEM;
}

tm_err grounds_keep(struct acme_order *o, struct arena *a, struct house *h, tenant_id tenant,
                    struct diag *diag)
{
    const char **v = arena_calloc(a, o->names.n + 1, sizeof *v);
    if (!v)
        return TM_ENOMEM;
    for (size_t i = 0; i < o->names.n; i++) {
        const char *text;
        bool taken;
        TM_TRY(ground(&text, &taken, a, h, tenant, o, i, diag));
        v[i] = arena_strdup(a, text);
        if (!v[i])
            return TM_ENOMEM;
    }
    o->grounds = (struct json_strings){.v = v, .n = o->names.n};
    return TM_OK;
}

tm_err grounds_method(const char **ret, struct arena *a, struct house *h, tenant_id tenant,
                      const struct acme_order *o, size_t i, struct diag *diag)
{
    bool taken;
    TM_TRY(ground(ret, &taken, a, h, tenant, o, i, diag));
    if (strncmp(*ret, granted, strlen(granted)) == 0)
        *ret = "";
    return TM_OK;
}

tm_err grounds_account(struct acme_account *ret, const char **ret_why, struct arena *a, struct house *h,
                       tenant_id tenant, const struct acme_order *o, struct diag *diag)
{
    struct object_row row;
    *ret_why = NULL;
    tm_err e = read_row(&row, a, h, tenant, OBJECT_ACME_ACCOUNT, o->row.owner, diag);
    if (e == TM_ENOTFOUND) {
        *ret_why = "the account is gone";
        return TM_OK;
    }
    TM_TRY(e);
    TM_TRY(acme_account_read(ret, a, &row));
    if (row.status != ACME_VALID)
        *ret_why = "the account was deactivated";
    for (size_t i = 0; i < o->names.n && !*ret_why; i++) {
        const char *text;
        bool taken, stands = true;
        TM_TRY(ground(&text, &taken, a, h, tenant, o, i, diag));
        if (strncmp(text, granted, strlen(granted)) == 0)
            TM_TRY(acme_key_stands(&stands, h, a, tenant, text + strlen(granted), diag));
        if (taken || !stands)
            *ret_why = "an authorization was taken back";
    }
    return TM_OK;
}
