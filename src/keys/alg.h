/* keys/alg.h - the algorithm registry: key types and signature algorithms as data.
 * Layer 3, pure, thread-safe. To add an algorithm, add a row. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "x509/spki.h"
#include <stdbool.h>

/* Key types: row numbers are stable (stored). */
enum key_alg {
    KEY_ALG_NONE = 0,
    KEY_ALG_EC_P256 = 1,
    KEY_ALG_EC_P384 = 2,
    KEY_ALG_EC_P521 = 3,
    KEY_ALG_RSA = 4, /* any size in its range; policy narrows it */
    KEY_ALG_ED25519 = 5,
    KEY_ALG_ED448 = 6,
    KEY_ALG_ML_DSA_44 = 7,
    KEY_ALG_ML_DSA_65 = 8,
    KEY_ALG_ML_DSA_87 = 9,
    KEY_ALG_COUNT
};

struct key_alg_info {
    enum key_alg id;
    const char *
        name; /* "ec-p256", "ec-p384", "ec-p521", "rsa", "ed25519", "ed448", "ml-dsa-44", … as profiles write it */
    const char *title; /* "ECDSA P-256" */
    const char *openssl_name, *openssl_group;
    unsigned bits;               /* field size; 0 for RSA */
    unsigned min_bits, max_bits; /* RSA: 2048..8192 accepted by the code at all */
    bool can_sign, can_encipher, can_agree;
    bool post_quantum;
};
const struct key_alg_info *key_alg_info(enum key_alg id);
/* By profile name; also "rsa-2048", "rsa-3072", "rsa-4096" (sets *ret_bits, which may be NULL). TM_EUNSUPPORTED. */
tm_err key_alg_from_name(enum key_alg *ret, unsigned *ret_bits, struct slice name);

/* Signature algorithms. */
enum sig_alg {
    SIG_ALG_NONE = 0,
    SIG_ECDSA_SHA256 = 1,
    SIG_ECDSA_SHA384 = 2,
    SIG_ECDSA_SHA512 = 3,
    SIG_RSA_SHA256 = 4,
    SIG_RSA_SHA384 = 5,
    SIG_RSA_SHA512 = 6,
    SIG_RSA_PSS_SHA256 = 7,
    SIG_RSA_PSS_SHA384 = 8,
    SIG_RSA_PSS_SHA512 = 9,
    SIG_ED25519 = 10,
    SIG_ED448 = 11,
    SIG_ML_DSA_44 = 12,
    SIG_ML_DSA_65 = 13,
    SIG_ML_DSA_87 = 14,
    SIG_ALG_COUNT
};
struct sig_alg_info {
    enum sig_alg id;
    const char *name;   /* "ecdsa-sha256", "rsa-sha256", "rsa-pss-sha256", "ed25519", "ml-dsa-65", … */
    const char *digest; /* OpenSSL digest name, NULL where the scheme has its own */
    struct slice algid; /* AlgorithmIdentifier TLV as certificates carry it */
    bool pss;
};
const struct sig_alg_info *sig_alg_info(enum sig_alg id);
tm_err sig_alg_from_name(enum sig_alg *ret, struct slice name);
/* Recognise an AlgorithmIdentifier: exact parameters required (RFC 5754, RFC 8692, RFC 4055 with matching salt); TM_EUNSUPPORTED. */
tm_err sig_alg_from_algid(enum sig_alg *ret, const struct algid *a, struct diag *diag);
/* The one a key of this type signs with unless told otherwise: P-256 SHA-256, P-384 SHA-384, P-521 SHA-512, RSA SHA-256 PKCS#1 … */
enum sig_alg sig_alg_default(enum key_alg k);
bool sig_alg_fits(enum sig_alg s, enum key_alg k);
