-- 0002: what the ACME door keeps: accounts, orders and authorizations.
--
-- The state is the door's own JSON; the columns are what it is found by. Ids begin with their time, so that new rows go to the end
-- of the tree. A row whose keep_until is over is dropped by the door's own job.

CREATE TABLE acme (
  tenant INTEGER NOT NULL,
  kind INTEGER NOT NULL,         -- enum acme_kind
  id TEXT NOT NULL,
  owner TEXT NOT NULL,           -- id of the account; '' for accounts
  key TEXT NOT NULL,             -- account: endpoint and key; authorization: account and name; order: what it replaces
  ref TEXT NOT NULL,             -- account: external key id; order: serial of its certificate
  status INTEGER NOT NULL,
  due_at INTEGER NOT NULL,       -- unix ms: when there is something to do; 0: nothing
  created_at INTEGER NOT NULL,   -- unix s
  keep_until INTEGER NOT NULL,   -- unix s; 0: for ever
  version INTEGER NOT NULL,
  state BLOB NOT NULL,
  PRIMARY KEY (tenant, kind, id)
) WITHOUT ROWID;
CREATE INDEX acme_by_owner ON acme (tenant, kind, owner, id) WHERE owner != '';
CREATE INDEX acme_by_key ON acme (tenant, kind, key, id) WHERE key != '';
CREATE INDEX acme_by_ref ON acme (tenant, kind, ref) WHERE ref != '';
CREATE INDEX acme_due ON acme (due_at) WHERE due_at != 0;
CREATE INDEX acme_old ON acme (keep_until) WHERE keep_until != 0;
