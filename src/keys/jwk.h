/* keys/jwk.h - public keys and signatures in the forms of JOSE: JWK (RFC 7517, RFC 7518 section 6, RFC 8037, RFC 9964), their
 * thumbprints (RFC 7638) and JWS signatures (RFC 7518 section 3, RFC 8037, RFC 9964).
 *
 * Layer 3, thread-safe. What comes out is an SPKI, so that everything else in the house deals with one form of key. */
#pragma once
#include "base/err.h"
#include "base/json.h"
#include "base/slice.h"
#include "keys/pubkey.h"
#include "x509/spki.h"
struct arena;

enum { JWK_THUMBPRINT_LEN = 32 };

struct jwk {
    struct spki spki; /* in the arena */
    struct pubkey_info key;
    uint8_t thumbprint[JWK_THUMBPRINT_LEN]; /* SHA-256 */
};

/* base64url without padding, white space or stray bits in the last character (RFC 7515 section 2); result in `a`. TM_EMALFORMED. */
tm_err base64url_strict(struct slice *ret, struct arena *a, struct slice text);

/* A public key: EC P-256/384/521, RSA of 2048 to 4096 bits, OKP Ed25519/Ed448, AKP ML-DSA. Members that do not belong to the key's
 * public part are passed over, but a private or symmetric key is TM_EINVAL. TM_EUNSUPPORTED for other types and curves. The key is
 * checked as pubkey_check() does. */
tm_err jwk_parse(struct jwk *ret, struct arena *a, const json_t *doc, struct diag *diag);

/* Is `alg` one of the signature algorithms that jws_signature_verify() takes? */
bool jws_alg_known(const char *alg);
extern const char *const jws_alg_names[]; /* ended by NULL */

/* Verify a JWS signature. TM_EUNSUPPORTED: no such algorithm; TM_EINVAL: it does not fit the key; TM_EBADSIG. */
tm_err jws_signature_verify(const struct spki *key, const char *alg, struct slice input,
                            struct slice signature, struct diag *diag);
