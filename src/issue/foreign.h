/* issue/foreign.h - inventory rows of certificates that were not issued here.
 *
 * Layer 4, blocking: reads the store. Who uses it sees to it that no other does at the same time (foreign_lock()): a certificate has one row, and
 * between asking whether there is one and writing it nobody else may. */
#pragma once
#include "issue/issuer.h"
#include "store/store.h"
struct arena;
struct diag;
struct house;

enum {
    FOREIGN_KEEP = 400 * 86400
}; /* seconds from the end of a discovered certificate, or from when it was met after that */

void foreign_lock(void);
void foreign_unlock(void);

/* The row that has this fingerprint; TM_ENOTFOUND. */
tm_err foreign_find(uint8_t ret_id[CERT_SERIAL_LEN], struct arena *a, struct house *h, tenant_id tenant,
                    const uint8_t fingerprint[32], struct diag *diag);
/* The effect that adds its row; what it borrows is in `a` or is the certificate's. A key that another has too is marked. */
tm_err foreign_add(struct effect *ret, struct arena *a, struct house *h, tenant_id tenant,
                   const struct cert *c, enum cert_source source, enum issuer_class issuer,
                   struct diag *diag);
/* "certificate.imported" or "certificate.discovered" about it. `where`: the place where it was met; NULL: none. */
tm_err foreign_event(struct effect *ret, struct arena *a, tenant_id tenant, const struct cert_row *row,
                     const char *by, const char *where, const char *run);
