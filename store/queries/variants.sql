-- How a variant changes its state. Each names the state it leaves: nothing moves a variant that has moved meanwhile.

-- name: end_lease
-- Every way out of a lease. The fence stays: it tells the next one from this one.
UPDATE upload_variants SET
  state = :state, due_at_ms = :due_at_ms, finished_at_ms = :finished_at_ms,
  attempts = max(0, attempts - :attempts_given_back), expiries = :expiries, rounds = :rounds,
  disk_bytes = coalesce(:disk_bytes, disk_bytes),
  channel_id = coalesce(:channel_id, channel_id),
  worker_id = NULL, request_id = NULL, leased_at_ms = NULL,
  stage = NULL, progress_link_id = NULL, bytes_done = NULL, bytes_total = NULL
WHERE id = :variant_id AND fence = :fence AND state = 'leased';

-- name: change_state
-- Between states that hold no lease.
UPDATE upload_variants SET state = :state, due_at_ms = NULL, finished_at_ms = :finished_at_ms,
  waits_for_link = :waits_for_link
WHERE id = :variant_id AND state = :from_state AND state <> 'leased';

-- name: rounds_of_variant
SELECT rounds FROM upload_variants WHERE id = :variant_id;

-- name: end_round
-- Of what waits; a lease that ends with its round has its own.
UPDATE upload_variants SET state = :state, rounds = rounds + 1, due_at_ms = :due_at_ms, finished_at_ms = :finished_at_ms,
  disk_bytes = 0
WHERE id = :variant_id AND state = :from_state AND state <> 'leased';

-- name: demand_no_disk
UPDATE upload_variants SET disk_bytes = 0 WHERE id = :variant_id AND disk_bytes > 0;

-- name: stay_cancelled
-- Whatever link it gains.
UPDATE upload_variants SET waits_for_link = 0 WHERE id = :variant_id AND waits_for_link = 1;

-- name: start_over
-- What was done once gets a new generation when it is queued again.
UPDATE upload_variants SET rounds = 0, expiries = 0, file_bytes = 0, disk_bytes = 0,
  generation = generation + (state IN ('done', 'withdrawn'))
WHERE id = :variant_id;

-- name: forget_fates
UPDATE variant_sources SET fate = 'untried', reason = NULL, detail = NULL, passing = 0, failed_round = NULL,
  file_bytes = NULL, tried_at_ms = NULL
WHERE variant_id = :variant_id;

-- name: forget_what_may_pass
-- What is exhausted stays so.
UPDATE variant_sources SET fate = 'untried', reason = NULL, detail = NULL, passing = 0, failed_round = NULL,
  tried_at_ms = NULL
WHERE variant_id = :variant_id AND passing;

-- name: retire_objects
UPDATE telegram_objects SET retired_at_ms = :now_ms WHERE variant_id = :variant_id AND retired_at_ms IS NULL;

-- name: lease_by_code
SELECT id, code, state, fence, rounds, expiries, leased_at_ms, stage, progress_link_id, worker_id,
       (SELECT account_id FROM workers WHERE id = worker_id) AS account_id
FROM upload_variants WHERE code = :code;
