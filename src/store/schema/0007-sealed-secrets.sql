-- 0007: secrets that are needed again (keys of MACs) stand sealed by the signer beside the hash's place, which is zero for them. Those of before are
-- sealed by the program when it starts.
ALTER TABLE token ADD COLUMN sealed BLOB NOT NULL DEFAULT x'';
