#include "api/principal.h"
#include "api/place.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "identity/provider.h"
#include "identity/session.h"
#include "identity/token_use.h"
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

/* What a token gives less than its principal has. */
static void limit(struct api_call *c, const char *roles, const char *scopes, const char *only_tenant)
{
    if (roles && roles[0])
        c->roles &= roles_from_list(roles);
    if (only_tenant && only_tenant[0]) /* what is the house's lies outside of every tenant */
        c->roles = strcmp(only_tenant, c->tenant->name) == 0 ? c->roles & ~(unsigned)ROLE_HOUSE_ADMIN : 0;
    c->scopes = scopes;
    c->only_tenant = only_tenant;
}

static void adopt(struct api_call *c, const struct principal *p)
{
    unsigned bits = 0;
    for (size_t i = 0; i < p->n_roles; i++)
        bits |= role_bit(p->roles[i], strlen(p->roles[i]));
    /* An administrator of the house in every tenant may also make tenants. */
    if (p->all_tenants && (bits & ROLE_ADMIN))
        bits |= ROLE_HOUSE_ADMIN;
    if (p->tenant != c->tenant->id && !p->all_tenants)
        bits = 0;
    c->principal = p->name;
    c->owner_of = p->owner_of;
    c->groups = p->groups;
    c->n_groups = bits ? p->n_groups : 0;
    c->roles = bits;
}

/* Whom another provider vouches for is nobody here but what it said at sign-in, while it stands here as it did then. */
static tm_err adopt_vouched(struct api_call *c, const struct vouched *v, tenant_id home, const char *name,
                            unsigned roles, const char *scopes, const char *only_tenant, struct diag *diag)
{
    TM_TRY(provider_vouches(c->arena, c->house, home, v->provider, v->issuer, diag));
    bool everywhere = v->all_tenants && home == TENANT_HOUSE;
    bool by_house = everywhere || (home == TENANT_HOUSE && only_tenant[0]);
    c->principal = name;
    c->owner_of = v->owner_of;
    c->roles = everywhere ? roles : roles & ~(unsigned)ROLE_HOUSE_ADMIN;
    if (home != c->tenant->id && !by_house)
        c->roles = 0;
    limit(c, NULL, scopes, only_tenant);
    return TM_OK;
}

/* "Bearer <id>.<secret>"; the token lives in the house or in the tenant. */
static tm_err by_token(struct api_call *c, const char *authorization, bool looking, struct diag *diag)
{
    if (strncasecmp(authorization, "bearer ", 7) != 0)
        return diag_fail(diag, TM_EAUTH, "api.scheme", "Authorization",
                         "use \"Authorization: Bearer <token>\"");
    struct token_grant g;
    const struct principal *p;
    tenant_id home;
    const char *id;
    TM_TRY(api_token(&g, &p, &home, &id, c, slice_trim(slice_str(authorization + 7)), diag));
    if (p) {
        adopt(c, p);
        limit(c, g.roles, g.scopes, g.only_tenant);
    } else {
        TM_TRY(adopt_vouched(c, &g.vouched, home, g.principal, roles_from_list(g.roles), g.scopes,
                             g.only_tenant, diag));
    }
    if (!looking)
        token_used(c->house, home, id, c->peer);
    return TM_OK;
}

tm_err api_token(struct token_grant *ret, const struct principal **ret_principal, tenant_id *ret_home,
                 const char **ret_id, const struct api_call *c, struct slice token, struct diag *diag)
{
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
        e = token_principal(ret, c->arena, c->house, homes[i], id, secret, diag);
        if (e != TM_OK)
            continue;
        bool vouched = ret->vouched.provider[0] != '\0';
        *ret_principal = vouched ? NULL : catalog_principal(c->catalog, homes[i], ret->principal);
        if (!vouched && (!*ret_principal || (*ret_principal)->disabled))
            return diag_fail(diag, TM_EAUTH, "principal.disabled", "Authorization",
                             "the principal of this token is gone or disabled");
        *ret_home = homes[i];
        *ret_id = id;
    }
    return e;
}

/* ---- sessions ---- */

/* A session lives no longer than what it began with: a token that was not revoked, a provider that people still sign in by. */
static tm_err check_source(const struct api_call *c, const struct session *s, struct diag *diag)
{
    struct store_read q = {.kind = READ_TOKEN, .tenant = s->tenant, .arena = c->arena, .name = s->token};
    if (s->provider[0] && !s->external) /* of those the whole session is what it said: adopt_vouched() */
        return provider_vouches(c->arena, c->house, s->tenant, s->provider, s->issuer, diag);
    if (!s->token[0])
        return TM_OK;
    tm_err e = store_read_now(c->house->store, &q);
    if (e == TM_ENOTFOUND || (e == TM_OK && (q.tokens[0].revoked || q.tokens[0].expires_at < clock_now())))
        return diag_fail(diag, TM_EAUTH, "session.token", NULL,
                         "the token that this session began with is no longer good; sign in again");
    if (e != TM_OK)
        *diag = q.diag;
    return e;
}

tm_err api_adopt_session(struct api_call *c, const struct session *s, struct diag *diag)
{
    TM_TRY(check_source(c, s, diag));
    if (s->external) {
        const struct vouched v = {.provider = s->provider,
                                  .issuer = s->issuer,
                                  .owner_of = s->owner_of,
                                  .all_tenants = s->all_tenants};
        unsigned roles = roles_from_list(s->roles);
        TM_TRY(adopt_vouched(c, &v, s->tenant, s->principal,
                             roles & ROLE_ADMIN ? roles | ROLE_HOUSE_ADMIN : roles, s->scopes, s->only_tenant,
                             diag));
    } else {
        const struct principal *p = catalog_principal(c->catalog, s->tenant, s->principal);
        if (!p || p->disabled)
            return diag_fail(diag, TM_EAUTH, "principal.disabled", NULL,
                             "this principal is gone or disabled");
        adopt(c, p);
        limit(c, s->roles, s->scopes, s->only_tenant);
    }
    c->session = s;
    return TM_OK;
}

/* RFC 9110 9.2.1. What changes something has to come from the house's own page, and with what only that page knows. */
static tm_err check_request(const struct api_call *c, const char *wanted, const char *shown,
                            struct diag *diag)
{
    if (c->method == HTTP_M_GET)
        return TM_OK;
    if (!c->origin)
        return diag_fail(diag, TM_EFORBIDDEN, "session.origin", "Origin",
                         "a request of a session that changes something says its Origin");
    TM_TRY(api_same_origin(c, diag));
    if (!shown || !slice_ct_eq(slice_str(shown), slice_str(wanted)))
        return diag_fail(diag, TM_EFORBIDDEN, "session.csrf", "X-Touchmark-CSRF",
                         "the header X-Touchmark-CSRF has to hold what the session's \"csrf\" says");
    return TM_OK;
}

/* A session that does not count makes the caller nobody, so that signing in anew goes on; who needs somebody hears why. */
static tm_err by_session(struct api_call *c, const struct api_credentials *who, struct diag *diag)
{
    char csrf[SESSION_CSRF_TEXT];
    struct session *s = arena_calloc(c->arena, 1, sizeof *s);
    if (!s)
        return TM_ENOMEM;
    tm_err e = session_find(s, csrf, c->arena, c->house, who->cookie, !who->looking, diag);
    if (e == TM_ENOTFOUND) {
        diag_clear(diag);
        return e;
    }
    if (e == TM_OK)
        e = check_request(c, csrf, who->csrf, diag);
    if (e == TM_OK)
        e = api_adopt_session(c, s, diag);
    if (e != TM_OK && tm_err_class(e) != TM_CLASS_DENIED)
        return e;
    if (e == TM_OK) {
        c->csrf = arena_strdup(c->arena, csrf);
        return c->csrf ? TM_OK : TM_ENOMEM;
    }
    c->refused = e;
    c->why_refused = *diag;
    diag_clear(diag);
    return TM_OK;
}

const struct principal *api_principal_named(const struct api_call *c, const char *name)
{
    const struct principal *p = catalog_principal(c->catalog, c->tenant->id, name);
    return p || !(c->roles & ROLE_HOUSE_ADMIN) ? p : catalog_principal(c->catalog, TENANT_HOUSE, name);
}

tm_err api_authenticate(struct api_call *c, const struct api_credentials *who, struct diag *diag)
{
    c->principal = NULL;
    c->roles = 0;
    c->owner_of = "";
    c->groups = NULL;
    c->n_groups = 0;
    if (who->local) {
        c->principal = who->local;
        c->roles = ROLE_AUDITOR | ROLE_OPERATOR | ROLE_ADMIN | ROLE_HOUSE_ADMIN;
        return TM_OK;
    }
    if (who->authorization)
        return by_token(c, who->authorization, who->looking, diag);
    if (who->cookie) {
        tm_err e = by_session(c, who, diag);
        if (e != TM_ENOTFOUND)
            return e;
    }
    if (who->client_cert.n == 0)
        return TM_OK;
    uint8_t fp[SHA256_LEN];
    TM_TRY(sha256(fp, who->client_cert));
    const struct principal *p = catalog_principal_by_cert(c->catalog, c->tenant->id, fp);
    if (p && !p->disabled)
        adopt(c, p);
    return TM_OK;
}
