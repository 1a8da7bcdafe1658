/* enroll/outbound/reach.h - where the house goes at somebody else's word, and getting there.
 *
 * Layer 5, one thread each. Whoever asks for a certificate chooses names, their addresses and redirects: without these rules the server would
 * be their hand inside the network. What an operator names is held to them as well, for names lead where their owners like. */
#pragma once
#include "base/err.h"
#include "base/json.h"
#include "http/address.h"
#include <stdatomic.h>

enum { REACH_ADDRESSES_MAX = 16 };

/* One errand: fill all but `why`. */
struct reach {
    const struct json_strings *networks; /* that may be connected to although they are not public */
    uint64_t deadline_ns;                /* of the monotonic clock */
    const atomic_bool *over;             /* set while it is waited: the wait ends; NULL: nothing does that */
    char why[160];                       /* what went wrong */
};

/* May it be connected to? Loopback, link-local, private, multicast and other special addresses only in networks that are named. */
bool reach_allowed(const struct json_strings *networks, const struct address *a);
/* Is the host an address, and which? */
bool reach_literal(struct address *ret, const char *host);
/* A connection to one of the addresses, tried in order. *ret_fd non-blocking. TM_EUNAVAIL, and r->why. */
tm_err reach_connect(int *ret_fd, struct reach *r, const struct address *v, size_t n, int port);
/* Wait until the descriptor is ready for POLLIN or POLLOUT; false: the deadline came first, or all is over. */
bool reach_wait(const struct reach *r, int fd, short events);
