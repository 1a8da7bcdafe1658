/* keys/known.h - inside the signer: which certificates its messages may hand out (docs/adr/0008).
 *
 * Layer 3; any thread. What it knows comes from the keys themselves and their sealed envelopes, renewed whenever those are read, and from what
 * was signed lately. Nothing here is taken from the server's word. Keys are told apart by tenant: the part of a key's name before its first
 * dot, none for the default tenant (authority/enter.h), whose CAs may stand above those of others. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>
struct cert;
struct envelope;
struct known;

tm_err known_new(struct known **ret);
void known_free(struct known *k);

struct known_key {
    struct slice spki;
    const struct envelope *env;
};
/* All keys there are, in the place of those before; copied. */
tm_err known_keys(struct known *k, const struct known_key *v, size_t n);
/* A certificate with this TBSCertificate (SHA-256) has just been signed. Remembered until a few thousand others have come. */
void known_signed(struct known *k, const uint8_t tbs_hash[32]);

/* Did one of this signer's keys sign it? A signature is verified where it is not remembered. */
bool known_issued(struct known *k, const char *key_id, const struct cert *c);
/* A CA's, and sealed in an envelope of the tenant of `key_id`, or signed by a CA of that tenant or the default one here. */
bool known_ca(struct known *k, const char *key_id, const struct cert *c);
/* The certificate of an RA (docs/adr/0004): for what RAs do and nothing else, its key is here, and a CA here signed it. */
bool known_ra(struct known *k, const char *key_id, const struct cert *c);
