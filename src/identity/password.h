/* identity/password.h - passwords of people: what is good enough, and how they are kept (Argon2id, RFC 9106).
 * Layer 5, thread-safe. Working one out takes a tenth of a second and 64 MiB; two at a time. */
#pragma once
#include "base/err.h"
#include "base/slice.h"

enum { PASSWORD_MIN = 12, PASSWORD_MAX = 256, PASSWORD_TEXT = 160 };

/* Long enough, not made of a handful of characters, not around the user's name. TM_EINVAL says what is wanted instead. */
tm_err password_acceptable(struct slice password, const char *user, struct diag *diag);
/* As PHC string: "$argon2id$v=19$m=65536,t=3,p=4$salt$hash". TM_EBUSY while two others are worked out. */
tm_err password_hash(char ret[PASSWORD_TEXT], struct slice password, struct diag *diag);
/* TM_EAUTH where it is another. `kept` NULL: there is none, which takes as long. */
tm_err password_verify(const char *kept, struct slice password, struct diag *diag);
