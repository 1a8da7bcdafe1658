/* identity/token_use.h - when an API token was last used, and from where. Layer 5, blocking, thread-safe.
 *
 * Written once in some minutes of use, so that it costs the requests nothing. */
#pragma once
#include "base/err.h"
#include "store/store.h"
struct arena;
struct house;

enum { TOKEN_USE_EACH = 300 };

void token_used(struct house *h, tenant_id tenant, const char *id, const char *peer);
/* TM_ENOTFOUND: never, as far as is known. */
tm_err token_last_use(int64_t *ret_at, const char **ret_peer, struct arena *a, struct house *h,
                      tenant_id tenant, const char *id);
