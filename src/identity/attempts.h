/* identity/attempts.h - how often somebody may try: a user, an address.
 *
 * Layer 5, thread-safe, in memory. An attempt counts as failed from its beginning until it is said to be good, so that many at once are not more than
 * many one after the other. After some that failed, each further one has to wait twice as long as the one before, up to a quarter of an hour;
 * an hour without any forgets them. The table is bounded: where too many keys share a place, the one that failed least often leaves. */
#pragma once
#include "base/err.h"
#include <stdint.h>

enum { ATTEMPTS_WAIT_MAX = 900, ATTEMPTS_FREE_USER = 5, ATTEMPTS_FREE_ADDRESS = 20 };

/* May it be tried now? TM_EQUOTA with the seconds to wait. */
tm_err attempts_begin(const char *key, unsigned free, int64_t *ret_wait, struct diag *diag);
/* It was good: all is forgotten. */
void attempts_good(const char *key);
/* It was neither: not counted. */
void attempts_undo(const char *key);
/* At most `per_minute` of something in a minute. TM_EQUOTA with the seconds to wait. */
tm_err attempts_rate(const char *key, unsigned per_minute, int64_t *ret_wait, struct diag *diag);
/* "address/192.0.2.1", of IPv6 the /64, in out[64]. */
void attempts_address(char out[64], const char *peer);
/* An administrator lets somebody try again. */
void attempts_forget(const char *key);
