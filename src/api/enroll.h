/* api/enroll.h - the REST door: one request in JSON or as it is, and its result in the form asked for. Layer 5. */
#pragma once
#include "api/api.h"
#include "issue/issue.h"

/* A request as JSON has it; texts that are absent are "". */
struct enroll_doc {
    const char *csr, *profile, *endpoint, *device, *idempotency_key, *renews, *id;
    int64_t not_before, not_after;
    bool dry_run;
    const json_t *proposed; /* borrowed; NULL: none */
};

/* Fill a pipeline request from a document {"csr": PEM or base64 of PKCS#10, CRMF or SPKAC, "profile", "endpoint", "device", "idempotency_key",
 * "not_after", "renews": serial, "proposed": profile}. Everything lives in `a`; `request_id` is kept. The caller is c's principal. ret->proposed, where there is one, is the caller's to free, also after an error. */
tm_err enroll_fill(struct issue_request *ret, struct arena *a, const struct api_call *c, const json_t *doc,
                   const char *request_id, struct diag *diag);
/* The same from its parts, which live as long as `a`, but for `csr`. */
tm_err enroll_fill_from(struct issue_request *ret, struct arena *a, const struct api_call *c,
                        const struct enroll_doc *d, const char *request_id, struct diag *diag);
/* {"status", "serial", "certificate" (PEM), "chain" (PEM), …} or the refusal, as one object; `compact`: base64 DER and no chain, for bulk. */
void enroll_result(struct buf *out, const struct issue_request *r, const char *id, bool compact);

extern const struct api_route enroll_api_routes[];
