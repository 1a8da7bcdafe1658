/* inventory/ask.h - a question about certificates, as people write it, made ready for the store: the language of query.h with what this house knows
 * besides (owners). Layer 5, blocking. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "store/store.h"

struct arena;
struct house;

/* *ret and what it points to are in `a`. Errors of query_parse(), and of the store's reads. */
tm_err inventory_ask(struct cert_test *ret, struct arena *a, struct house *h, tenant_id tenant,
                     struct slice text, struct diag *diag);
/* Those of the devices of one owner. TM_EINVAL: they are too many for one question. */
tm_err inventory_of_owner(struct cert_test *ret, struct arena *a, struct house *h, tenant_id tenant,
                          const char *owner, struct diag *diag);
