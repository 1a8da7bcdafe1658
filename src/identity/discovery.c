#include "identity/discovery.h"
#include "base/arena.h"
#include <string.h>

/* Some of them are sent to browsers as they are: nothing but the characters of an address (RFC 3986 2), and no fragment. */
static bool is_address(const json_t *v)
{
    const char *s = json_string_value(v);
    if (!s || json_string_length(v) >= DISCOVERY_ADDRESS_MAX || strlen(s) != json_string_length(v) ||
        strncmp(s, "https://", 8) != 0)
        return false;
    for (; *s; s++)
        if ((unsigned char)*s <= 0x20 || (unsigned char)*s >= 0x7f || strchr("\"<>\\^`{|}#", *s))
            return false;
    return true;
}

static tm_err address(const char **ret, struct arena *a, const json_t *doc, const char *name)
{
    const json_t *v = json_object_get(doc, name);
    *ret = arena_strdup(a, is_address(v) ? json_string_value(v) : "");
    return *ret ? TM_OK : TM_ENOMEM;
}

tm_err discovery_read(struct provider_config *ret, struct arena *a, const char *issuer, const json_t *doc,
                      struct diag *diag)
{
    const char *says = json_string_value(json_object_get(doc, "issuer"));
    struct provider_config c;
    TM_TRY(address(&c.authorization, a, doc, "authorization_endpoint"));
    TM_TRY(address(&c.token, a, doc, "token_endpoint"));
    TM_TRY(address(&c.jwks, a, doc, "jwks_uri"));
    TM_TRY(address(&c.userinfo, a, doc, "userinfo_endpoint"));
    TM_TRY(address(&c.logout, a, doc, "end_session_endpoint"));
    /* Else one provider could speak for another. */
    if (!says || strcmp(says, issuer) != 0)
        return diag_fail(diag, TM_EUNAVAIL, "OpenID Connect Discovery 4.3", "issuer",
                         "it calls itself by another name than the resource's issuer");
    if (!c.authorization[0] || !c.token[0] || !c.jwks[0])
        return diag_fail(diag, TM_EUNAVAIL, "OpenID Connect Discovery 3", NULL,
                         "it does not say where to sign in, get tokens and find keys by https");
    *ret = c;
    return TM_OK;
}
