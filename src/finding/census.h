/* finding/census.h - what only a look at all of them tells: keys that occur twice, and where certificates are met.
 *
 * Layer 5, one thread: made by a full pass, bounded in memory. Of keys it remembers one bit each, by hash: a bit that stands already means
 * "perhaps twice", and the index is asked. */
#pragma once
#include "base/err.h"
#include "store/store.h"
#include <stdbool.h>
struct census;

/* `expected`: about how many certificates there are. */
tm_err census_new(struct census **ret, uint64_t expected);
void census_free(struct census *c);

/* Note a key; true when it may have been there already. */
bool census_key(struct census *c, const uint8_t spki_hash[32]);

/* Note that a machine was met with a certificate. `place` is the place's object id, 32 hex digits; it is the one that is told later where there is
 * none yet, or where this one uses the certificate and that one is a file. Beyond CENSUS_PLACES_MAX certificates nothing is noted. */
enum { CENSUS_PLACES_MAX = 2 << 20, CENSUS_HOSTS_MAX = 6 };
void census_seen(struct census *c, const uint8_t id[CERT_SERIAL_LEN], const char *place, const char *host,
                 bool file);
/* How many machines have it, CENSUS_HOSTS_MAX + 1 where there are more; *ret_place (32 hex digits) is one of the places. 0: none. */
size_t census_hosts(char ret_place[33], const struct census *c, const uint8_t id[CERT_SERIAL_LEN]);
