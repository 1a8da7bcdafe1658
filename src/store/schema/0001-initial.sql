-- 0001: the first schema of touchmark.db.
--
-- The hot transaction appends to two trees and touches no random page: `cert` by seq (a counter of the committer) and `event`, by tenant and
-- position. `cert_id` follows some thousand rows behind, in order; until then the committer knows the ids by heart (sqlite/ids.h), and
-- the value of meta (0, 'store.ids') is the row up to which it is complete. Look-up by any other key is the index's, which is derived
-- from `cert` in seq order. Integer keys that carry the tenant: event.key = tenant << 40 | pos, tile.key = tenant << 43 | level << 37 | index.

CREATE TABLE meta (
  tenant INTEGER NOT NULL,
  name TEXT NOT NULL,
  value BLOB NOT NULL,
  PRIMARY KEY (tenant, name)
) WITHOUT ROWID;

CREATE TABLE cert (
  seq INTEGER PRIMARY KEY,
  tenant INTEGER NOT NULL,
  id BLOB NOT NULL,
  source INTEGER NOT NULL,
  serial BLOB NOT NULL,          -- empty: the same as id
  authority TEXT NOT NULL,
  profile TEXT NOT NULL,
  profile_version INTEGER NOT NULL,
  subject TEXT NOT NULL,
  device TEXT NOT NULL,
  endpoint TEXT NOT NULL,
  door INTEGER NOT NULL,
  issued_at INTEGER NOT NULL,    -- unix ms
  not_before INTEGER NOT NULL,   -- unix s
  not_after INTEGER NOT NULL,
  fingerprint BLOB NOT NULL,
  spki_hash BLOB NOT NULL,
  retention INTEGER NOT NULL,
  keep_until INTEGER NOT NULL,   -- unix s; 253402300799: for ever
  keys BLOB NOT NULL,            -- what the index knows it by: see sqlite/cert_keys.h
  der BLOB NOT NULL
);

CREATE TABLE cert_id (
  tenant INTEGER NOT NULL,
  id BLOB NOT NULL,
  seq INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) WITHOUT ROWID;

-- Revocations alone; an unrevoked certificate has no row.
CREATE TABLE cert_status (
  tenant INTEGER NOT NULL,
  id BLOB NOT NULL,
  seq INTEGER NOT NULL,
  authority TEXT NOT NULL,
  serial BLOB NOT NULL,
  not_after INTEGER NOT NULL,
  revoked_at INTEGER NOT NULL,   -- unix ms
  reason INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) WITHOUT ROWID;
CREATE INDEX cert_status_by_authority ON cert_status (tenant, authority, id);

-- How many rows there are: bucket 0..65535 is the first two octets of the certificates' ids (their expiry month), with the instant
-- before which nothing in it can be dropped; 65536: devices, 65537: revoked certificates.
CREATE TABLE counter (
  tenant INTEGER NOT NULL,
  bucket INTEGER NOT NULL,
  n INTEGER NOT NULL,
  keep_min INTEGER NOT NULL,
  PRIMARY KEY (tenant, bucket)
) WITHOUT ROWID;

CREATE TABLE event (
  key INTEGER PRIMARY KEY,
  time INTEGER NOT NULL,         -- unix ms
  type TEXT NOT NULL,
  subject TEXT NOT NULL,
  salt BLOB NOT NULL,
  body BLOB NOT NULL,
  leaf BLOB NOT NULL
);

CREATE TABLE tile (
  key INTEGER PRIMARY KEY,
  hashes BLOB NOT NULL
);

CREATE TABLE checkpoint (
  tenant INTEGER NOT NULL,
  size INTEGER NOT NULL,
  root BLOB NOT NULL,
  note BLOB NOT NULL,
  time INTEGER NOT NULL,         -- unix ms
  chain_seq INTEGER NOT NULL,
  PRIMARY KEY (tenant, size)
) WITHOUT ROWID;

-- The newest version of each resource; all versions are in resource_history.
CREATE TABLE resource (
  tenant INTEGER NOT NULL,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  version INTEGER NOT NULL,
  deleted INTEGER NOT NULL,
  json BLOB NOT NULL,
  updated_at INTEGER NOT NULL,   -- unix ms
  updated_by TEXT NOT NULL,
  PRIMARY KEY (tenant, kind, name)
) WITHOUT ROWID;

CREATE TABLE resource_history (
  tenant INTEGER NOT NULL,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  version INTEGER NOT NULL,
  deleted INTEGER NOT NULL,
  json BLOB NOT NULL,
  updated_at INTEGER NOT NULL,
  updated_by TEXT NOT NULL,
  PRIMARY KEY (tenant, kind, name, version)
) WITHOUT ROWID;

CREATE TABLE device (
  tenant INTEGER NOT NULL,
  id TEXT NOT NULL,
  serial TEXT NOT NULL,
  model TEXT NOT NULL,
  vendor TEXT NOT NULL,
  owner TEXT NOT NULL,
  place TEXT NOT NULL,
  batch TEXT NOT NULL,
  state INTEGER NOT NULL,
  identifiers TEXT NOT NULL,
  tags TEXT NOT NULL,
  created_at INTEGER NOT NULL,   -- unix ms
  updated_at INTEGER NOT NULL,
  version INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) WITHOUT ROWID;

CREATE TABLE token (
  tenant INTEGER NOT NULL,
  id TEXT NOT NULL,
  secret_hash BLOB NOT NULL,
  claims TEXT NOT NULL,
  expires_at INTEGER NOT NULL,   -- unix s
  max_uses INTEGER NOT NULL,
  uses INTEGER NOT NULL,
  bound_spki BLOB NOT NULL,
  bound_cert BLOB NOT NULL,
  bound_at INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  revoked INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) WITHOUT ROWID;

CREATE TABLE quota (
  tenant INTEGER NOT NULL,
  name TEXT NOT NULL,
  window_start INTEGER NOT NULL,
  taken INTEGER NOT NULL,
  PRIMARY KEY (tenant, name, window_start)
) WITHOUT ROWID;

CREATE TABLE idempotency (
  tenant INTEGER NOT NULL,
  key TEXT NOT NULL,
  request_hash BLOB NOT NULL,
  cert BLOB NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (tenant, key)
) WITHOUT ROWID;

CREATE TABLE continuation (
  tenant INTEGER NOT NULL,
  id TEXT NOT NULL,
  kind TEXT NOT NULL,
  key TEXT NOT NULL,
  state BLOB NOT NULL,
  status TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  version INTEGER NOT NULL,
  PRIMARY KEY (tenant, id)
) WITHOUT ROWID;
CREATE INDEX continuation_by_key ON continuation (tenant, key);
CREATE INDEX continuation_by_status ON continuation (tenant, status, id);

CREATE TABLE crl (
  tenant INTEGER NOT NULL,
  authority TEXT NOT NULL,
  shard TEXT NOT NULL,
  number BLOB NOT NULL,
  this_update INTEGER NOT NULL,
  next_update INTEGER NOT NULL,
  der BLOB NOT NULL,
  PRIMARY KEY (tenant, authority, shard)
) WITHOUT ROWID;
