/* issue/secrets.h - the secrets that have to be known again, out of the store and into it: sealed by the signer (docs/adr/0009).
 *
 * Layer 4, blocking, thread-safe. What was opened is kept for a few minutes, so that the messages of a transaction ask the signer once. */
#pragma once
#include "base/err.h"
#include "base/secret.h"
#include "base/slice.h"
#include "store/store.h"
struct arena;
struct house;
struct secrets;

enum { SHARED_SECRET_LEN = 32 };

tm_err secrets_new(struct secrets **ret);
/* Wipes what it keeps. */
void secrets_free(struct secrets *s);

/* Before the signer starts: a home from before there were sealed secrets gets the key for them. The passphrase is tried on the register's key first. */
tm_err secrets_key_ensure(const char *key_dir, const struct secret *passphrase, struct diag *diag);

/* The secret of a token, sealed; in `a`. */
tm_err secrets_seal(struct slice *ret, struct arena *a, struct house *h, tenant_id tenant,
                    const char *token_id, const uint8_t secret[SHARED_SECRET_LEN], struct diag *diag);
/* Opened again; wiped by the caller. Recorded now and then, as "secrets.opened". TM_EDENIED where it was not sealed here for this token, TM_EBUSY, what
 * signer and store say. */
tm_err secrets_open(uint8_t ret[SHARED_SECRET_LEN], struct arena *a, struct house *h, tenant_id tenant,
                    const char *token_id, struct slice sealed, struct diag *diag);
/* Once a home: seal those that stood in the store as they are, recorded as "secrets.sealed". */
tm_err secrets_migrate(struct house *h, struct diag *diag);
