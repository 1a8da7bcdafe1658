/* Authorization headers with an enrollment token: an id that is a string, and a secret behind it.
 * Parser: enroll/est/auth.c:split,est_authorization_read */
#include "base/arena.h"
#include "enroll/est/est.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *a = arena_new(0);
    char *header = a ? arena_strndup(a, (const char *)data, size) : NULL;
    const char *id = NULL;
    struct slice secret = {0};
    if (header && est_authorization_read(&id, &secret, a, header) &&
        (!id || !*id || secret.n == 0 || strlen(id) + secret.n >= strlen(header)))
        abort();
    arena_free(a);
    return 0;
}
