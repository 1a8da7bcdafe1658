/* authority/anchors.h - which CA certificates the house's messages may hand out: sealed in envelopes, by ceremony (docs/adr/0008).
 * Layer 4, blocking. */
#pragma once
#include "authority/ceremony.h"
#include "store/store.h"
struct key;

enum { ANCHORS_OF_ONE_MAX = 17 }; /* a CA and what stands above it */

/* Private to authority/: seal these certificates into the envelope of `key_id`, whose key is `k` (NULL: it is opened where need be), beside those
 * that are there. The signer has the key already, and the new envelope afterwards. */
tm_err anchors_seal(struct arena *a, const struct ceremony *c, const char *key_id, struct key *k,
                    const struct slice *certs, size_t n, struct diag *diag);
/* The same for an authority that is there, at the end of a ceremony about it: beside its own key, or where that is elsewhere beside the first
 * key of a CA that the tenant has here; nothing happens where it has none. */
tm_err anchors_follow(struct arena *a, const struct ceremony *c, tenant_id tenant, const char *authority,
                      struct diag *diag);

/* A ceremony of its own: seal an authority's certificate and its chain, recorded as "ceremony.completed". `remove`: take its certificate out of
 * every envelope of the tenant instead. *ret_n of `ret`: which certificates. */
tm_err ceremony_anchors(struct ca_result ret[ANCHORS_OF_ONE_MAX], size_t *ret_n, struct arena *a,
                        const struct ceremony *c, tenant_id tenant, const char *authority, bool remove,
                        struct diag *diag);
