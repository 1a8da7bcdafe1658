#include "issue/issuer_now.h"
#include "base/buf.h"
#include "base/digest.h"
#include "x509/cert.h"
#include "x509/name.h"
#include <string.h>

enum { STEPS = 4, OF_A_NAME = 4, NAME_MAX_OCTETS = 16 << 10 };

/* Certificates of that name, some of which may have signed; their signatures are for others to look at. */
static tm_err named(struct store_read *ret, struct buf *name, struct arena *a, struct store *store,
                    tenant_id tenant, struct slice subject, struct diag *diag)
{
    buf_reset(name);
    name_print_der(name, subject);
    *ret = (struct store_read){.kind = READ_CERTS_BY_KEY,
                               .tenant = tenant,
                               .arena = a,
                               .key = {.kind = CERT_KEY_SUBJECT, .value = buf_slice(name)},
                               .limit = OF_A_NAME,
                               .with_der = true};
    if (buf_err(name) != TM_OK || name->n == 0)
        return buf_err(name) == TM_ENOMEM ? TM_ENOMEM : TM_OK;
    tm_err e = store_read_now(store, ret);
    if (e == TM_ENOTFOUND) {
        ret->n = 0;
        return TM_OK;
    }
    if (e != TM_OK && diag)
        *diag = ret->diag;
    return e;
}

/* The issuers that may be above it, step by step along the first that parses. */
static tm_err above(struct slice *chain, size_t *ret_n, struct arena *a, struct store *store,
                    tenant_id tenant, const struct cert *cert, struct diag *diag)
{
    struct buf name;
    struct cert up = *cert;
    tm_err e = TM_OK;
    bool found = true;
    buf_init(&name, NAME_MAX_OCTETS);
    for (unsigned step = 0; step < STEPS && found && e == TM_OK && !slice_eq(up.subject, up.issuer); step++) {
        struct store_read q;
        struct slice child = up.der, issuer = up.issuer;
        e = named(&q, &name, a, store, tenant, issuer, diag);
        found = false;
        for (size_t i = 0; e == TM_OK && i < q.n; i++) {
            struct cert one;
            if (q.certs[i].der.n == 0 || slice_eq(q.certs[i].der, child) ||
                cert_parse(&one, q.certs[i].der, NULL) != TM_OK || !slice_eq(one.subject, issuer))
                continue;
            chain[(*ret_n)++] = q.certs[i].der;
            if (!found)
                up = one;
            found = true;
        }
    }
    buf_done(&name);
    return e;
}

/* ---- names that lead nowhere ---- */

static bool has_name(const struct cert *v, size_t n, struct slice name)
{
    for (size_t i = 0; i < n; i++)
        if (slice_eq(v[i].subject, name) || slice_eq(v[i].issuer, name))
            return true;
    return false;
}

/* Is one of that name in the catalog, or issued by it? */
static bool is_named(const struct catalog *c, tenant_id tenant, struct slice name)
{
    const struct authority *const *authorities;
    const struct trust_set *const *sets;
    for (size_t i = 0, n = catalog_authorities(c, &authorities); i < n; i++)
        if (authorities[i]->tenant == tenant && slice_eq(authorities[i]->cert.subject, name))
            return true;
    for (size_t i = 0, n = catalog_trust_sets(c, &sets); i < n; i++)
        if ((sets[i]->tenant == tenant || sets[i]->tenant == TENANT_HOUSE) &&
            (has_name(sets[i]->anchors, sets[i]->n_anchors, name) ||
             has_name(sets[i]->intermediates, sets[i]->n_intermediates, name)))
            return true;
    return false;
}

static bool leads_nowhere(const struct catalog *c, tenant_id tenant, const struct cert *cert,
                          const struct slice *chain, size_t n)
{
    if (is_named(c, tenant, cert->issuer))
        return false;
    for (size_t i = 0; i < n; i++) {
        struct cert up;
        if (cert_parse(&up, chain[i], NULL) == TM_OK && is_named(c, tenant, up.issuer))
            return false;
    }
    return true;
}

static bool memo_has(const struct issuer_memo *m, const uint8_t hash[SHA256_LEN])
{
    for (size_t i = 0; i < m->n && i < ISSUER_MEMO; i++)
        if (memcmp(m->hashes[i], hash, SHA256_LEN) == 0)
            return true;
    return false;
}

tm_err issuer_class_now(enum issuer_class *ret, struct arena *a, struct store *store, const struct catalog *c,
                        tenant_id tenant, const struct cert_row *row, struct issuer_memo *memo,
                        struct diag *diag)
{
    struct slice chain[STEPS * OF_A_NAME];
    uint8_t hash[SHA256_LEN];
    struct cert cert;
    size_t n = 0;
    *ret = issuer_class_of_row(row);
    if (*ret != ISSUER_UNKNOWN || row->der.n == 0 || cert_parse(&cert, row->der, NULL) != TM_OK)
        return TM_OK;
    TM_TRY(sha256(hash, cert.issuer));
    if (memo && memo_has(memo, hash))
        return TM_OK;
    TM_TRY(above(chain, &n, a, store, tenant, &cert, diag));
    if (!leads_nowhere(c, tenant, &cert, chain, n))
        *ret = issuer_class_of(c, tenant, &cert, chain, n);
    else if (memo)
        memcpy(memo->hashes[memo->n++ % ISSUER_MEMO], hash, SHA256_LEN);
    return TM_OK;
}
