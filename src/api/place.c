#include "api/place.h"
#include "base/arena.h"
#include "issue/house.h"
#include <arpa/inet.h>
#include <string.h>

enum { HOST_MAX = 260 };

static bool host_valid(const char *s)
{
    size_t n = strlen(s);
    return n > 0 && n < HOST_MAX &&
           strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]") == n;
}

static char *lower(struct arena *a, const char *s)
{
    char *t = arena_strdup(a, s);
    for (char *p = t; p && *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p + 'a' - 'A');
    return t;
}

tm_err api_place(struct webauthn_place *ret, const struct api_call *c, struct diag *diag)
{
    static const char scheme[] = "https://";
    const char *fixed = c->house->console_origin;
    const char *host = fixed[0] ? fixed + sizeof scheme - 1 : c->host;
    if (!host || !host_valid(host))
        return diag_fail(diag, TM_EINVAL, "RFC 9112 3.2", "Host",
                         "this needs the name under which the house is reached, in the header Host");
    char *name = lower(c->arena, host), *origin = name ? arena_printf(c->arena, "%s%s", scheme, name) : NULL;
    if (!origin)
        return TM_ENOMEM;
    /* A browser leaves out the port that https has anyway. */
    size_t n = strlen(origin);
    if (n > 4 && strcmp(origin + n - 4, ":443") == 0)
        origin[n - 4] = '\0';
    char *colon = name[0] == '[' ? strstr(name, "]:") : strrchr(name, ':');
    if (colon)
        colon[name[0] == '['] = '\0';
    *ret = (struct webauthn_place){.origin = origin, .rp_id = name};
    return TM_OK;
}

tm_err api_passkey_place(struct webauthn_place *ret, const struct api_call *c, struct diag *diag)
{
    uint8_t v4[4];
    TM_TRY(api_place(ret, c, diag));
    if (ret->rp_id[0] == '[' || inet_pton(AF_INET, ret->rp_id, v4) == 1)
        return diag_fail(diag, TM_EINVAL, "passkey.name", "Host",
                         "passkeys are for a name, not for an address: open %s by its name%s", ret->origin,
                         strncmp(ret->rp_id, "127.", 4) == 0 ? ", as https://localhost" : "");
    return TM_OK;
}

tm_err api_same_origin(const struct api_call *c, struct diag *diag)
{
    struct webauthn_place here;
    if (!c->origin)
        return TM_OK;
    TM_TRY(api_place(&here, c, diag));
    if (strcmp(here.origin, c->origin) != 0)
        return diag_fail(diag, TM_EFORBIDDEN, "session.origin", "Origin",
                         "this comes from another place than %s", here.origin);
    return TM_OK;
}
