/* policy/review.h - a certificate that exists, held against its profile as it stands today.
 *
 * Layer 3, pure. What the profile would refuse or write otherwise: the key's algorithm, names, the lifetime, lint rules that fail. What only
 * the request showed (the caller, possession, evidence) is not looked at. */
#pragma once
#include "base/err.h"
#include <stddef.h>
#include <stdint.h>
struct arena;
struct cert;
struct profile;
struct pubkey_info;

struct profile_breach {
    const char *rule; /* "key.algorithm", "names", "lifetime.max", or a lint rule's id */
    char why[200];    /* a clause: "its key is rsa-1024, …" */
};
/* The number of them, at most `max`. `issued`: unix seconds, the day whose calendar counts. */
size_t profile_review(struct profile_breach *ret, size_t max, struct arena *a, const struct profile *p,
                      const struct cert *c, const struct pubkey_info *key, int64_t issued);

/* CA/Browser Forum BR 6.3.2: the longest life, in seconds, that a public CA may give a TLS server's certificate on that day. */
int64_t calendar_public_tls(int64_t issued);
