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
