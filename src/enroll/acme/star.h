/* enroll/acme/star.h - orders that renew themselves (STAR, RFC 8739): asked for, shown, ended, fetched, and renewed by the clock.
 * Layer 5. The certificates go the way of all: policy is asked for each anew, CAA too where the profile wants it. */
#pragma once
#include "enroll/acme/acme.h"

bool star_is(const struct acme_order *o);
/* newOrder's "auto-renewal"; nothing where there is none. The problem is set. */
tm_err star_read(struct acme_order *o, struct acme_exchange *x, const struct profile *p,
                 const json_t *payload);
/* The order's own members, each with a comma in front. */
void star_put(struct buf *out, struct acme_exchange *x, const struct acme_order *o, enum acme_status status);
/* RFC 8739 3.1.2: the order is posted to. */
tm_err star_cancel(struct acme_exchange *x, struct acme_order *o, enum acme_status status, struct diag *diag);
/* finalize: the first certificate's times go into the enrollment, and what renewals need into the order. */
void star_begin(struct acme_order *o, struct enrollment *e, struct slice csr);
/* In the transaction of a certificate: when the next one is due. */
void star_issued(struct acme_order *o, int64_t index, const struct plan *plan, int64_t retention);

/* With each certificate, so that it is known for one of an order that renews itself when the order has gone on to the next. */
void star_mark(struct effect *ret, const struct acme_order *o, const struct issue_request *i);
/* Is this certificate marked? */
tm_err star_marked(bool *ret, struct acme_exchange *x, const char *serial, struct diag *diag);

/* star_renew.c: the job. */
tm_err star_sweep(struct house *h, struct diag *diag);
