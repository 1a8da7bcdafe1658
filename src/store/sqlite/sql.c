#include "store/sqlite/sql.h"

#define OBJECT_COLUMNS "tenant, kind, id, owner, key, ref, status, due_at, created_at, keep_until, version"
#define CERT_COLUMNS                                                                                         \
    "c.seq, c.tenant, c.id, c.source, c.serial, c.authority, c.profile, c.profile_version, "                 \
    "c.subject, c.device, c.endpoint, c.door, c.issued_at, c.not_before, c.not_after, "                      \
    "c.fingerprint, c.spki_hash, c.retention, c.keep_until, c.keys, c.der, s.revoked_at, "                   \
    "s.reason, s.invalid_since, c.key_alg, c.sig_alg, c.flags"
#define RESOURCE_COLUMNS "kind, name, version, deleted, json, updated_at, updated_by"
#define DEVICE_COLUMNS                                                                                       \
    "id, serial, model, vendor, owner, place, batch, state, identifiers, tags, created_at, "                 \
    "updated_at, version"
#define TOKEN_COLUMNS                                                                                        \
    "id, secret_hash, claims, expires_at, max_uses, uses, bound_spki, bound_cert, bound_at, "                \
    "created_by, created_at, revoked, sealed"
#define CONTINUATION_COLUMNS "id, kind, key, state, status, created_at, expires_at, version"

const char *const sql_text[SQL_COUNT] = {
    /* the transaction */
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_SAVEPOINT] = "SAVEPOINT member",
    [SQL_RELEASE] = "RELEASE member",
    [SQL_ROLLBACK_TO] = "ROLLBACK TO member",
    /* certificates */
    [SQL_CERT_ID_ADD] = "INSERT OR REPLACE INTO cert_id (tenant, id, seq) VALUES (?, ?, ?)",
    [SQL_CERT_IDS] = "SELECT seq, tenant, id FROM cert WHERE seq > ? ORDER BY seq",
    [SQL_CERT_ADD] = "INSERT INTO cert (seq, tenant, id, source, serial, authority, profile, "
                     "profile_version, subject, device, endpoint, door, issued_at, not_before, "
                     "not_after, fingerprint, spki_hash, retention, keep_until, keys, der, key_alg, "
                     "sig_alg, flags) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
                     "?, ?, ?, ?, ?, ?)",
    [SQL_CERT_BY_SEQ] =
        "SELECT " CERT_COLUMNS
        " FROM cert c LEFT JOIN cert_status s ON s.tenant = c.tenant AND s.id = c.id WHERE c.seq ="
        " ?",
    [SQL_CERT_BY_ID] = "SELECT " CERT_COLUMNS
                       " FROM cert_id i JOIN cert c ON c.seq = i.seq LEFT JOIN cert_status s ON s.tenant ="
                       " i.tenant AND s.id = i.id WHERE i.tenant = ? AND i.id = ?",
    [SQL_CERT_RANGE] =
        "SELECT " CERT_COLUMNS
        " FROM cert_id i CROSS JOIN cert c ON c.seq = i.seq LEFT JOIN cert_status s ON s.tenant ="
        " i.tenant AND s.id = i.id WHERE i.tenant = ? AND i.id > ? AND i.id < ? ORDER BY i.id",
    [SQL_CERT_REVOKED_RANGE] =
        "SELECT " CERT_COLUMNS
        " FROM cert_status s CROSS JOIN cert c ON c.seq = s.seq WHERE s.tenant = ? AND s.id > ? AND s.id < ? ORDER BY s.id",
    [SQL_CERT_ARRIVED] =
        "SELECT " CERT_COLUMNS
        " FROM cert c LEFT JOIN cert_status s ON s.tenant = c.tenant AND s.id = c.id WHERE c.seq > ? "
        "AND c.seq <= ? AND c.tenant = ? ORDER BY c.seq LIMIT ?",
    [SQL_CERT_FOR_COLUMNS] =
        "SELECT seq, tenant, source, authority, profile, device <> '', issued_at, not_before, not_after, "
        "keep_until, key_alg, sig_alg, flags, CASE key_alg WHEN '' THEN der ELSE x'' END FROM cert "
        "WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?",
    [SQL_CERT_SEQS] = "SELECT seq FROM cert WHERE seq > ? AND seq <= ? ORDER BY seq",
    [SQL_STATUS_ALL] = "SELECT seq, reason FROM cert_status",
    [SQL_CERT_SEQ] = "SELECT seq FROM cert_id WHERE tenant = ? AND id = ?",
    [SQL_CERT_SEQ_MAX] = "SELECT max(seq) FROM cert",
    [SQL_CERT_SEQ_MIN] = "SELECT min(seq) FROM cert",
    [SQL_CERT_FOR_INDEX] = "SELECT seq, tenant, id, serial, subject, device, fingerprint, spki_hash, keys "
                           "FROM cert WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?",
    [SQL_CERT_FOR_REVOKE] = "SELECT not_after, authority, serial FROM cert WHERE seq = ?",
    [SQL_CERT_EXPIRED] = "SELECT i.id, i.seq, c.keep_until FROM cert_id i CROSS JOIN cert c ON c.seq = "
                         "i.seq WHERE i.tenant = ? AND i.id > ? AND i.id < ? ORDER BY i.id LIMIT ?",
    [SQL_CERT_DROP] = "DELETE FROM cert WHERE seq = ?",
    [SQL_CERT_ID_DROP] = "DELETE FROM cert_id WHERE tenant = ? AND id = ?",
    [SQL_STATUS_GET] = "SELECT revoked_at, reason FROM cert_status WHERE tenant = ? AND id = ?",
    [SQL_STATUS_PUT] =
        "INSERT INTO cert_status (tenant, id, seq, authority, serial, not_after, revoked_at, "
        "reason, invalid_since, list) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, id) DO "
        "UPDATE SET revoked_at = excluded.revoked_at, reason = excluded.reason, "
        "invalid_since = excluded.invalid_since",
    [SQL_STATUS_DROP] = "DELETE FROM cert_status WHERE tenant = ? AND id = ?",
    [SQL_STATUS_OF_AUTHORITY] =
        "SELECT id, serial, not_after, revoked_at, reason, invalid_since, list FROM cert_status INDEXED BY "
        "cert_status_by_authority WHERE tenant = ? AND authority = ? AND id > ? AND "
        "not_after >= ? ORDER BY id LIMIT ?",
    [SQL_COUNTER_ADD] = "INSERT INTO counter (tenant, bucket, n, keep_min) VALUES (?, ?, ?, ?) ON "
                        "CONFLICT (tenant, bucket) DO UPDATE SET n = n + excluded.n, keep_min = "
                        "min(keep_min, excluded.keep_min)",
    [SQL_COUNTER_LIST] = "SELECT bucket, n FROM counter WHERE tenant = ?",
    [SQL_COUNTER_EXPIRED] = "SELECT tenant, bucket FROM counter WHERE bucket < 65536 AND keep_min <= ? AND "
                            "(bucket & 32767) <= ? AND (tenant > ? OR (tenant = ? AND bucket > ?)) ORDER BY "
                            "tenant, bucket LIMIT 1",
    [SQL_COUNTER_KEEP] = "UPDATE counter SET keep_min = ? WHERE tenant = ? AND bucket = ?",
    [SQL_COUNTER_TRIM] = "DELETE FROM counter WHERE n <= 0",
    /* the log */
    [SQL_EVENT_ADD] = "INSERT INTO event (key, time, type, subject, salt, body, leaf) VALUES (?, ?, ?, "
                      "?, ?, ?, ?)",
    [SQL_EVENT_LAST_BELOW] = "SELECT max(key) FROM event WHERE key < ?",
    [SQL_EVENT_LAST] = "SELECT max(key) FROM event WHERE key >= ? AND key < ?",
    [SQL_EVENT_RANGE] = "SELECT key, time, type, subject, salt, body, leaf FROM event WHERE key >= ? AND "
                        "key < ? ORDER BY key LIMIT ?",
    [SQL_EVENT_LEAVES] = "SELECT leaf FROM event WHERE key >= ? AND key < ? ORDER BY key LIMIT ?",
    [SQL_EVENT_ERASE] = "UPDATE event SET salt = x'', body = ?2 WHERE key = ?1",
    [SQL_TILE_PUT] = "INSERT INTO tile (key, hashes) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET "
                     "hashes = excluded.hashes",
    [SQL_TILE_GET] = "SELECT hashes FROM tile WHERE key = ?",
    [SQL_CHECKPOINT_MAX] = "SELECT max(size) FROM checkpoint WHERE tenant = ?",
    [SQL_CHECKPOINT_PUT] = "INSERT INTO checkpoint (tenant, size, root, note, time, chain_seq) VALUES (?, ?, "
                           "?, ?, ?, ?) ON CONFLICT (tenant, size) DO UPDATE SET root = excluded.root, note "
                           "= excluded.note, time = excluded.time, chain_seq = excluded.chain_seq",
    [SQL_CHECKPOINT_NEWEST] =
        "SELECT size, root, note, time, chain_seq FROM checkpoint WHERE tenant = ? ORDER "
        "BY size DESC LIMIT 1",
    [SQL_CHECKPOINT_GET] = "SELECT size, root, note, time, chain_seq FROM checkpoint WHERE tenant = ? AND "
                           "size = ?",
    [SQL_CHECKPOINT_RANGE] = "SELECT size, root, note, time, chain_seq FROM checkpoint WHERE tenant = ? AND "
                             "size >= ? ORDER BY size LIMIT ?",
    [SQL_META_PUT] = "INSERT INTO meta (tenant, name, value) VALUES (?, ?, ?) ON CONFLICT (tenant, "
                     "name) DO UPDATE SET value = excluded.value",
    [SQL_META_GET] = "SELECT value FROM meta WHERE tenant = ? AND name = ?",
    /* resources and devices */
    [SQL_RESOURCE_VERSION] =
        "SELECT version, deleted FROM resource WHERE tenant = ? AND kind = ? AND name = ?",
    [SQL_RESOURCE_PUT] = "INSERT INTO resource (tenant, kind, name, version, deleted, json, updated_at, "
                         "updated_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, kind, name) DO "
                         "UPDATE SET version = excluded.version, deleted = excluded.deleted, json = "
                         "excluded.json, updated_at = excluded.updated_at, updated_by = "
                         "excluded.updated_by",
    [SQL_RESOURCE_HISTORY_ADD] = "INSERT INTO resource_history (tenant, kind, name, version, deleted, json, "
                                 "updated_at, updated_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    [SQL_RESOURCE_GET] =
        "SELECT " RESOURCE_COLUMNS " FROM resource WHERE tenant = ? AND kind = ? AND name = ?",
    [SQL_RESOURCE_GET_VERSION] =
        "SELECT " RESOURCE_COLUMNS
        " FROM resource_history WHERE tenant = ? AND kind = ? AND name = ? AND version = ?",
    [SQL_RESOURCE_ALL] =
        "SELECT " RESOURCE_COLUMNS
        " FROM resource WHERE tenant = ? AND (kind, name) > (?, ?) AND deleted = 0 ORDER BY kind,"
        " name LIMIT ?",
    [SQL_RESOURCE_OF_KIND] =
        "SELECT " RESOURCE_COLUMNS
        " FROM resource WHERE tenant = ? AND kind = ? AND name > ? AND deleted = 0 ORDER BY name"
        " LIMIT ?",
    [SQL_RESOURCE_HISTORY] =
        "SELECT " RESOURCE_COLUMNS
        " FROM resource_history WHERE tenant = ? AND kind = ? AND name = ? AND version > ? ORDER"
        " BY version LIMIT ?",
    [SQL_DEVICE_VERSION] = "SELECT version, created_at FROM device WHERE tenant = ? AND id = ?",
    [SQL_DEVICE_PUT] = "INSERT INTO device (tenant, id, serial, model, vendor, owner, place, batch, "
                       "state, identifiers, tags, created_at, updated_at, version) VALUES (?, ?, ?, ?, "
                       "?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, id) DO UPDATE SET serial = "
                       "excluded.serial, model = excluded.model, vendor = excluded.vendor, owner = "
                       "excluded.owner, place = excluded.place, batch = excluded.batch, state = "
                       "excluded.state, identifiers = excluded.identifiers, tags = excluded.tags, "
                       "updated_at = excluded.updated_at, version = excluded.version",
    [SQL_DEVICE_GET] = "SELECT " DEVICE_COLUMNS " FROM device WHERE tenant = ? AND id = ?",
    [SQL_DEVICE_RANGE] =
        "SELECT " DEVICE_COLUMNS " FROM device WHERE tenant = ? AND id > ? AND id >= ? ORDER BY id",
    [SQL_DEVICE_OWNED] =
        "SELECT " DEVICE_COLUMNS " FROM device INDEXED BY device_owner WHERE tenant = ? AND id > ? "
        "AND id >= ? AND owner = ? AND owner <> '' ORDER BY id",
    /* tokens, quotas and what waits */
    [SQL_TOKEN_ADD] =
        "INSERT INTO token (tenant, id, secret_hash, claims, expires_at, max_uses, uses, "
        "bound_spki, bound_cert, bound_at, created_by, created_at, revoked, sealed) VALUES (?, ?, "
        "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [SQL_TOKEN_GET] = "SELECT " TOKEN_COLUMNS " FROM token WHERE tenant = ? AND id = ?",
    [SQL_TOKEN_RANGE] = "SELECT " TOKEN_COLUMNS " FROM token WHERE tenant = ? AND id > ? ORDER BY id LIMIT ?",
    [SQL_TOKEN_USE] = "UPDATE token SET uses = uses + 1, bound_spki = ?, bound_cert = ?, bound_at = ? "
                      "WHERE tenant = ? AND id = ?",
    [SQL_TOKEN_SEAL] = "UPDATE token SET secret_hash = zeroblob(32), sealed = ? WHERE tenant = ? AND id = ?",
    [SQL_TOKEN_REVOKE] = "UPDATE token SET revoked = 1 WHERE tenant = ? AND id = ?",
    [SQL_QUOTA_GET] = "SELECT taken FROM quota WHERE tenant = ? AND name = ? AND window_start = ?",
    [SQL_QUOTA_TAKE] =
        "INSERT INTO quota (tenant, name, window_start, taken, window_end) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (tenant, name, window_start) DO UPDATE SET taken = taken + "
        "excluded.taken, window_end = excluded.window_end",
    [SQL_QUOTA_OLD] = "DELETE FROM quota WHERE window_end < ?",
    [SQL_IDEM_GET] = "SELECT request_hash, cert, expires_at FROM idempotency WHERE tenant = ? AND key "
                     "= ?",
    [SQL_IDEM_PUT] = "INSERT INTO idempotency (tenant, key, request_hash, cert, expires_at) VALUES (?, "
                     "?, ?, ?, ?) ON CONFLICT (tenant, key) DO UPDATE SET request_hash = "
                     "excluded.request_hash, cert = excluded.cert, expires_at = excluded.expires_at",
    [SQL_IDEM_RANGE] = "SELECT tenant, key, expires_at FROM idempotency WHERE (tenant, key) > (?, ?) "
                       "ORDER BY tenant, key LIMIT ?",
    [SQL_IDEM_DROP] = "DELETE FROM idempotency WHERE tenant = ? AND key = ?",
    [SQL_CONTINUATION_VERSION] = "SELECT version, created_at FROM continuation WHERE tenant = ? AND id = ?",
    [SQL_CONTINUATION_PUT] =
        "INSERT INTO continuation (tenant, id, kind, key, state, status, created_at, "
        "expires_at, version) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, id) "
        "DO UPDATE SET kind = excluded.kind, key = excluded.key, state = excluded.state, "
        "status = excluded.status, expires_at = excluded.expires_at, version = "
        "excluded.version",
    [SQL_CONTINUATION_GET] = "SELECT " CONTINUATION_COLUMNS " FROM continuation WHERE tenant = ? AND id = ?",
    /* INDEXED BY: without statistics the planner would rather walk through all there is of a tenant, or of a kind, than take such an index. */
    [SQL_CONTINUATION_BY_KEY] =
        "SELECT " CONTINUATION_COLUMNS
        " FROM continuation INDEXED BY continuation_by_key WHERE tenant = ? AND key = ? ORDER BY created_at DESC, id DESC LIMIT 1",
    [SQL_CONTINUATION_RANGE] =
        "SELECT " CONTINUATION_COLUMNS " FROM continuation WHERE tenant = ? AND id > ? ORDER BY id LIMIT ?",
    [SQL_CONTINUATION_BY_STATUS] =
        "SELECT " CONTINUATION_COLUMNS
        " FROM continuation INDEXED BY continuation_by_status WHERE tenant = ? AND status = ? AND id > ? ORDER BY id LIMIT ?",
    [SQL_CONTINUATION_OLD] = "DELETE FROM continuation WHERE expires_at < ? AND expires_at > 0",
    [SQL_CRL_NUMBER] = "SELECT number, this_update FROM crl WHERE tenant = ? AND authority = ? AND shard = ?",
    [SQL_CRL_PUT] = "INSERT INTO crl (tenant, authority, shard, number, this_update, next_update, "
                    "der, file, size, entries) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, "
                    "authority, shard) DO UPDATE SET number = excluded.number, this_update = "
                    "excluded.this_update, next_update = excluded.next_update, der = excluded.der, file = "
                    "excluded.file, size = excluded.size, entries = excluded.entries",
    [SQL_CRL_GET] =
        "SELECT authority, shard, number, this_update, next_update, der, file, size, entries FROM crl WHERE "
        "tenant = ? AND authority = ? AND shard = ?",
    /* objects of the rooms */
    [SQL_OBJECT_VERSION] = "SELECT version FROM object WHERE tenant = ? AND kind = ? AND id = ?",
    [SQL_OBJECT_RIVAL] =
        "SELECT 1 FROM object WHERE tenant = ? AND kind = ? AND key = ? AND key != '' AND id != ? LIMIT 1",
    [SQL_OBJECT_ADD] =
        "INSERT INTO object (tenant, kind, id, owner, key, ref, status, due_at, created_at, keep_until, version, state) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    /* The owner stays, and with it the place in that index. */
    [SQL_OBJECT_CHANGE] =
        "UPDATE object SET key = ?4, ref = ?5, status = ?6, due_at = ?7, keep_until = ?8, version = ?9, "
        "state = ?10 WHERE tenant = ?1 AND kind = ?2 AND id = ?3",
    [SQL_OBJECT_DROP] = "DELETE FROM object WHERE tenant = ? AND kind = ? AND id = ?",
    [SQL_OBJECT_GET] =
        "SELECT " OBJECT_COLUMNS ", state FROM object WHERE tenant = ? AND kind = ? AND id = ?",
    [SQL_OBJECT_BY_KEY] =
        "SELECT " OBJECT_COLUMNS
        ", state FROM object INDEXED BY acme_by_key WHERE tenant = ? AND kind = ? AND key = ? AND key != '' ORDER BY id DESC LIMIT ?",
    [SQL_OBJECT_BY_REF] =
        "SELECT " OBJECT_COLUMNS
        ", state FROM object INDEXED BY acme_by_ref WHERE tenant = ? AND kind = ? AND ref = ? AND ref != '' AND id > ? "
        "ORDER BY id LIMIT ?",
    [SQL_OBJECTS] = "SELECT " OBJECT_COLUMNS
                    ", state FROM object WHERE tenant = ? AND kind = ? AND id > ? ORDER BY id LIMIT ?",
    [SQL_OBJECTS_BY_STATUS] =
        "SELECT " OBJECT_COLUMNS
        ", state FROM object INDEXED BY object_by_status WHERE kind >= 32 AND tenant = ? AND kind = ? AND status = ? AND "
        "id > ? ORDER BY id LIMIT ?",
    [SQL_OBJECTS_OWNED] =
        "SELECT " OBJECT_COLUMNS
        ", state FROM object INDEXED BY acme_by_owner WHERE tenant = ? AND kind = ? AND owner = ? AND owner != '' AND id > ? "
        "ORDER BY id LIMIT ?",
    [SQL_OBJECTS_DUE] =
        "SELECT " OBJECT_COLUMNS
        ", x'' FROM object WHERE kind = ? AND due_at != 0 AND due_at <= ? ORDER BY due_at LIMIT ?",
    [SQL_OBJECTS_DUE_OWNER] =
        "SELECT tenant, owner FROM object WHERE kind = ? AND due_at != 0 AND (tenant, owner) > (?, ?) "
        "ORDER BY tenant, owner LIMIT 1",
    [SQL_OBJECTS_DUE_OF] =
        "SELECT " OBJECT_COLUMNS
        ", x'' FROM object WHERE kind = ? AND tenant = ? AND owner = ? AND due_at != 0 AND "
        "due_at <= ? ORDER BY due_at LIMIT ?",
    [SQL_OBJECTS_OLD] =
        "SELECT " OBJECT_COLUMNS
        ", x'' FROM object WHERE keep_until != 0 AND keep_until <= ? ORDER BY keep_until LIMIT ?",
};
