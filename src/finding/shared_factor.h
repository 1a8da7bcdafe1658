/* finding/shared_factor.h - RSA moduli that have a prime in common (batch GCD, after Bernstein, and Heninger et al. 2012).
 *
 * Layer 5, blocking. Moduli are taken in blocks of SHARED_BLOCK. For each block with new ones, the product of all other blocks is reduced by the
 * block's own product, and what is left goes down the block's product tree, joined at each node by its sibling: at a leaf stands the
 * product of all other moduli modulo this one, whose greatest common divisor with it tells. So n new keys among m cost (n/SHARED_BLOCK) *
 * (m/SHARED_BLOCK) multiplications of a block's size, and keys that were compared before are not compared with each other again. Multiplications
 * are BIGNUM's (Karatsuba), division goes by Newton's reciprocals. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include <stdatomic.h>
#include <stdbool.h>

enum { SHARED_BLOCK = 4096, SHARED_MODULI_MAX = 1 << 18, SHARED_OCTETS_MAX = 96 << 20 };

struct shared_modulus {
    struct slice n; /* magnitude, odd */
    bool fresh;     /* not compared with the others yet */
};
/* Calls found() for each pair that shares a prime and of which one is fresh, with their indices, once at least. `v` holds no modulus twice; its order is
 * changed: the indices are those of the changed one. `stop` (may be NULL) ends it early with TM_EUNAVAIL. TM_ENOMEM. */
tm_err shared_factors(struct shared_modulus *v, size_t n, const atomic_bool *stop,
                      tm_err (*found)(void *arg, size_t one, size_t other), void *arg);
