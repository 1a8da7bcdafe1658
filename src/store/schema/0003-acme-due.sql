-- 0003: what is due in the ACME door is found by its kind, and by its owner, so that nobody's many rows stand before those of others.

DROP INDEX acme_due;
CREATE INDEX acme_due ON acme (kind, due_at) WHERE due_at != 0;
CREATE INDEX acme_due_by_owner ON acme (kind, tenant, owner, due_at) WHERE due_at != 0;
