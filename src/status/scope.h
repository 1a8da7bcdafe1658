/* status/scope.h - the CRLs of one authority: the whole one, its delta, the shards that certificates name in their stead, and those of profiles.
 * Layer 4, private to status/. */
#pragma once
#include "base/err.h"
#include "issue/catalog.h"
struct house;

/* "full", "delta", "indirect", "16-3", "profile-web", "profile-web.delta", "profile-web.4-0": what stands before ".crl" in the address, and the store's
 * name of it. */
struct crl_scope {
    char name[CRL_LIST_NAME_MAX];
    const struct authority_list *list; /* of a profile's certificates alone; NULL: not so */
    bool delta;
    bool indirect;     /* of every authority that names this one for it */
    unsigned count, k; /* count 0: everything */
    /* when it is made, and how long it holds; seconds */
    int64_t every, lifetime;
    bool on_revocation;
    bool has_delta; /* of a complete one: what is revoked goes there first, and it is made by the clock */
};
/* Every scope of the authority; at most `max`, the rest is left out. Shards and profiles' lists come first: who waits for a revocation waits for
 * them. A delta stands behind the complete list that it goes with. */
size_t crl_scopes(struct crl_scope *ret, size_t max, const struct authority *x);
enum {
    CRL_SHARDS_MAX = 4 * AUTHORITY_SHARDS_MAX,
    CRL_OWN_MAX = 256,
    CRL_SCOPES_MAX = CRL_SHARDS_MAX + CRL_OWN_MAX + 3
};
/* The one of this name. TM_ENOTFOUND. */
tm_err crl_scope_find(struct crl_scope *ret, const struct authority *x, const char *name);
/* Could a scope have this name? */
bool crl_scope_name_valid(const char *name);
/* Where a certificate is listed beside the complete list: found once, compared with many scopes. */
struct crl_place {
    const struct authority_list *list;
    unsigned count, k; /* count 0: nowhere else */
};
/* Of a serial (16 octets, ours); `list`: the profile whose own list it names, or "". */
struct crl_place crl_place_of(const struct authority *x, const uint8_t *serial, const char *list);
/* Does a certificate belong there? */
static inline bool crl_scope_at(const struct crl_scope *s, const struct crl_place *p)
{
    return !s->count || (s->count == p->count && s->k == p->k && s->list == p->list);
}
static inline bool crl_scope_has(const struct crl_scope *s, const struct authority *x, const uint8_t *serial,
                                 const char *list)
{
    if (!s->count)
        return true;
    const struct crl_place p = crl_place_of(x, serial, list);
    return crl_scope_at(s, &p);
}
/* Since when certificates may name it; 0: always. */
int64_t crl_scope_since(const struct crl_scope *s, const struct authority *x);
/* The delta of a complete list, and the complete one of a delta. */
void crl_scope_pair(char out[CRL_LIST_NAME_MAX], const struct crl_scope *s);
/* The scope whose address stands in certificates: of a delta the complete one's. "" where that is the whole list, which needs none. */
void crl_scope_named(char out[CRL_LIST_NAME_MAX], const struct crl_scope *s);
/* Is it made anew because something was revoked? */
static inline bool crl_scope_follows(const struct crl_scope *s)
{
    return s->on_revocation && !s->has_delta;
}

/* The same of the list of this name. */
bool crl_list_follows(const struct authority *x, const char *name);

/* The number of shards in the document has changed: from a minute on certificates are spread anew; recorded as "authority.shards". Certificates issued
 * before keep their shard, which is published on. */
tm_err crl_shards_follow(struct house *h, struct diag *diag);
/* The same of profiles that ask for lists of their own; "authority.crl-list". */
tm_err crl_lists_follow(struct house *h, struct diag *diag);
/* An authority's document names another one for its CRL: from now on that one's indirect list has its certificates, and those issued name it; recorded as
 * "authority.crl-issuer". */
tm_err crl_issuers_follow(struct house *h, struct diag *diag);
