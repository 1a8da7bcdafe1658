/* Requests of ACME: flattened JWS by each of the three rules, with the keys inside, and their signatures.
 * Parser: enroll/acme/jws.c:jws_parse,jws_read keys/jwk.c:jwk_parse,base64url_strict,jws_signature_verify */
#include "base/arena.h"
#include "enroll/acme/jws.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum jws_rule rules[] = {JWS_OUTER, JWS_INNER, JWS_BINDING};
    struct arena *a = arena_new(0);
    for (size_t i = 0; a && i < sizeof rules / sizeof *rules; i++) {
        struct jws j;
        struct diag diag = {0};
        if (jws_parse(&j, a, slice_of(data, size), rules[i], &diag) != TM_OK)
            continue;
        /* What was accepted keeps to its rule. */
        if (j.has_jwk == (j.kid != NULL) || (rules[i] == JWS_OUTER) != (j.nonce != NULL) || !j.alg || !j.url)
            abort();
        tm_err e = j.has_jwk                 ? jws_verify(&j, a, &j.jwk.spki, &diag)
                   : rules[i] == JWS_BINDING ? jws_verify_mac(&j, a, SLICE_LIT("key"), &diag)
                                             : TM_OK;
        TM_IGNORE(e);
    }
    arena_free(a);
    return 0;
}
