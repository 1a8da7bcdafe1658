/* enroll/server_key.h - keys that are made here for who asks (RFC 7030 4.4, RFC 9483 4.1.6). Layer 5. */
#pragma once
#include "base/err.h"
struct enrollment;
struct key;
struct profile;

/* May a key of this profile (NULL: none is known) be made here? TM_EDENIED: profile.server-keygen, or profile.approval, for the key lives for
 * the length of the request and can't wait for anybody. */
tm_err server_key_check(const struct profile *p, struct diag *diag);
/* Make one as the profile says, and fill the enrollment with it: its public key, and that possession needs no proof. It takes a while; *ret is
 * the caller's. */
tm_err server_key_make(struct key **ret, struct enrollment *e, const struct profile *p, struct diag *diag);
