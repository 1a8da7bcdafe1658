/* issue/trust.h - does a presented certificate chain up to a trust set or to our own authorities?
 *
 * Layer 4, pure over a catalog. Path building over the set's anchors and intermediates plus the presented chain: names, signatures, CA
 * flags, pathLen, keyCertSign, validity at `now`. No revocation here: the caller asks the store for own certificates. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "issue/catalog.h"
struct arena;

/* TM_OK; TM_EAUTH no path; TM_EEXPIRED everything fits but the leaf's (or a CA's) time; other errors as they come. */
tm_err trust_set_verify(const struct trust_set *t, const struct cert *leaf, const struct slice *chain,
                        size_t n_chain, int64_t now, struct diag *diag);
/* Do names and signatures lead from the leaf to the set, whatever the times and the other extensions? Whose it is, not whether it holds. */
bool trust_set_reaches(const struct trust_set *t, const struct cert *leaf, const struct slice *chain,
                       size_t n_chain);
/* The identifier that the set derives from a leaf ("device_id_from"); TM_ENOTFOUND when it carries none. In `a`. */
tm_err trust_set_device_id(const char **ret, struct arena *a, const struct trust_set *t,
                           const struct cert *leaf);
/* Which of our authorities in the tenant signed this leaf; NULL none. Signature verified. */
const struct authority *trust_own_issuer(const struct catalog *c, tenant_id tenant, const struct cert *leaf);
