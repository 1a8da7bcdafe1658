/* identity/ticket.h - what the house says to somebody who has no session yet, known again later without being kept: challenges of passkeys, secrets of
 * TOTP that are not confirmed yet, the state of a sign-in that goes through another provider.
 *
 * Layer 5, thread-safe. A ticket is nonce, end and HMAC-SHA256 over both and its purpose, under a key that lives as long as the process. What is
 * good once is spent after it was found good, so that nobody without the right answer can fill the list of those that are. */
#pragma once
#include "base/err.h"
#include "base/slice.h"

enum { TICKET_TEXT = 76, TICKET_SECONDS = 600, TICKET_SECRET = 32 };

/* base64url text, terminated. It ends after `ttl` seconds. */
tm_err ticket_make(char ret[TICKET_TEXT], const char *purpose, int64_t ttl);
/* TM_EAUTH for another purpose or process or what is none; TM_EEXPIRED. */
tm_err ticket_check(const char *purpose, const char *text, struct diag *diag);
/* The same, and from now on it is spent: TM_EAUTH the second time. TM_EBUSY where too many others were spent in the last minutes. */
tm_err ticket_spend(const char *purpose, const char *text, struct diag *diag);
/* A secret that follows from the ticket, one a label, and that nobody else can work out. */
tm_err ticket_secret(uint8_t ret[TICKET_SECRET], const char *label, const char *text);
