/* enroll/acme/grounds.h - what the names of an order stand on when its client is not there to be asked: for orders that renew themselves, and for
 * those that waited for approval. Layer 5. All read the store, blocking. */
#pragma once
#include "enroll/acme/acme.h"

/* Keep in the order what each name stands on now: authorizations may be dropped before it ends. */
tm_err grounds_keep(struct acme_order *o, struct arena *a, struct house *h, tenant_id tenant,
                    struct diag *diag);
/* The challenge that proved name `i`; "" where it was granted. */
tm_err grounds_method(const char **ret, struct arena *a, struct house *h, tenant_id tenant,
                      const struct acme_order *o, size_t i, struct diag *diag);
/* The account, and in *ret_why the reason why it can't have the names any more; NULL: it can. Proofs that grew old count on: the order was made while
 * they were fresh, and its end is the endpoint's to bound. */
tm_err grounds_account(struct acme_account *ret, const char **ret_why, struct arena *a, struct house *h,
                       tenant_id tenant, const struct acme_order *o, struct diag *diag);
