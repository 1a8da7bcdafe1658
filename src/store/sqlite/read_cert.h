/* store/sqlite/read_cert.h - what the reads of certificates share. Layer 3. */
#pragma once
#include "store/store.h"

struct query;
struct sqlite_store;

/* The order of CERT_COLUMNS (sql.c). */
enum cert_at {
    CERT_AT_SEQ,
    CERT_AT_TENANT,
    CERT_AT_ID,
    CERT_AT_SOURCE,
    CERT_AT_SERIAL,
    CERT_AT_AUTHORITY,
    CERT_AT_PROFILE,
    CERT_AT_PROFILE_VERSION,
    CERT_AT_SUBJECT,
    CERT_AT_DEVICE,
    CERT_AT_ENDPOINT,
    CERT_AT_DOOR,
    CERT_AT_ISSUED_AT,
    CERT_AT_NOT_BEFORE,
    CERT_AT_NOT_AFTER,
    CERT_AT_FINGERPRINT,
    CERT_AT_SPKI_HASH,
    CERT_AT_RETENTION,
    CERT_AT_KEEP_UNTIL,
    CERT_AT_KEYS,
    CERT_AT_DER,
    CERT_AT_REVOKED_AT,
    CERT_AT_REASON,
    CERT_AT_INVALID_SINCE,
    CERT_AT_KEY_ALG,
    CERT_AT_SIG_ALG,
    CERT_AT_FLAGS
};

/* One more row of the answer, from where `q` stands. */
tm_err cert_append(struct store_read *r, size_t *cap, struct query *q);
bool cert_row_has_key(struct sqlite_store *s, struct query *q, tenant_id tenant, const struct cert_key *key);
