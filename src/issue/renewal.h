/* issue/renewal.h - when a certificate should be renewed: by its profile's rule, or in the window that somebody has moved.
 *
 * Layer 4. Windows that were moved are objects of the store (OBJECT_RENEWAL_WINDOW): campaigns and planned revocations put them, whoever tells
 * a holder reads them, whatever the protocol. Certificates are named as RFC 9773 4.1 has it, which needs no protocol either. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "store/store.h"
struct arena;
struct authority;
struct catalog;
struct cert;
struct house;
struct profile;

struct renewal_window {
    int64_t start, end;      /* unix seconds; end 0: nobody has moved it */
    const char *explanation; /* address of a page for people; "" or NULL: none */
};
/* The effect that moves it. `owner`: what it is found by when it is to go; "" nothing. */
tm_err renewal_window_put(struct effect *ret, struct arena *a, tenant_id tenant, const struct cert_row *row,
                          const char *owner, const struct renewal_window *w);
/* As it was moved, in `a`; ret->end is 0 where it was not. Blocking. TM_ECORRUPT. */
tm_err renewal_window_read(struct renewal_window *ret, struct arena *a, struct store *s, tenant_id tenant,
                           const uint8_t id[CERT_SERIAL_LEN], struct diag *diag);
/* What a holder is told: as it was moved, else from the profile's instant (NULL: from the last third) over a third of what is left; of a revoked
 * certificate one that is over. */
struct renewal_window renewal_window_of(const struct profile *p, const struct cert_row *row,
                                        const struct renewal_window *moved);

/* base64url(AKI keyIdentifier) "." base64url(serial). */
enum { RENEWAL_ID_MAX = 200 };
/* The two, whoever has that key. TM_EMALFORMED; TM_ENOTFOUND for a serial that can't be ours. */
tm_err renewal_id_read(struct slice *ret_key_id, uint8_t id[CERT_SERIAL_LEN], struct arena *a,
                       const char *text);
tm_err renewal_id_write(char out[RENEWAL_ID_MAX], struct slice key_id, struct slice serial);
/* Whose it is, and its id in the inventory. TM_EMALFORMED; TM_ENOTFOUND where no authority has that key. */
tm_err renewal_id_parse(const struct authority **ret, uint8_t id[CERT_SERIAL_LEN], struct arena *a,
                        const struct catalog *c, const char *text);
/* TM_ENOTFOUND for a certificate that no authority here has issued. */
tm_err renewal_id_of(char out[RENEWAL_ID_MAX], const struct catalog *c, const struct cert *cert);
