-- 0009: what is asked about every certificate, also where its retention keeps no DER: names of key and signature (x509/alg_name.h), and flags
-- (enum cert_flag). Rows of before have '': they are told from their DER, if it is there.
ALTER TABLE cert ADD COLUMN key_alg TEXT NOT NULL DEFAULT '';
ALTER TABLE cert ADD COLUMN sig_alg TEXT NOT NULL DEFAULT '';
ALTER TABLE cert ADD COLUMN flags INTEGER NOT NULL DEFAULT 0;
