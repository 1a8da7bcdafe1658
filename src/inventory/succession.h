/* inventory/succession.h - which certificate took another's place.
 *
 * Layer 5, pure. Who has a certificate is found by the device, else the first alternative name, else the subject; of theirs, what was issued later,
 * lives longer and is for the same is a successor. Told so for every door, imports and scans: what replaced a certificate need not be its renewal. */
#pragma once
#include "base/err.h"
#include "store/store.h"

struct arena;
struct cert;

/* Did `next` take the place of `row`, and does it hold at `now` (unix seconds)? */
bool succession_follows(const struct cert_row *next, const struct cert_row *row, int64_t now);
/* The key that finds those of the same holder; its value is empty where there is none. `cert` may be NULL where it is not kept; in `a`. */
tm_err succession_key(struct cert_key *ret, struct arena *a, const struct cert *cert,
                      const struct cert_row *row);
