/* store/sqlite/cert_keys.h - the octets that the index knows a certificate by.
 *
 * Layer 3, pure. A key becomes 8 octets: SipHash-2-4 over kind, tenant and value (text lower-cased), under a key of the database's own, so
 * that nobody can choose names that collide; the lowest three bits say the kind, by which the index keeps its filters apart. What cannot be told from the row's columns is stored with the row, so that the index can be
 * rebuilt without the DER:
 *
 *   keys ::= mask octet (bit n: the column of kind n is a key), then 8 octets (big-endian) for each other key */
#pragma once
#include "store/store.h"

/* As many names as a SAN extension has (x509/general_name.h), and a few more. */
enum { CERT_KEYS_MAX = 136, CERT_KEYS_BLOB_MAX = 1 + 8 * CERT_KEYS_MAX, CERT_KEY_KIND_MASK = 7 };

struct cert_hash_key {
    uint64_t k0, k1;
};

/* The columns of a row that can be keys. */
struct cert_key_columns {
    struct slice subject, device, serial, fingerprint, spki_hash;
};

uint64_t cert_key_hash(const struct cert_hash_key *hk, tenant_id tenant, enum cert_key_kind kind,
                       struct slice value);

/* All hashes of the keys given (at most CERT_KEYS_MAX, the rest is left out) and the blob; returns their number. */
size_t cert_keys_pack(uint64_t hashes[CERT_KEYS_MAX], uint8_t blob[CERT_KEYS_BLOB_MAX], size_t *ret_blob_n,
                      const struct cert_hash_key *hk, tenant_id tenant,
                      const struct cert_key_columns *columns, const struct cert_key *keys, size_t n);
/* The same hashes from a stored row. */
size_t cert_keys_unpack(uint64_t hashes[CERT_KEYS_MAX], const struct cert_hash_key *hk, tenant_id tenant,
                        const struct cert_key_columns *columns, struct slice blob);
/* Is `key` one of the row's? Columns are compared as text; for others 64 keyed bits have to do. */
bool cert_keys_match(const struct cert_hash_key *hk, tenant_id tenant, const struct cert_key_columns *columns,
                     struct slice blob, const struct cert_key *key);
