/* Headers by which callers show who they are. Authorization with an enrollment token: an id that is a string, and a secret behind it. Cookie: the value
 * of ours, which nobody has set twice.
 * Parser: enroll/est/auth.c:split,est_authorization_read identity/session.c:cookie_value */
#include "base/arena.h"
#include "enroll/est/est.h"
#include "identity/session.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_for_cookie(struct arena *a, const char *header)
{
    struct slice value = {0}, again = {0};
    char *twice = arena_printf(a, "%s; c=1", header), *other = arena_printf(a, "%s; d=c=1", header);
    if (!cookie_value(&value, header, "c") || !value.p)
        return;
    if (memchr(value.p, ';', value.n) || value.n + 2 > strlen(header) || !strstr(header, "c="))
        abort();
    /* Twice is none; what only has the name in it is another's. */
    if (twice && cookie_value(&again, twice, "c"))
        abort();
    if (other && (!cookie_value(&again, other, "c") || !slice_eq(again, value)))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(0);
    char *header = a ? arena_strndup(a, (const char *)data, size) : NULL;
    const char *id = NULL;
    struct slice secret = {0};
    if (header && est_authorization_read(&id, &secret, a, header) &&
        (!id || !*id || secret.n == 0 || strlen(id) + secret.n >= strlen(header)))
        abort();
    if (header)
        look_for_cookie(a, header);
    arena_free(a);
    return 0;
}
