-- Ending leases: by the worker's report, or by time.

-- name: lease_to_settle
-- No row: the lease is not, or no longer, this worker's.
SELECT v.id, v.fence, v.rounds, v.leased_at_ms, v.stage, v.progress_link_id, v.worker_id, w.account_id
FROM upload_variants v JOIN workers w ON w.id = v.worker_id
WHERE v.id = :variant_id AND v.fence = :fence AND v.state = 'leased' AND w.name = :worker;

-- name: state_of_variant
SELECT code, state FROM upload_variants WHERE id = :variant_id;

-- name: report_source
UPDATE variant_sources SET fate = :fate, reason = :reason, detail = :detail, passing = :passing,
  failed_round = :failed_round, tried_at_ms = :now_ms
WHERE link_id = :link_id AND variant_id = :variant_id;

-- name: sources_left
-- triable: may be tried at once; passing: failed in this round, worth another.
SELECT count(*) FILTER (WHERE fate = 'untried' OR (passing AND failed_round < :rounds)) AS triable,
       count(*) FILTER (WHERE passing AND failed_round >= :rounds) AS passing
FROM variant_sources WHERE variant_id = :variant_id;

-- name: message_holder
SELECT v.code FROM telegram_objects o JOIN upload_variants v ON v.id = o.variant_id
WHERE o.channel_id = :channel_id AND o.message_id = :message_id AND o.retired_at_ms IS NULL;

-- name: insert_object
INSERT INTO telegram_objects (variant_id, part_no, part_count, channel_id, message_id, account_id, fence, size_bytes,
  sha256, duration_s, width_px, height_px, stored_at_ms)
VALUES (:variant_id, :part_no, :part_count, :channel_id, :message_id, :account_id, :fence, :size_bytes,
  :sha256, :duration_s, :width_px, :height_px, :now_ms);

-- name: due_variants
SELECT v.id, v.state, v.fence, v.rounds, v.leased_at_ms, v.stage, v.progress_link_id, v.worker_id, w.account_id
FROM upload_variants v LEFT JOIN workers w ON w.id = v.worker_id
WHERE v.due_at_ms <= :now_ms
ORDER BY v.due_at_ms
LIMIT :limit;

-- name: next_due
SELECT min(due_at_ms) AS due_at_ms FROM upload_variants WHERE due_at_ms IS NOT NULL;
