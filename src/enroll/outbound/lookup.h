/* enroll/outbound/lookup.h - a host's addresses as this machine resolves names (hosts file, search domains, DNS).
 *
 * Layer 5, thread-safe, blocking. getaddrinfo() can't be taken back once it has begun: it runs in a few threads that are kept for it, and whoever
 * asked waits until the deadline, or until all is over, and goes. Threads that have nothing to do for some seconds end. */
#pragma once
#include "enroll/outbound/reach.h"

/* At most `max`, each once, in the machine's order of preference; an address itself is given back. Of `r` the deadline and `over`. TM_ENOTFOUND: there is
 * no such name; TM_ETIMEOUT; TM_EUNAVAIL: so many look-ups hang that no other is begun. */
tm_err lookup_addresses(struct address *ret, size_t max, size_t *ret_n, const char *host,
                        const struct reach *r);
