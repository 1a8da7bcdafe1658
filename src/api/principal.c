#include "api/principal.h"
#include "base/arena.h"
#include "base/digest.h"
#include "issue/house.h"
#include "issue/issue.h"
#include <string.h>
#include <strings.h>

static const char tenants_prefix[] = "/api/v1/tenants/";

tm_err api_tenant_from_path(struct api_call *c, const char *path, struct diag *diag)
{
    const char *name = "default";
    c->path = path;
    if (strncmp(path, tenants_prefix, sizeof tenants_prefix - 1) == 0) {
        const char *begin = path + sizeof tenants_prefix - 1;
        const char *slash = strchr(begin, '/');
        /* /api/v1/tenants/<name> itself is the resource. */
        if (slash && slash[1]) {
            name = arena_strndup(c->arena, begin, (size_t)(slash - begin));
            c->path = arena_printf(c->arena, "/api/v1%s", slash);
            if (!name || !c->path)
                return TM_ENOMEM;
        }
    }
    c->tenant = catalog_tenant(c->catalog, name);
    if (!c->tenant)
        return diag_fail(diag, TM_ENOTFOUND, NULL, "path", "there is no tenant \"%s\"", name);
    return TM_OK;
}

static unsigned role_bit(const char *name, size_t n)
{
    for (unsigned i = 0; api_role_names[i]; i++)
        if (strlen(api_role_names[i]) == n && memcmp(api_role_names[i], name, n) == 0)
            return 1u << i;
    return 0;
}

static unsigned roles_from_list(const char *list)
{
    unsigned bits = 0;
    while (*list) {
        size_t n = strcspn(list, ",");
        bits |= role_bit(list, n);
        list += n + (list[n] == ',');
    }
    return bits;
}

static void adopt(struct api_call *c, const struct principal *p, const char *limit)
{
    unsigned bits = 0;
    for (size_t i = 0; i < p->n_roles; i++)
        bits |= role_bit(p->roles[i], strlen(p->roles[i]));
    /* An administrator of the house in every tenant may also make tenants. */
    if (p->all_tenants && (bits & ROLE_ADMIN))
        bits |= ROLE_HOUSE_ADMIN;
    if (limit && limit[0])
        bits &= roles_from_list(limit);
    if (p->tenant != c->tenant->id && !p->all_tenants)
        bits = 0;
    c->principal = p->name;
    c->owner_of = p->owner_of;
    c->roles = bits;
}

/* "Bearer <id>.<secret>"; the token lives in the house or in the tenant. */
static tm_err by_token(struct api_call *c, const char *authorization, struct diag *diag)
{
    if (strncasecmp(authorization, "bearer ", 7) != 0)
        return diag_fail(diag, TM_EAUTH, "api.scheme", "Authorization",
                         "use \"Authorization: Bearer <token>\"");
    struct slice token = slice_trim(slice_str(authorization + 7));
    const uint8_t *dot = token.n ? memchr(token.p, '.', token.n) : NULL;
    if (!dot)
        return diag_fail(diag, TM_EAUTH, "token.form", "Authorization", "a token has the form <id>.<secret>");
    char *id = arena_strndup(c->arena, (const char *)token.p, (size_t)(dot - token.p));
    if (!id)
        return TM_ENOMEM;
    struct slice secret = slice_sub(token, (size_t)(dot - token.p) + 1, SIZE_MAX);
    const tenant_id homes[2] = {TENANT_HOUSE, c->tenant->id};
    tm_err e = TM_EAUTH;
    for (size_t i = 0; i < 2 && e == TM_EAUTH; i++) {
        char *name, *roles;
        e = token_principal(&name, &roles, c->arena, c->house, homes[i], id, secret, diag);
        if (e != TM_OK)
            continue;
        const struct principal *p = catalog_principal(c->catalog, homes[i], name);
        if (!p || p->disabled)
            return diag_fail(diag, TM_EAUTH, "principal.disabled", "Authorization",
                             "the principal of this token is gone or disabled");
        adopt(c, p, roles);
    }
    return e;
}

tm_err api_authenticate(struct api_call *c, const struct api_credentials *who, struct diag *diag)
{
    c->principal = NULL;
    c->roles = 0;
    c->owner_of = "";
    if (who->local) {
        c->principal = who->local;
        c->roles = ROLE_AUDITOR | ROLE_OPERATOR | ROLE_ADMIN | ROLE_HOUSE_ADMIN;
        return TM_OK;
    }
    if (who->authorization)
        return by_token(c, who->authorization, diag);
    if (who->client_cert.n == 0)
        return TM_OK;
    uint8_t fp[SHA256_LEN];
    TM_TRY(sha256(fp, who->client_cert));
    const struct principal *p = catalog_principal_by_cert(c->catalog, c->tenant->id, fp);
    if (p && !p->disabled)
        adopt(c, p, NULL);
    return TM_OK;
}
