#include "issue/issuer.h"
#include "issue/trust.h"
#include "keys/pubkey.h"

enum { STEPS_MAX = 8, TRIES_MAX = 16 };

const char *const issuer_class_names[ISSUER_CLASSES + 1] = {"unknown", "own",         "vendor",
                                                            "public",  "self-signed", NULL};

/* Who of the chain has signed it; tries are signatures that are looked at. */
static bool signer_of(struct cert *ret, const struct cert *cert, const struct slice *chain, size_t n_chain,
                      unsigned *tries)
{
    for (size_t i = 0; i < n_chain && *tries < TRIES_MAX; i++) {
        if (slice_eq(chain[i], cert->der) || cert_parse(ret, chain[i], NULL) != TM_OK ||
            !slice_eq(ret->subject, cert->issuer))
            continue;
        ++*tries;
        if (cert_verify_signature(cert, &ret->spki, NULL) == TM_OK)
            return true;
    }
    return false;
}

/* Our authority's signature on it, or on one of those above it: a CA that another of ours has certified need not be here itself. */
static bool is_own(const struct catalog *c, tenant_id tenant, const struct cert *cert,
                   const struct slice *chain, size_t n_chain)
{
    struct cert up[2] = {*cert};
    unsigned tries = 0;
    for (unsigned i = 0; i < STEPS_MAX; i++) {
        if (trust_own_issuer(c, tenant, &up[i % 2]))
            return true;
        if (!signer_of(&up[(i + 1) % 2], &up[i % 2], chain, n_chain, &tries))
            return false;
    }
    return false;
}

enum issuer_class issuer_class_of(const struct catalog *c, tenant_id tenant, const struct cert *cert,
                                  const struct slice *chain, size_t n_chain)
{
    if (is_own(c, tenant, cert, chain, n_chain))
        return ISSUER_OWN;
    const struct trust_set *const *sets;
    size_t n = catalog_trust_sets(c, &sets);
    for (size_t i = 0; i < n; i++)
        if ((sets[i]->tenant == tenant || sets[i]->tenant == TENANT_HOUSE) &&
            trust_set_reaches(sets[i], cert, chain, n_chain))
            return sets[i]->is_public ? ISSUER_PUBLIC : ISSUER_VENDOR;
    if (!slice_eq(cert->subject, cert->issuer))
        return ISSUER_UNKNOWN;
    /* Of algorithms that nothing here verifies any more (SHA-1, short keys, DSA) its names are all there is to go by; nobody trusts it for that. */
    tm_err e = cert_verify_signature(cert, &cert->spki, NULL);
    return e == TM_OK || e == TM_EUNSUPPORTED ? ISSUER_SELF_SIGNED : ISSUER_UNKNOWN;
}

enum issuer_class issuer_class_of_row(const struct cert_row *row)
{
    if (row->source == CERT_ISSUED)
        return ISSUER_OWN;
    return row->door > 0 && row->door < ISSUER_CLASSES ? (enum issuer_class)row->door : ISSUER_UNKNOWN;
}
