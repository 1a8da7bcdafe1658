/* Private keys as they are brought, in any form that is read without a passphrase (with one, the file says how long its key takes to
 * derive). What is read is written and read again the same.
 * Parser: keys/key.c:key_import */
#include "base/secret.h"
#include "keys/key.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A passphrase that is too long for any callback is never used, so that no key is derived. */
static void with_passphrase(struct slice bytes)
{
    static uint8_t octets[64 << 10];
    struct secret p = {.p = octets, .n = sizeof octets};
    struct key *k = NULL;
    if (key_import(&k, bytes, &p, NULL) == TM_OK)
        key_free(k);
}

/* Padded beyond what a file may have. */
static void too_large(struct slice bytes)
{
    static uint8_t octets[1 << 20];
    struct key *k = NULL;
    memcpy(octets, bytes.p, bytes.n);
    if (key_import(&k, SLICE_ARR(octets), NULL, NULL) != TM_ETOOBIG)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct key *k = NULL, *again = NULL;
    struct secret pkcs8 = {0};
    struct diag d = {0};
    if (size == 0 || size > 64 << 10)
        return 0;
    with_passphrase(slice_of(data, size));
    too_large(slice_of(data, size));
    if (key_import(&k, slice_of(data, size), NULL, &d) != TM_OK) {
        if (d.message[0] == '\0')
            abort();
        return 0;
    }
    if (key_export_pkcs8(&pkcs8, k) != TM_OK || key_import(&again, secret_slice(&pkcs8), NULL, &d) != TM_OK)
        abort();
    else if (!slice_eq(key_spki(k), key_spki(again)) || key_alg(k) != key_alg(again))
        abort();
    secret_done(&pkcs8);
    key_free(again);
    key_free(k);
    return 0;
}
