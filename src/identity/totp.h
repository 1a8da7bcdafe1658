/* identity/totp.h - one-time codes of an app (RFC 6238 over RFC 4226): SHA-1, six digits, thirty seconds, which is what every app does.
 * Layer 5, pure. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

enum { TOTP_STEP = 30, TOTP_DIGITS = 6 };

/* The code of a time step. */
tm_err totp_code(char ret[TOTP_DIGITS + 1], struct slice secret, int64_t step);
/* Is it the code of this time step, the one before or the one after, and of none up to `last`? *ret_step is the one. TM_EAUTH. */
tm_err totp_check(int64_t *ret_step, struct slice secret, const char *code, int64_t last, int64_t now,
                  struct diag *diag);
/* RFC 4648 6, without padding. */
void buf_put_base32(struct buf *b, struct slice octets);
/* otpauth://totp/Touchmark:name?… */
void totp_put_uri(struct buf *b, const char *issuer, const char *user, struct slice secret);
