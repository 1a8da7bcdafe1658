/* issue/key_use.h - who else has a certificate of a key, and was it ever reported as compromised?
 *
 * Layer 4. Reads the store, blocking. A key is known by more than its SPKI: an RSA key with another exponent has the same
 * private factors, so certificates of RSA keys are also indexed by the modulus alone (store.h, CERT_KEY_SPKI).
 *
 * A key may have been certified ten thousand times, so not all uses are looked at. What keeps the answer right: whoever gets a certificate
 * of a key that another has too, gets a mark into the index with it (key_use_mark()). As long as two have a certificate of the key, one of
 * them came later and is marked. So: a few uses are compared one by one; more are all one user's unless a mark is found; with a mark all are
 * gone through, up to KEY_USES_MAX, beyond which the key counts as shared. Certificates that were only met somewhere don't count: anybody can
 * show one with another's public key in it, and could forbid it to its owner. Compromised keys are names in the store, written with the
 * revocation. */
#pragma once
#include "store/store.h"
#include "x509/spki.h"

struct arena;
struct diag;
struct house;

struct key_use {
    bool compromised;
    bool elsewhere; /* another device or subject has a certificate of it */
    const char *by; /* that subject */
};
/* `device` may be NULL or empty; `subject` is the name's text. Compared by device where both have one, by subject else. */
tm_err key_use_find(struct key_use *ret, struct arena *a, struct house *h, tenant_id tenant,
                    const struct spki *spki, const char *device, const char *subject, struct diag *diag);

/* To an EFFECT_CERT_ADD, of a key that another has too. */
tm_err key_use_mark(struct effect *e, struct arena *a, const struct spki *spki);

/* The effect that remembers the key of a certificate as compromised; `row` with its DER where that is kept. */
tm_err key_use_compromised(struct effect *ret, struct arena *a, tenant_id tenant, const struct cert_row *row);
