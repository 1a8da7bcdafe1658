-- 0008: what rooms keep of their own is no matter of the ACME door alone: the table gets the name of what it holds (its indexes keep theirs).
-- Of kinds from 32 on those with a status are found without going through the others.
ALTER TABLE acme RENAME TO object;
CREATE INDEX object_by_status ON object (tenant, kind, status, id) WHERE kind >= 32;
