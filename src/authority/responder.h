/* authority/responder.h - who answers for an authority's certificates over OCSP (RFC 6960 4.2.2.2, docs/adr/0006).
 *
 * Layer 4, blocking. The key is made by ceremony, is the signer's, and may answer for its authority and do nothing else. Its certificate is
 * short (extended key usage OCSPSigning, ocspNoCheck), made and renewed by a job while the house serves: the signer certifies a responder
 * only for such a key of its own. */
#pragma once
#include "authority/ceremony.h"
#include "issue/jobs.h"
#include "store/store.h"

/* A key for an authority whose own key is in this house, in the place of one that is there. `key`: its type, NULL for ec-p256.
 * *ret_key_id lives in `a`. */
tm_err ceremony_create_responder(const char **ret_key_id, struct arena *a, const struct ceremony *c,
                                 tenant_id tenant, const char *authority, const char *key, struct diag *diag);

enum { RESPONDER_LIFE = 30 * 86400, RESPONDER_RENEW = RESPONDER_LIFE / 2 };
/* "ocsp.responder": a certificate for every responder that has none, one of another key, or one with less than RESPONDER_RENEW left. A failure is
 * the job's alarm; what is signed already is served on. */
extern const struct job responder_job;
