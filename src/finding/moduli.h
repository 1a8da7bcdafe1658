/* finding/moduli.h - the RSA moduli that a full pass meets, compared with each other for primes in common. Layer 5, one thread, private to finding/.
 *
 * Each modulus once, bounded (finding/shared_factor.h); what was compared before is remembered by hash, so that only new keys are compared, with each
 * other and with all. */
#pragma once
#include "base/err.h"
#include "store/store.h"
#include <stdatomic.h>
struct house;
struct moduli;
struct spki;

tm_err moduli_new(struct moduli **ret);
void moduli_free(struct moduli *m);
/* Keys of other kinds are passed over. */
tm_err moduli_take(struct moduli *m, const uint8_t id[CERT_SERIAL_LEN], const struct spki *spki);

struct moduli_pair {
    uint8_t one[CERT_SERIAL_LEN], other[CERT_SERIAL_LEN]; /* inventory ids of a certificate of each */
};
/* Each modulus that shares a prime, with one that it shares it with. *ret lives as long as `m`. */
tm_err moduli_compare(struct moduli *m, const struct moduli_pair **ret, size_t *ret_n, struct house *h,
                      tenant_id tenant, const atomic_bool *stop, struct diag *diag);
/* Those that are here now have been compared. One that shares is compared again each time: the certificate that was told of ends, and its key may
 * live on in another. */
tm_err moduli_remember(struct moduli *m, struct house *h, tenant_id tenant, struct diag *diag);
void moduli_counts(const struct moduli *m, uint64_t *ret_compared, uint64_t *ret_left);
