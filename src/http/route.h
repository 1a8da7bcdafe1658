/* http/route.h - which handler a path and a method belong to. Layer 2, immutable after route_table_new(), thread-safe.
 *
 * A trie over path segments: a literal goes before a {name}, that before a {rest...}. The first that leads to a route which
 * the listener serves wins. */
#pragma once
#include "base/err.h"
#include "http/server.h"

struct target;
struct route_table;

/* `routes` as in http_server_config; borrowed. TM_EINVAL on a bad pattern, TM_ECONFLICT when two routes answer the same. */
tm_err route_table_new(struct route_table **ret, const struct http_route *const *routes, struct diag *diag);
void route_table_free(struct route_table *t);

struct route_match {
    const struct http_route *route;
    const struct http_param *params; /* in the arena; ended by a NULL name */
};

/* TM_ENOTFOUND; TM_EUNSUPPORTED when only other methods are served, which *ret_methods then lists; TM_ENOMEM. */
tm_err route_find(struct route_match *ret, unsigned *ret_methods, const struct route_table *t,
                  struct arena *a, const struct target *target, enum http_method method,
                  unsigned listener_kind);
