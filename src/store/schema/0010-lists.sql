-- 0010: which list a revoked certificate is on, where its profile has one of its own. The index holds all that a list says, as before.
ALTER TABLE cert_status ADD COLUMN list TEXT NOT NULL DEFAULT '';  -- the profile's name; '': the authority's
DROP INDEX cert_status_by_authority;
CREATE INDEX cert_status_by_authority ON cert_status (tenant, authority, id, not_after, revoked_at, reason, invalid_since, list, serial);
