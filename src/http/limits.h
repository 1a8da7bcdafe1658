/* http/limits.h - how much one peer may have: connections at a time, requests a second. Layer 1, thread-safe.
 *
 * A table of fixed size: peers that have no connection are forgotten, oldest first. An IPv6 peer is its /64, since that is what
 * one customer gets. Where a set of the table is full of connected peers, a further one is not counted: hash keys are random, so
 * nobody can aim at that, and the limit on all connections still stands. */
#pragma once
#include "base/err.h"
#include "http/address.h"

struct limits;
struct limits_peer;

/* `rate`: requests a second with a burst of four seconds; 0: not limited. */
tm_err limits_new(struct limits **ret, size_t connections_peer, unsigned rate);
void limits_free(struct limits *l);

/* A connection begins; false when the peer has too many. *ret is NULL for peers that are not counted. `count` false: only the
 * rate applies to it. */
bool limits_enter(struct limits *l, struct limits_peer **ret, const struct address *a, bool count,
                  uint64_t now_ms);
void limits_leave(struct limits *l, struct limits_peer *p, bool counted);

/* A request: 0 when it may pass, else after how many seconds another try makes sense. */
unsigned limits_request(struct limits *l, struct limits_peer *p, uint64_t now_ms);
