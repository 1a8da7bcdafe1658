/* enroll/ca_bundle.h - the CA certificates that an endpoint hands out. Layer 5, pure over the catalog. */
#pragma once
#include "base/slice.h"
#include <stddef.h>
struct catalog;
struct endpoint;

enum { CA_BUNDLE_MAX = 32 };

/* Whatever a client needs to build a chain from any certificate of this endpoint to its root (RFC 7030 4.1.3, RFC 9483 4.3.1); borrowed from
 * the catalog. How many. */
size_t ca_bundle(struct slice v[CA_BUNDLE_MAX], const struct catalog *c, const struct endpoint *e);
