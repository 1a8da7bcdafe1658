/* ID tokens of OpenID Connect and the keys that they are verified by: a token, a line feed, a JWK Set.
 * Parser: identity/id_token.c keys/jwk.c:jwk_parse,base64url_strict */
#include "base/arena.h"
#include "identity/id_token.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct id_token_wanted wanted = {.issuer = "https://idp.example.org",
                                                  .client_id = "touchmark",
                                                  .nonce = "n",
                                                  .now = 1795000000,
                                                  .skew = 60};
    struct arena *a = arena_new(0);
    const uint8_t *line = size ? memchr(data, '\n', size) : NULL;
    size_t n = line ? (size_t)(line - data) : size;
    struct id_token t;
    struct diag diag = {0};
    if (a && id_token_parse(&t, a, slice_of(data, n), &diag) == TM_OK) {
        json_t *keys = NULL;
        if (!json_is_object(t.claims) || strcmp(t.alg, "none") == 0)
            abort();
        TM_IGNORE(id_token_check(&t, &wanted, &diag));
        if (line && json_parse(&keys, slice_of(line + 1, size - n - 1), JWKS_MAX, &diag) == TM_OK)
            TM_IGNORE(id_token_verify(&t, a, keys, &diag));
        json_decref(keys);
        id_token_done(&t);
    }
    arena_free(a);
    return 0;
}
