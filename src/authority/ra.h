/* authority/ra.h - who signs messages in an authority's name (docs/adr/0004).
 *
 * Layer 4, blocking, a ceremony (authority/ceremony.h). CAs sign certificates and CRLs and nothing else; what a protocol wants signed besides,
 * such as a CMC response, is signed by the authority's RA: a key that may sign CMS only, with a certificate from the authority (extended
 * key usage id-kp-cmcRA, RFC 6402 2.10) that lives as long as the authority, for its key lies in the same place. */
#pragma once
#include "authority/ceremony.h"
#include "store/store.h"

/* Make one for an authority whose key is in this house, in the place of one that is there. `key`: its type, NULL for ec-p256. */
tm_err ceremony_create_ra(struct ca_result *ret, struct arena *a, const struct ceremony *c, tenant_id tenant,
                          const char *authority, const char *key, struct diag *diag);
