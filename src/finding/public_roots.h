/* finding/public_roots.h - which CAs are public ones: those that this machine's list of roots names. Layer 5, any thread.
 *
 * Read once from SSL_CERT_FILE or /etc/ssl/certs/ca-certificates.crt; where neither is there, none is. */
#pragma once
#include "base/slice.h"
#include <stdbool.h>

struct cert;
bool public_root(const struct cert *c); /* is it one of them? */
/* Is its issuer's name that of one, and did that one sign it? */
bool public_root_signed(const struct cert *c);
/* Is it issued under the rules of public CAs, as its extensions say: a policy of the CA/Browser Forum, or proofs of Certificate
 * Transparency? */
bool public_rules(const struct cert *c);
