#include "issue/provider_settings.h"
#include "issue/resources.h"
#include "policy/names.h"
#include <stdio.h>
#include <string.h>

const char *const provider_client_auth_names[] = {"client_secret_basic", "client_secret_post", "none", NULL};

static const struct json_field rule_schema[] = {
    JSON_FIELD(struct provider_rule, claim, JSON_K_STRING, .required = true, .min = 1, .max = 200,
               .doc = "of the ID token: groups, email …"),
    JSON_FIELD(struct provider_rule, value, JSON_K_STRING, .required = true, .min = 1, .max = 500,
               .doc = "what it is, or what is among it where it is a list; \"*\": anything"),
    JSON_FIELD(struct provider_rule, principal, JSON_K_STRING, .max = 63, .def = "",
               .doc = "who it is here: the first rule that fits and names one decides"),
    JSON_FIELD(struct provider_rule, roles, JSON_K_STRINGS, .max = 4,
               .doc = "what the person may do without being a principal here; of all rules that fit"),
    JSON_FIELD(struct provider_rule, tenant, JSON_K_STRING, .max = 63, .def = "",
               .doc = "of the house's provider: the tenant that the roles hold in, \"*\" all"),
    {.key = "owner-of",
     .kind = JSON_K_STRING,
     .offset = offsetof(struct provider_rule, owner_of),
     .max = 200,
     .def = "",
     .doc = "role owner: the owner text of the person's devices; {department} takes it from that claim"},
    {0},
};
const struct json_field provider_schema[] = {
    JSON_FIELD(struct provider_doc, kind, JSON_K_STRING, .required = true, .max = 32),
    JSON_FIELD(struct provider_doc, name, JSON_K_STRING, .required = true, .max = 63),
    JSON_FIELD(struct provider_doc, title, JSON_K_STRING, .max = 200, .def = "",
               .doc = "what the sign-in page calls it"),
    JSON_FIELD(struct provider_doc, tenant, JSON_K_STRING, .max = 63, .def = "",
               .doc = "tenant it belongs to; the caller's when left out"),
    JSON_FIELD(struct provider_doc, issuer, JSON_K_STRING, .required = true, .max = 500,
               .doc =
                   "https:// address, as the provider itself writes it; its configuration is found below it"),
    {.key = "client-id",
     .kind = JSON_K_STRING,
     .offset = offsetof(struct provider_doc, client_id),
     .required = true,
     .min = 1,
     .max = 200,
     .doc = "what the provider calls this house"},
    {.key = "client-auth",
     .kind = JSON_K_ENUM,
     .offset = offsetof(struct provider_doc, client_auth),
     .names = provider_client_auth_names,
     .def = "client_secret_basic",
     .doc = "how the house shows its secret there; \"none\": it has none"},
    JSON_FIELD(struct provider_doc, scopes, JSON_K_STRINGS, .max = PROVIDER_SCOPES_MAX,
               .doc = "asked for beside \"openid\": profile, email, groups …"),
    {.key = "name-claim",
     .kind = JSON_K_STRING,
     .offset = offsetof(struct provider_doc, name_claim),
     .max = 200,
     .def = "preferred_username",
     .doc =
         "what the register calls people by, with @ and the provider's name behind it; \"sub\" where it is not there"},
    JSON_FIELD(struct provider_doc, rules, JSON_K_OBJECTS, .required = true, .sub = rule_schema,
               .size = sizeof(struct provider_rule), .max = PROVIDER_RULES_MAX,
               .doc = "from claims to principals and roles; whom none fits is refused"),
    JSON_FIELD(struct provider_doc, ca, JSON_K_STRING, .max = 64 << 10, .def = "",
               .doc = "PEM: the CAs that its TLS certificate may be under; the system's when left out"),
    JSON_FIELD(struct provider_doc, networks, JSON_K_STRINGS, .max = PROVIDER_NETWORKS_MAX,
               .doc = "networks that it may be in although they are not public, such as 10.0.0.0/8; for "
                      "administrators of the house to set"),
    JSON_FIELD(struct provider_doc, timeout, JSON_K_DURATION, .min = 1, .max = 60, .def = "10s",
               .doc = "for each of its answers"),
    JSON_FIELD(struct provider_doc, skew, JSON_K_DURATION, .min = 0, .max = 600, .def = "1m",
               .doc = "how far its clock may be off"),
    JSON_FIELD(struct provider_doc, disabled, JSON_K_BOOL, .doc = "nobody signs in by it"),
    {0},
};

static tm_err check_rule(const struct provider_rule *r, size_t i, struct diag *diag)
{
    char at[64];
    snprintf(at, sizeof at, "/rules/%zu", i);
    if ((r->principal[0] != '\0') == (r->roles.n > 0))
        return diag_fail(diag, TM_EINVAL, NULL, at, "a rule names either a principal or roles");
    for (size_t k = 0; k < r->roles.n; k++) {
        size_t n = 0;
        while (principal_role_names[n] && strcmp(principal_role_names[n], r->roles.v[k]) != 0)
            n++;
        if (!principal_role_names[n])
            return diag_fail(diag, TM_EINVAL, NULL, at,
                             "\"%s\" is not a role; there are auditor, operator, owner, admin",
                             r->roles.v[k]);
    }
    return TM_OK;
}

tm_err provider_check(const struct provider_doc *d, struct diag *diag)
{
    const struct provider_rule *rules = d->rules.v;
    if (strncmp(d->issuer, "https://", 8) != 0 || !d->issuer[8] || strpbrk(d->issuer, "?# "))
        return diag_fail(diag, TM_EINVAL, "OpenID Connect Discovery 3", "/issuer",
                         "an issuer is an https:// address without query and fragment");
    if (d->rules.n == 0)
        return diag_fail(diag, TM_EINVAL, NULL, "/rules", "without a rule nobody could sign in");
    for (size_t i = 0; i < d->rules.n; i++)
        TM_TRY(check_rule(&rules[i], i, diag));
    for (size_t i = 0; i < d->scopes.n; i++)
        if (!d->scopes.v[i][0] || strpbrk(d->scopes.v[i], " \"\\"))
            return diag_fail(diag, TM_EINVAL, "RFC 6749 3.3", "/scopes", "one scope each");
    for (size_t i = 0; i < d->networks.n; i++) {
        struct cidr c;
        if (!cidr_parse(&c, d->networks.v[i]))
            return diag_fail(diag, TM_EINVAL, NULL, "/networks", "\"%s\" is no network such as 10.0.0.0/8",
                             d->networks.v[i]);
    }
    return TM_OK;
}
