/* keys/sealed_secret.h - secrets that the house has to know again (MAC keys of devices and accounts), sealed by a key that only the signer has
 * (docs/adr/0009).
 *
 * Layer 3, pure. Sealed: one octet 1, 12 octets nonce, the secret under AES-256-GCM, 16 octets tag; associated data are
 * "touchmark-secret-v1\0" and the name of the record that it belongs to, so that no record can be given another's. The key is
 * HMAC-SHA256(private key of an Ed25519 key that signs nothing, "touchmark-secrets-v1"). */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>
struct buf;
struct key;

/* The key's name: none of an authority's (authority/enter.h), as the tenant "house" has none of this name. */
#define SECRETS_KEY "house.secrets"

enum {
    SECRET_MAX = 64,
    SEALED_MAX = SECRET_MAX + 29,
    SECRET_RECORD_MAX = 255,
    SECRET_REQUEST_MAX = SEALED_MAX + SECRET_RECORD_MAX + 32
};

/* The signer's request, appended: SEQUENCE { record OCTET STRING, CHOICE { plain [0] OCTET STRING, sealed [1] OCTET STRING } }. */
tm_err sealed_secret_request(struct buf *out, struct slice record, bool open, struct slice secret);
/* The answer: sealed or opened. *ret_open says which it was, also where it fails. TM_EMALFORMED for another structure, TM_EINVAL for a key that is
 * none for secrets, TM_EDENIED where it was sealed under another key or for another record. */
tm_err sealed_secret_answer(uint8_t out[SEALED_MAX], size_t *ret_n, bool *ret_open, const struct key *k,
                            struct slice request, struct diag *diag);
