/* issue/issuer_now.h - whose hand a certificate of the inventory is from, as far as that is known today.
 *
 * Layer 4, blocking: reads the store. A row keeps what was known when it came in (issuer.h). A certificate whose CA came later, into the catalog or
 * into the inventory, was nobody's then; this looks again. What was known then stays: a trust set that is deleted changes nothing of who issued. */
#pragma once
#include "issue/issuer.h"
#include "store/store.h"
struct arena;
struct diag;
struct store;

/* Issuers' names from which no name leads to one that the catalog has, for those who ask about many in a row; {0} is empty. It holds for one tenant and
 * one catalog. */
enum { ISSUER_MEMO = 8 };
struct issuer_memo {
    uint8_t hashes[ISSUER_MEMO][32];
    size_t n; /* that were ever put */
};

/* What the row has, unless that is ISSUER_UNKNOWN and its octets are there: then by the catalog, over issuers that the inventory has by name. `memo`
 * may be NULL. */
tm_err issuer_class_now(enum issuer_class *ret, struct arena *a, struct store *store, const struct catalog *c,
                        tenant_id tenant, const struct cert_row *row, struct issuer_memo *memo,
                        struct diag *diag);
