-- 0006: invalidity dates; revocation lists that are files. The index of an authority's revoked certificates holds all that a list says of them,
-- so that a million are read without a look at the table for each.
ALTER TABLE cert_status ADD COLUMN invalid_since INTEGER NOT NULL DEFAULT 0;  -- unix s, 0: not said
DROP INDEX cert_status_by_authority;
CREATE INDEX cert_status_by_authority ON cert_status (tenant, authority, id, not_after, revoked_at, reason, invalid_since, serial);
ALTER TABLE crl ADD COLUMN file TEXT NOT NULL DEFAULT '';        -- in the store's directory crl/; '': it is in der
ALTER TABLE crl ADD COLUMN size INTEGER NOT NULL DEFAULT 0;      -- octets of that file
ALTER TABLE crl ADD COLUMN entries INTEGER NOT NULL DEFAULT -1;  -- -1: nobody has counted them
