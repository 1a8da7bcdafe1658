/* issue/record.h - what is written with an outcome: inventory rows and register events. Layer 4, private to issue/. */
#pragma once
#include "base/err.h"
#include "issue/issue.h"
#include "store/store.h"
struct sign_op;

/* CERT_ADD and the "certificate.issued" event of a certificate that has been signed; `cert` must stay until the commit. Two effects. */
tm_err record_issued(struct effect ret[2], struct issue_request *r, const struct cert *cert,
                     const struct sign_op *sign, int retention, int64_t keep_expired);
/* "enrollment.denied". */
tm_err record_denied(struct effect *ret, struct issue_request *r);
/* "enrollment.pending". */
tm_err record_pending(struct effect *ret, struct issue_request *r);
/* "signature.orphaned": signed, but its own record could not be written. */
tm_err record_orphaned(struct effect *ret, struct arena *a, const struct sign_op *sign, const char *why);
/* "device.changed": a step of the device's life. `why` is a word: "enrollment", "operator", … */
tm_err record_device_state(struct effect *ret, struct arena *a, tenant_id tenant, const char *device,
                           int from, int to, const char *why);
