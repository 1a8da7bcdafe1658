/* status/scope.h - the CRLs of one authority: the whole one, its delta, and the shards that certificates name in their stead.
 * Layer 4, private to status/. */
#pragma once
#include "base/err.h"
#include "issue/catalog.h"
struct house;

/* "full", "delta", "indirect", "16-3": what stands before ".crl" in the address, and the store's name of it. */
struct crl_scope {
    char name[16];
    bool delta;
    bool indirect;     /* of every authority that names this one for it */
    unsigned count, k; /* count 0: everything */
};
/* Every scope of the authority; at most `max`, the rest is left out. Shards come first: who waits for a revocation waits for them. */
size_t crl_scopes(struct crl_scope *ret, size_t max, const struct authority *x);
enum { CRL_SCOPES_MAX = 4 * AUTHORITY_SHARDS_MAX + 3 };
/* TM_EINVAL for a name that no scope has. */
tm_err crl_scope_parse(struct crl_scope *ret, const char *name);
/* Does a certificate with this serial (16 octets, ours) belong there? */
bool crl_scope_has(const struct crl_scope *s, const struct authority *x, const uint8_t *serial);

/* Octets 2 to 5 of a serial of ours are its time of issue. */
static inline int64_t crl_issued_at(const uint8_t *serial)
{
    return (int64_t)((uint32_t)serial[2] << 24 | (uint32_t)serial[3] << 16 | (uint32_t)serial[4] << 8 |
                     serial[5]);
}

/* The number of shards in the document has changed: from a minute on certificates are spread anew; recorded as "authority.shards". Certificates issued
 * before keep their shard, which is published on. */
tm_err crl_shards_follow(struct house *h, struct diag *diag);
/* An authority's document names another one for its CRL: from now on that one's indirect list has its certificates, and those issued name it; recorded as
 * "authority.crl-issuer". */
tm_err crl_issuers_follow(struct house *h, struct diag *diag);
