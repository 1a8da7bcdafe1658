/* What a browser hands on of an authenticator: client data, attestation objects, authenticator data, COSE keys. The first octet says which.
 * Parser: identity/webauthn.c:webauthn_client_data,webauthn_made,webauthn_used identity/cose.c:cose_key_parse,read_member identity/cbor.c */
#include "base/arena.h"
#include "identity/cbor.h"
#include "identity/webauthn.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct webauthn_place here = {.origin = "https://localhost:9443", .rp_id = "localhost"};

static void as_client_data(struct arena *a, struct slice s)
{
    const char *challenge = NULL;
    struct diag diag = {0};
    if (webauthn_client_data(&challenge, a, s, s.n & 1, &here, &diag) == TM_OK && !challenge)
        abort();
}

static void as_object(struct arena *a, struct slice s)
{
    struct webauthn_credential c;
    struct diag diag = {0};
    if (webauthn_made(&c, a, s, SLICE_LIT("{}"), &here, &diag) == TM_OK &&
        (c.id.n == 0 || c.id.n > WEBAUTHN_CREDENTIAL_ID_MAX || c.key.spki.der.n == 0))
        abort();
}

/* An assertion by a key that stands in front of it. */
static void as_use(struct arena *a, struct slice s)
{
    struct cbor cursor;
    struct cose_key key;
    struct webauthn_use use;
    struct diag diag = {0};
    cbor_init(&cursor, s);
    struct slice cose = cbor_skip(&cursor);
    if (cursor.err != TM_OK || cose_key_parse(&key, a, cose, &diag) != TM_OK)
        return;
    struct slice rest = slice_of(cursor.p, (size_t)(cursor.end - cursor.p));
    TM_IGNORE(webauthn_used(&use, &key.spki, key.alg, slice_sub(rest, 0, 37), SLICE_LIT("{}"),
                            slice_sub(rest, 37, SIZE_MAX), &here, &diag));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const ways[])(struct arena *, struct slice) = {as_client_data, as_object, as_use};
    struct arena *a = arena_new(0);
    if (a && size > 0)
        ways[data[0] % 3](a, slice_of(data + 1, size - 1));
    arena_free(a);
    return 0;
}
