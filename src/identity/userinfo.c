#include "identity/userinfo.h"
#include "base/arena.h"
#include "enroll/outbound/https.h"
#include "identity/provider.h"
#include <openssl/crypto.h>
#include <string.h>
#include <strings.h>

enum { INFO_MAX = 256 << 10, ACCESS_TOKEN_MAX = 16 << 10 };

static bool has(const json_t *claims, const char *name)
{
    const json_t *v = json_object_get(claims, name);
    return v && !json_is_null(v);
}

/* "{claim}" */
static bool names_claim(const char **ret, struct arena *a, const char *text)
{
    size_t n = strlen(text);
    if (n < 3 || text[0] != '{' || text[n - 1] != '}')
        return false;
    *ret = arena_strndup(a, text + 1, n - 2);
    return *ret != NULL;
}

bool userinfo_wanted(struct arena *a, const struct provider *p, const json_t *claims)
{
    const struct provider_rule *rules = p->doc.rules.v;
    bool wanted = !has(claims, p->doc.name_claim);
    for (size_t i = 0; i < p->doc.rules.n; i++) {
        const char *owner;
        wanted |= !has(claims, rules[i].claim);
        wanted |= names_claim(&owner, a, rules[i].owner_of) && !has(claims, owner);
    }
    return wanted;
}

/* What says how and for whom somebody signed in is the ID token's alone to say. */
static bool is_of_token(const char *name)
{
    static const char *const names[] = {"iss", "aud", "exp", "iat",       "nbf",     "nonce",  "azp",
                                        "acr", "amr", "sid", "auth_time", "at_hash", "c_hash", NULL};
    for (size_t i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

tm_err userinfo_merge(json_t *claims, const json_t *info, struct diag *diag)
{
    const char *mine = json_string_value(json_object_get(claims, "sub")),
               *theirs = json_string_value(json_object_get(info, "sub"));
    /* Core 5.3.4: else what is said of one person could be taken for another's */
    if (!mine || !theirs || strcmp(mine, theirs) != 0)
        return diag_fail(diag, TM_EDENIED, "OpenID Connect Core 5.3.4", "sub",
                         "what the provider says at its UserInfo endpoint is of somebody else");
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)info, name, value)
    {
        if (has(claims, name) || is_of_token(name))
            continue;
        if (json_object_set(claims, name, value) != 0)
            return TM_ENOMEM;
    }
    return TM_OK;
}

static tm_err unavailable(const struct provider *p, const char *why, struct diag *diag)
{
    return diag_fail(diag, TM_EUNAVAIL, "provider.unavailable", "provider",
                     "identity provider \"%s\", UserInfo: %.150s", p->doc.name, why);
}

/* RFC 6750 2.1: what can stand in a header; another kind than Bearer is not ours to use. */
static const char *bearer(const json_t *answer)
{
    const char *type = json_string_value(json_object_get(answer, "token_type")),
               *token = json_string_value(json_object_get(answer, "access_token"));
    if (!type || strcasecmp(type, "bearer") != 0 || !token || !token[0] || strlen(token) > ACCESS_TOKEN_MAX)
        return NULL;
    for (const char *s = token; *s; s++)
        if (*s <= ' ' || *s > '~')
            return NULL;
    return token;
}

/* *ret NULL: it gives nothing for this token. */
static tm_err ask(json_t **ret, struct arena *a, const struct provider *p, const char *url, const char *token,
                  struct diag *diag)
{
    struct https_answer answer = {0};
    char *line = arena_printf(a, "Authorization: Bearer %s\r\n", token);
    if (!line)
        return TM_ENOMEM;
    const struct https_request q = {.method = "GET",
                                    .url = url,
                                    .accept = "application/json",
                                    .headers = line,
                                    .ca = p->doc.ca,
                                    .networks = &p->doc.networks,
                                    .timeout_s = (unsigned)p->doc.timeout,
                                    .max = INFO_MAX};
    tm_err e = provider_ask(&answer, a, p, &q, diag);
    OPENSSL_cleanse(line, strlen(line));
    TM_TRY(e);
    *ret = NULL;
    if (answer.status == 401 || answer.status == 403)
        return TM_OK;
    if (answer.status != 200)
        return unavailable(p, "it does not answer with status 200", diag);
    /* Core 5.3.2: signed or encrypted only for a client that registered for that. */
    if (strncasecmp(answer.type, "application/json", 16) != 0)
        return unavailable(p, "it does not answer in JSON; signed and encrypted answers are not taken", diag);
    if (json_parse(ret, answer.body, INFO_MAX, diag) != TM_OK)
        return unavailable(p, "its answer is not JSON", diag);
    if (json_is_object(*ret))
        return TM_OK;
    json_decref(*ret);
    *ret = NULL;
    return unavailable(p, "its answer is not an object", diag);
}

tm_err userinfo_complete(json_t *claims, struct arena *a, const struct provider *p,
                         const struct provider_config *c, const json_t *answer, struct diag *diag)
{
    json_t *info = NULL;
    const char *token = bearer(answer);
    if (!c->userinfo[0] || !token || !userinfo_wanted(a, p, claims))
        return TM_OK;
    TM_TRY(ask(&info, a, p, c->userinfo, token, diag));
    if (!info)
        return TM_OK;
    tm_err e = userinfo_merge(claims, info, diag);
    json_decref(info);
    return e;
}
