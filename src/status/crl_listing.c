#include "status/crl_listing.h"
#include "base/arena.h"
#include "base/clock.h"
#include <string.h>

enum { PAGE = 2000 };

tm_err crl_listing_open(struct crl_listing *l, struct house *h, const struct authority *x,
                        const struct crl_scope *scope, int64_t ends_from)
{
    *l = (struct crl_listing){
        .h = h, .scope = scope, .ends_from = ends_from, .self = x, .n = 1, .page = arena_new(0)};
    l->of = &l->self;
    /* Nothing names it yet. */
    if (crl_scope_since(scope, x) > clock_now())
        l->i = l->n;
    if (scope->indirect) {
        l->of = x->crl_for;
        l->n = x->n_crl_for;
    }
    return l->page ? TM_OK : TM_ENOMEM;
}

void crl_listing_close(struct crl_listing *l)
{
    arena_free(l->page);
    l->page = NULL;
}

static bool of_scope(const void *arg, const uint8_t id[CERT_SERIAL_LEN], const char *list)
{
    const struct crl_listing *l = arg;
    return crl_scope_has(l->scope, l->self, id, list);
}

static tm_err next_page(struct crl_listing *l, struct diag *diag)
{
    uint8_t after[64];
    size_t n = 0;
    if (l->begun) {
        struct slice from = l->r.page_next;
        if (from.n == 0 || from.n > sizeof after)
            return diag_fail(diag, TM_EINTERNAL, NULL, NULL,
                             "the store has more but does not say from where");
        memcpy(after, from.p, from.n);
        n = from.n;
    }
    arena_reset(l->page);
    struct slice kept;
    TM_TRY(arena_copy(&kept, l->page, slice_of(after, n)));
    const struct authority *x = l->of[l->i];
    l->r = (struct store_read){
        .kind = READ_REVOKED,
        .tenant = x->tenant,
        .arena = l->page,
        .filter = {.authority = x->name, .not_after_from = l->ends_from, .revoked = 1, .source = -1},
        .after = kept,
        .limit = PAGE,
        .keep = l->scope->count ? of_scope : NULL,
        .keep_arg = l,
    };
    l->row = 0;
    l->begun = true;
    tm_err e = store_read_now(l->h->store, &l->r);
    if (e != TM_OK && diag)
        *diag = l->r.diag;
    return e;
}

/* TM_ENOTFOUND at the end of all. */
static tm_err next_row(struct crl_listing *l, const struct cert_row **ret, struct diag *diag)
{
    while (!l->begun || l->row == l->r.n) {
        if (l->i == l->n)
            return TM_ENOTFOUND;
        if (l->begun && !l->r.more) {
            l->i++;
            l->begun = l->named = false;
            continue;
        }
        TM_TRY(next_page(l, diag));
    }
    *ret = &l->r.certs[l->row++];
    return TM_OK;
}

bool crl_entry_of_row(struct crl_entry *ret, uint8_t octets[CERT_SERIAL_MAX + 1], const struct cert_row *row)
{
    struct slice magnitude = serial_magnitude(row->serial);
    if (magnitude.n == 0 || magnitude.n > CERT_SERIAL_MAX)
        return false;
    *ret = (struct crl_entry){.serial = serial_contents(octets, magnitude),
                              .revoked_at = row->revoked_at,
                              .reason = row->reason,
                              .invalid_since = row->invalid_since};
    return true;
}

tm_err crl_listing_next(struct crl_listing *l, struct crl_entry *ret, struct diag *diag)
{
    const struct cert_row *row;
    do
        TM_TRY(next_row(l, &row, diag));
    while (!crl_entry_of_row(ret, l->octets, row));
    /* RFC 5280 5.3.3: what names no issuer has that of the entry before, the first one that of the list. */
    if (!l->named && l->of[l->i] != l->self)
        ret->issuer = l->of[l->i]->cert.subject;
    l->named = true;
    return TM_OK;
}

int crl_serial_cmp(struct slice a, struct slice b)
{
    a = serial_magnitude(a);
    b = serial_magnitude(b);
    return a.n != b.n ? (a.n < b.n ? -1 : 1) : memcmp(a.p, b.p, a.n);
}
