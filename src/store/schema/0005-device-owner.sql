-- 0005: an owner's devices are found without going through those of others.
CREATE INDEX device_owner ON device (tenant, owner, id) WHERE owner <> '';
