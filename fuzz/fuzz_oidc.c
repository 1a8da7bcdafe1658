/* What an identity provider says of itself, and of people: a discovery document, the claims of a token, or those and what its UserInfo endpoint adds, as
 * the first octet chooses. Addresses are such that they can be gone to; whoever is let in has a name of the provider's, and roles that a rule gives;
 * what is added takes nothing away.
 * Parser: identity/discovery.c identity/userinfo.c:userinfo_wanted,userinfo_merge,names_claim,is_of_token,has identity/oidc.c:oidc_identify,has_value,plain_name,name_of,owner_of,by_roles,add_roles */
#include "base/arena.h"
#include "enroll/outbound/response.h"
#include "identity/provider.h"
#include "identity/session.h"
#include "identity/userinfo.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void hold(bool good)
{
    if (!good)
        abort();
}

static void can_be_gone_to(const char *url)
{
    struct target t, none = {0};
    hold(strncmp(url, "https://", 8) == 0 && !strpbrk(url, "\r\n\t \"<>#"));
    if (target_resolve(&t, &none, url) == TM_OK)
        hold(t.tls && t.host[0] && t.path[0] == '/');
}

static void as_discovery(struct arena *a, const json_t *doc)
{
    struct provider_config c;
    struct diag diag = {0};
    tm_err e = discovery_read(&c, a, "https://idp.example.org", doc, &diag);
    if (e == TM_EUNAVAIL)
        hold(diag.message[0]);
    if (e != TM_OK)
        return;
    can_be_gone_to(c.authorization);
    can_be_gone_to(c.token);
    can_be_gone_to(c.jwks);
    if (c.logout[0])
        can_be_gone_to(c.logout);
}

static struct provider provider_of(tenant_id tenant)
{
    static const char *operators[] = {"operator"}, *owners[] = {"owner", "auditor"};
    static const struct provider_rule rules[] = {
        {.claim = "sub", .value = "boss", .principal = "root", .tenant = "", .owner_of = ""},
        {.claim = "groups",
         .value = "pki",
         .principal = "",
         .roles = {operators, 1},
         .tenant = "*",
         .owner_of = ""},
        {.claim = "email_verified",
         .value = "true",
         .principal = "",
         .roles = {owners, 2},
         .tenant = "*",
         .owner_of = "{email}"},
        {.claim = "dept",
         .value = "*",
         .principal = "",
         .roles = {owners, 1},
         .tenant = "plant",
         .owner_of = "plant"},
    };
    return (struct provider){
        .tenant = tenant,
        .doc = {.name = "idp", .name_claim = "preferred_username", .rules = {(void *)(uintptr_t)rules, 4}}};
}

static void as_claims(struct arena *a, const json_t *claims, tenant_id tenant)
{
    struct provider p = provider_of(tenant);
    struct session s;
    struct diag diag = {0};
    tm_err e = oidc_identify(&s, a, &p, claims, &diag);
    if (e == TM_EFORBIDDEN)
        hold(diag.message[0]);
    if (e != TM_OK)
        return;
    if (!s.external) {
        hold(strcmp(s.principal, "root") == 0 && !s.roles[0]);
        return;
    }
    size_t n = strlen(s.principal);
    hold(n > 4 && strcmp(s.principal + n - 4, "@idp") == 0 && !strpbrk(s.principal, " \r\n\"/"));
    hold(strstr(s.roles, "operator") || strstr(s.roles, "owner"));
    hold(!(s.all_tenants && s.only_tenant[0]) && strlen(s.owner_of) <= 500);
    hold(tenant == TENANT_HOUSE || (!s.all_tenants && !s.only_tenant[0]));
}

/* [claims, what is said beside them] */
static void as_more(struct arena *a, const json_t *doc)
{
    json_t *claims = json_array_get(doc, 0), *before = json_deep_copy(claims), *value;
    const json_t *info = json_array_get(doc, 1);
    const struct provider p = provider_of(TENANT_DEFAULT);
    struct diag diag = {0};
    const char *name;
    if (json_is_object(claims) && json_is_object(info) && before) {
        (void)userinfo_wanted(a, &p, claims);
        tm_err e = userinfo_merge(claims, info, &diag);
        hold(e == TM_OK || json_equal(claims, before));
        hold(e == TM_OK || diag.message[0]);
        json_object_foreach(before, name, value)
            hold(json_is_null(value) || json_equal(json_object_get(claims, name), value));
        hold(json_equal(json_object_get(claims, "iss"), json_object_get(before, "iss")) ||
             !json_object_get(before, "iss"));
        as_claims(a, claims, TENANT_DEFAULT);
    }
    json_decref(before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *doc = NULL;
    struct arena *a = size ? arena_new(0) : NULL;
    if (a && json_parse(&doc, slice_of(data + 1, size - 1), 64 << 10, NULL) == TM_OK) {
        if (data[0] % 4 == 0)
            as_discovery(a, doc);
        else if (data[0] % 4 == 3)
            as_more(a, doc);
        else
            as_claims(a, doc, data[0] % 4 == 1 ? TENANT_HOUSE : TENANT_DEFAULT);
    }
    json_decref(doc);
    arena_free(a);
    return 0;
}
