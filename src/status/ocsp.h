/* status/ocsp.h - the OCSP responder: one for all authorities (RFC 6960, RFC 9919, RFC 9654; docs/adr/0006).
 *
 * Layer 4. GET /ocsp/{base64} and POST /ocsp on the plain listener and the others. What is known of the certificate comes from the store, is
 * signed by the authority's responder key and kept in memory (bounded) for half of its lifetime, unless a revocation drops it
 * sooner. Where store or signer are out, answers that still hold are given on, and /metrics says so. */
#pragma once
#include "base/err.h"
#include "http/server.h"
#include "issue/jobs.h"
#include "status/ocsp_cache.h"
#include "x509/ocsp.h"
struct arena;
struct authority;
struct house;

enum { OCSP_CACHE_DEFAULT = 64 << 20, OCSP_UNDER_WAY_MAX = 8192 };

/* Before the server starts, with the octets that answers may take. ocsp_stop() after it has ended: waits for what is under way, answers nothing
 * more; jobs and pools may still look in until the house is closed, so that its result is freed after that. */
tm_err ocsp_start(struct house *h, size_t cache_octets);
struct ocsp *ocsp_stop(struct house *h);
void ocsp_free(struct ocsp *o);

extern const struct http_route ocsp_routes[];

enum ocsp_count {
    OCSP_FROM_CACHE,     /* signed before, and still young */
    OCSP_FRESH,          /* signed for this request */
    OCSP_STALE,          /* signed before, due to be signed again, which store or signer did not let */
    OCSP_PRESIGNED,      /* signed before anybody asked */
    OCSP_OWN,            /* signed for the house: the API, the measuring of revocations */
    OCSP_UNKNOWN_SERIAL, /* signed "unknown" or unsigned "unauthorized" about what was never issued */
    OCSP_NOT_OURS,       /* "unauthorized": no such CA here, or nobody answers for it */
    OCSP_MALFORMED,
    OCSP_LATER, /* "tryLater": store or signer are out, or too much is under way */
    OCSP_COUNT
};
extern const char *const ocsp_count_names[OCSP_COUNT];

/* An answer about one certificate of this authority, signed now or kept; with SHA-256, or SHA-1, in its CertID. Blocking. A reference for the
 * caller. `as`: what a signed one is counted as. TM_EUNAVAIL with rule "authority.ocsp" where nobody answers for it. */
tm_err ocsp_answer_get(struct ocsp_answer **ret, struct house *h, const struct authority *x,
                       const uint8_t cert[CERT_SERIAL_LEN], bool sha1, enum ocsp_count as, struct diag *diag);

/* "ocsp.record": entries of the signer's chain; "ocsp.presign": answers for the profiles that authorities name. NULL-terminated. */
extern const struct job *const ocsp_jobs[];

struct ocsp_state {
    uint64_t counts[OCSP_COUNT];
    struct ocsp_cache_stats cache;
};
/* Zero where nothing is served. */
void ocsp_state(struct house *h, struct ocsp_state *ret);
