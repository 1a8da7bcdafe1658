/* enroll/issued.h - certificates that were issued here, as messages name them. Layer 5, blocking: reads the store. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "store/store.h"
struct arena;
struct catalog;
struct house;

/* The one of this issuer's name with this serial (INTEGER contents), in `a`; with `with_der` its DER, which is empty where the profile does not
 * keep it. TM_ENOTFOUND: there is none. */
tm_err issued_find(struct cert_row *ret, struct arena *a, struct house *h, const struct catalog *c,
                   tenant_id t, struct slice issuer, struct slice serial, bool with_der, struct diag *diag);
