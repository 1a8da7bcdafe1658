/* keys/pubkey.h - public keys out of SPKIs: recognise, measure, verify with.
 * Layer 3, thread-safe (per-thread caches of contexts). On the issuing path: no generic decoders. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "keys/alg.h"
#include "x509/cert.h"
#include "x509/csr.h"
#include "x509/spki.h"

struct pubkey_info {
    enum key_alg alg;
    unsigned bits;            /* 256, 2048, … */
    struct slice rsa_modulus; /* magnitude without leading zeros, RSA only */
    struct slice rsa_exponent;
    struct slice ec_point; /* uncompressed point, EC only */
};

/* Structure and algorithm of a public key: parameters right for the algorithm, EC point of the right form and length,
 * RSA positive odd modulus and exponent. TM_EUNSUPPORTED for algorithms we do not do, TM_EINVAL for bad ones.
 * Cheap: the curve equation is checked by pubkey_verify / pubkey_check. */
tm_err pubkey_info(struct pubkey_info *ret, const struct spki *s, struct diag *diag);

/* Full validity: on-curve etc. by the library. */
tm_err pubkey_check(const struct spki *s, struct diag *diag);

/* TM_OK, TM_EBADSIG, TM_EUNSUPPORTED (algorithm does not fit the key), TM_ECRYPTO. */
tm_err pubkey_verify(const struct spki *s, const struct algid *sigalg, struct slice message,
                     struct slice signature, struct diag *diag);

/* Proof of possession of a parsed request (signature forms). */
tm_err csr_verify_pop(const struct csr *c, struct diag *diag);
/* Signature of a certificate under an issuer's key; names are not compared here. */
tm_err cert_verify_signature(const struct cert *c, const struct spki *issuer, struct diag *diag);
