/* identity/webauthn.h - what authenticators say when a passkey is made or used (W3C Web Authentication Level 3, sections 5.8, 6, 7).
 *
 * Layer 5, pure. Who asks has to look whether the challenge is one that was given out, and spend it. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "identity/cose.h"
#include <stdbool.h>

struct arena;

enum { WEBAUTHN_CREDENTIAL_ID_MAX = 1023, WEBAUTHN_CLIENT_DATA_MAX = 8192, WEBAUTHN_OBJECT_MAX = 32 << 10 };

/* Where it has to have happened. */
struct webauthn_place {
    const char *origin; /* "https://console.example.org:9443" */
    const char *rp_id;  /* "console.example.org" */
};

/* CollectedClientData (5.8.1): type, origin and challenge. *ret_challenge is its text, in `a`. TM_EMALFORMED, TM_EDENIED. */
tm_err webauthn_client_data(const char **ret_challenge, struct arena *a, struct slice json, bool making,
                            const struct webauthn_place *where, struct diag *diag);

struct webauthn_credential {
    struct slice id; /* borrows the input */
    struct cose_key key;
    uint8_t aaguid[16];
    uint32_t count;
    bool backup_eligible, backed_up;
};
/* An attestation object (6.5): the credential that was made. Formats none and packed with self attestation are verified; what others vouch for is
 * not looked at. TM_EMALFORMED, TM_EDENIED where the user was not verified or it is for another place. */
tm_err webauthn_made(struct webauthn_credential *ret, struct arena *a, struct slice attestation_object,
                     struct slice client_data, const struct webauthn_place *where, struct diag *diag);

struct webauthn_use {
    uint32_t count;
    bool backed_up;
};
/* An assertion (7.2): authenticator data and the signature over it and the hash of the client data. */
tm_err webauthn_used(struct webauthn_use *ret, const struct spki *key, int alg, struct slice auth_data,
                     struct slice client_data, struct slice signature, const struct webauthn_place *where,
                     struct diag *diag);
