-- 0004: windows of quotas know when they end, so that the last one of a name goes too. Those of before: after the longest window there is.
ALTER TABLE quota ADD COLUMN window_end INTEGER NOT NULL DEFAULT 0;  -- unix s
UPDATE quota SET window_end = window_start + 315360000;
