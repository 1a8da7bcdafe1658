/* Who has proven a domain may have the names below it, where the endpoint allows that (RFC 9444). */
#include "base/arena.h"
#include "enroll/acme/acme.h"
#include "enroll/acme/validate.h"
#include <string.h>

/* How far up a name's ancestors are looked at. */
enum { ANCESTORS_MAX = 8 };

/* What proves wildcards is about the domain's zone: a web server stands for its own name alone. */
bool acme_subdomains_offered(const struct acme_exchange *x)
{
    bool proof = false;
    for (int i = 0; i < ACME_CHALLENGE_TYPES; i++)
        proof = proof || ((x->settings->challenges >> i & 1) && challenges[i]->wildcard);
    return x->settings->subdomains && proof;
}

tm_err acme_subdomains_authorize(struct acme_authz *ret, struct acme_exchange *x,
                                 const struct acme_identifier *domain, struct diag *diag)
{
    tm_err e = acme_authz_find(ret, x, domain, false, true, diag);
    return e == TM_ENOTFOUND ? acme_authz_make_below(ret, x, domain) : e;
}

tm_err acme_subdomains_cover(struct acme_authz *ret, struct acme_exchange *x,
                             const struct acme_identifier *id, struct diag *diag)
{
    const char *at = id->value;
    if (id->ip || !acme_subdomains_offered(x))
        return TM_ENOTFOUND;
    for (int i = 0; at && i < ANCESTORS_MAX; i++) {
        const struct acme_identifier domain = {.value = at};
        tm_err e = acme_authz_find(ret, x, &domain, false, true, diag);
        if (e != TM_ENOTFOUND && (e != TM_OK || ret->row.status == ACME_VALID))
            return e;
        const char *dot = strchr(at, '.');
        at = dot ? dot + 1 : NULL;
    }
    return TM_ENOTFOUND;
}

/* Labels of the name's end; for *.example.org that is example.org itself too. */
static bool is_above(const struct acme_identifier *domain, const struct acme_identifier *id, bool wildcard)
{
    size_t n = strlen(domain->value), m = strlen(id->value);
    if (n == m)
        return wildcard && strcmp(domain->value, id->value) == 0;
    return n < m && id->value[m - n - 1] == '.' && strcmp(id->value + m - n, domain->value) == 0;
}

tm_err acme_ancestor_read(struct acme_identifier *ret, struct acme_exchange *x, const json_t *item,
                          const struct acme_identifier *id, bool wildcard)
{
    const json_t *v = json_object_get(item, "ancestorDomain");
    const char *text = json_string_value(v);
    struct diag why = {0};
    bool star = false;
    *ret = (struct acme_identifier){.value = NULL};
    if (!v)
        return TM_OK;
    struct acme_identifier domain;
    tm_err e =
        text && !id->ip ? acme_identifier_parse(&domain, &star, x->arena, "dns", text, &why) : TM_EINVAL;
    if (e == TM_ENOMEM)
        return e;
    if (e != TM_OK || star || !is_above(&domain, id, wildcard))
        return acme_refuse(x, ACME_P_MALFORMED, TM_EINVAL, "RFC 9444 4.3",
                           "\"ancestorDomain\" is no domain above %.100s", id->value);
    /* RFC 9444 4.3: who does not allow that asks for the name itself. */
    if (acme_subdomains_offered(x))
        *ret = domain;
    return TM_OK;
}
