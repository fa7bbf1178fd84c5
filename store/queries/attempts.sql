-- The history of leases.

-- name: insert_attempt
INSERT INTO upload_attempts (variant_id, fence, worker_id, account_id, link_id, outcome, reason, detail, stage, plan,
  bytes_read, started_at_ms, finished_at_ms)
VALUES (:variant_id, :fence, :worker_id, :account_id, :link_id, :outcome, :reason, :detail, :stage, :plan,
  :bytes_read, :started_at_ms, :finished_at_ms);

-- name: outcomes_of_lease
SELECT DISTINCT a.outcome
FROM upload_attempts a JOIN workers w ON w.id = a.worker_id
WHERE a.variant_id = :variant_id AND a.fence = :fence AND w.name = :worker;

-- name: account_of_ended_lease
-- The account that the lease uploaded with, whichever the worker speaks for now.
SELECT a.worker_id, a.account_id
FROM upload_attempts a JOIN workers w ON w.id = a.worker_id
WHERE a.variant_id = :variant_id AND a.fence = :fence AND w.name = :worker
LIMIT 1;

-- name: attempt_ids
-- The newest before a row: of all, or of one worker, which is looked for among all.
SELECT id FROM upload_attempts
WHERE id < :before AND (:worker_id IS NULL OR worker_id = :worker_id)
ORDER BY id DESC LIMIT :limit;

-- name: attempt_ids_of_variant
-- The history of one variant is short: it is read whole, and sorted.
SELECT id FROM upload_attempts INDEXED BY upload_attempts_of_lease
WHERE variant_id = :variant_id AND id < :before
  AND (:worker_id IS NULL OR worker_id = :worker_id) AND (:outcome IS NULL OR outcome = :outcome)
ORDER BY id DESC LIMIT :limit;

-- name: attempt_ids_done
-- Most are done: the newest of them are among the newest of all.
SELECT id FROM upload_attempts
WHERE outcome = 'done' AND id < :before AND (:worker_id IS NULL OR worker_id = :worker_id)
ORDER BY id DESC LIMIT :limit;

-- name: attempt_ids_with_outcome
-- Of the others; the condition of their index is repeated for its sake.
SELECT id FROM upload_attempts INDEXED BY upload_attempts_by_outcome
WHERE outcome <> 'done' AND outcome = :outcome AND id < :before AND (:worker_id IS NULL OR worker_id = :worker_id)
ORDER BY id DESC LIMIT :limit;

-- name: attempts_by_id
-- `ids` is a JSON list.
SELECT t.id, v.code, t.fence, w.name AS worker, a.name AS account, t.outcome, t.link_id, t.reason, t.detail, t.stage,
       t.plan, t.bytes_read, t.started_at_ms, t.finished_at_ms
FROM json_each(:ids) i
JOIN upload_attempts t ON t.id = i.value
JOIN upload_variants v ON v.id = t.variant_id
JOIN workers w ON w.id = t.worker_id
JOIN accounts a ON a.id = t.account_id
ORDER BY t.id DESC;
