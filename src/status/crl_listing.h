/* status/crl_listing.h - what the store says has to be on a list, in the order of the list, page by page.
 * Layer 4, private to status/. Blocking. */
#pragma once
#include "issue/house.h"
#include "status/scope.h"
#include "x509/crl.h"

struct crl_listing {
    struct house *h;
    const struct crl_scope *scope;
    int64_t ends_from;                 /* certificates that ended before this are left out */
    const struct authority *const *of; /* whose certificates: one, but for an indirect list */
    const struct authority *self;
    size_t n, i;
    bool named; /* the issuer at hand has been named to who reads */
    struct arena *page;
    struct store_read r;
    size_t row;
    bool begun;
    uint8_t octets[CERT_SERIAL_MAX + 1];
};
/* Borrows the authority and the scope. */
tm_err crl_listing_open(struct crl_listing *l, struct house *h, const struct authority *x,
                        const struct crl_scope *scope, int64_t ends_from);
/* The next entry, with the issuer at the first of each other than the list's own; borrows until the next call. TM_ENOTFOUND at the end. */
tm_err crl_listing_next(struct crl_listing *l, struct crl_entry *ret, struct diag *diag);
/* What it was made from. */
static inline const struct cert_row *crl_listing_row(const struct crl_listing *l)
{
    return &l->r.certs[l->row - 1];
}
void crl_listing_close(struct crl_listing *l);

/* A row as an entry, whose serial lies in `octets`. False for a serial that no list can name. */
bool crl_entry_of_row(struct crl_entry *ret, uint8_t octets[CERT_SERIAL_MAX + 1], const struct cert_row *row);
/* As numbers; INTEGER contents that are not negative. */
int crl_serial_cmp(struct slice a, struct slice b);
static inline bool crl_entry_same(const struct crl_entry *a, const struct crl_entry *b)
{
    return a->reason == b->reason && a->revoked_at == b->revoked_at && a->invalid_since == b->invalid_since;
}
