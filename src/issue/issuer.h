/* issue/issuer.h - whose hand a certificate is from: this house's, a vendor's or a public CA's that an operator has named, its own, or nobody's
 * that is known here.
 *
 * Layer 4, pure over a catalog. Decided by signatures when a certificate comes in, and kept with its row: names alone can be claimed by anybody.
 * Times don't matter, an expired certificate is still whose it is. */
#pragma once
#include "issue/catalog.h"

/* Numbers are kept in the store. */
enum issuer_class {
    ISSUER_UNKNOWN,
    ISSUER_OWN,
    ISSUER_VENDOR,
    ISSUER_PUBLIC,
    ISSUER_SELF_SIGNED,
    ISSUER_CLASSES
};
extern const char
    *const issuer_class_names[ISSUER_CLASSES + 1]; /* "unknown", "own", "vendor", "public", "self-signed" */

/* `chain`: what came with it, in any order. An authority of the tenant makes it own; a trust set of the tenant or of the house makes it what
 * its `issuers` says. */
enum issuer_class issuer_class_of(const struct catalog *c, tenant_id tenant, const struct cert *cert,
                                  const struct slice *chain, size_t n_chain);
/* As it is kept. */
enum issuer_class issuer_class_of_row(const struct cert_row *row);
