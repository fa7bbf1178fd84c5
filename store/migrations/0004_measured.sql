-- Workers that pause, and what a file holds whoever sent it.

-- `mode` anew: SQLite cannot change a CHECK. It compares one by one, as those of the queue do.
ALTER TABLE workers RENAME COLUMN mode TO former_mode;
ALTER TABLE workers ADD COLUMN mode TEXT NOT NULL DEFAULT 'active'
  CHECK (mode = 'active' OR mode = 'paused' OR mode = 'draining' OR mode = 'disabled');
UPDATE workers SET mode = former_mode;
ALTER TABLE workers DROP COLUMN former_mode;

-- A BLAKE3 over the BLAKE3 digests of the file's parts in order, where its worker has computed it.
ALTER TABLE telegram_objects ADD COLUMN blake3 TEXT;
-- What an account holds already, so that it is sent again without being uploaded again.
CREATE INDEX telegram_objects_same ON telegram_objects (account_id, blake3)
  WHERE blake3 IS NOT NULL AND retired_at_ms IS NULL;

-- When a worker has last measured what the link points to. An import says nothing about that.
ALTER TABLE source_links ADD COLUMN measured_at_ms INTEGER;
