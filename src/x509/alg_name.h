/* x509/alg_name.h - short names of keys and signatures as an inventory lists them, whatever the algorithm: "rsa2048", "p256", "ed25519",
 * "ml-dsa-65"; "rsa-sha256", "ecdsa-sha384", "rsa-pss-sha256". What nobody knows is its dotted object identifier. Layer 2, pure. */
#pragma once
#include "base/slice.h"
struct algid;
struct spki;

enum { ALG_NAME_LEN = 64 };

/* Terminated; "unknown" where even the identifier does not fit. */
void spki_name(char out[ALG_NAME_LEN], const struct spki *s);
void sigalg_name(char out[ALG_NAME_LEN], const struct algid *a);
