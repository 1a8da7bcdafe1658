/* identity/cose.h - public keys in the form of COSE (RFC 9052 section 7, RFC 9053, RFC 8230), as authenticators give them out.
 * Layer 5, pure. ES256 on P-256, EdDSA on Ed25519, RS256. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "keys/alg.h"
#include "x509/spki.h"
struct arena;

/* COSE algorithm identifiers (RFC 9053 2, RFC 8812 2), in the order in which they are preferred; ended by 0. */
extern const int cose_algs[];

struct cose_key {
    struct spki spki; /* in the arena */
    int alg;          /* one of cose_algs */
};
/* One COSE_Key. TM_EMALFORMED, TM_EUNSUPPORTED for other kinds of key, TM_EINVAL for a bad one. */
tm_err cose_key_parse(struct cose_key *ret, struct arena *a, struct slice octets, struct diag *diag);
/* Of the octets as WebAuthn signs them (ECDSA in DER). TM_EBADSIG, TM_EUNSUPPORTED. */
tm_err cose_verify(const struct spki *key, int alg, struct slice message, struct slice signature,
                   struct diag *diag);
