/* enroll/acme/authz_hint.h - which authorization served an account's name last, so that the next order need not look for it by its key.
 *
 * Layer 5, thread-safe. A guess and no more: who follows it reads the row and holds it against all that counts. Bounded; the older of two
 * that fall together is forgotten. */
#pragma once
#include "enroll/acme/rows.h"

struct authz_hints;

tm_err authz_hints_new(struct authz_hints **ret);
void authz_hints_free(struct authz_hints *h);

/* `key` as acme_authz_key() has it. False: nothing is known. */
bool authz_hint_get(struct authz_hints *h, char ret_id[ACME_ID_MAX + 1], tenant_id tenant, const char *key);
void authz_hint_put(struct authz_hints *h, tenant_id tenant, const char *key, const char *id);
