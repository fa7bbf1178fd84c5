-- Who cancelled an upload: the queue, because it had no link left (1: the next link brings it back), or an operator.
-- Of what is cancelled already nobody can tell any more. It counts as an operator's, for what was to be gone must not come
-- back by itself; one that had merely run out of links is queued again by hand, when there is one.
ALTER TABLE upload_variants ADD COLUMN waits_for_link INTEGER NOT NULL DEFAULT 0
  CHECK (waits_for_link = 0 OR (waits_for_link = 1 AND state = 'cancelled'));
