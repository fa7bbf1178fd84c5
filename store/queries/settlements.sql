-- Ending leases: by the worker's report, or by time.

-- name: leases_to_settle
-- `asked` is a JSON list of [variant, fence, worker]. No row: the lease is not, or no longer, this worker's.
-- channel_telegram_id: where its parts are expected. hosts_climbed: whether there is any host that a success can bring
-- down a rung.
SELECT v.id AS variant_id, v.code, v.fence, v.rounds, v.expiries, v.leased_at_ms, v.stage, v.progress_link_id,
       v.worker_id, w.account_id, j.key AS number,
       v.channel_id, c.telegram_id AS channel_telegram_id, c.account_id AS channel_account_id, a.rung AS account_rung,
       EXISTS (SELECT 1 FROM hosts INDEXED BY hosts_on_a_rung WHERE rung > 0) AS hosts_climbed,
       EXISTS (SELECT 1 FROM hosts h WHERE h.id = v.host_id AND coalesce(h.leases_max, :host_leases_max) IS NOT NULL)
         AS host_limited
FROM json_each(:asked) j
CROSS JOIN upload_variants v ON v.id = j.value ->> 0
JOIN workers w ON w.id = v.worker_id
JOIN accounts a ON a.id = w.account_id
JOIN channels c ON c.id = v.channel_id
WHERE v.fence = j.value ->> 1 AND v.state = 'leased' AND w.name = j.value ->> 2;

-- name: state_of_variant
SELECT code, state FROM upload_variants WHERE id = :variant_id;

-- name: use_source
UPDATE variant_sources SET fate = 'used', reason = NULL, detail = NULL, passing = 0, failed_round = NULL,
  file_bytes = NULL, tried_at_ms = :now_ms
WHERE variant_id = :variant_id AND link_id = :link_id;

-- name: fail_source
-- Not where the lease had read another file than the link points to now.
UPDATE variant_sources SET fate = 'failed', reason = :reason, detail = :detail, passing = :passing,
  failed_round = :failed_round, file_bytes = :file_bytes, tried_at_ms = :now_ms
WHERE variant_id = :variant_id AND link_id = :link_id AND replaced_fence IS NOT :fence;

-- name: points_to_another_file
SELECT EXISTS (SELECT 1 FROM variant_sources
               WHERE variant_id = :variant_id AND link_id = :link_id AND replaced_fence = :fence) AS is_another;

-- name: links_left
-- triable: may be tried at once, by any account; larger: by one that may send files so large; closed: could be tried, but
-- none may read from their hosts; passing: failed in this round, worth another.
SELECT count(*) FILTER (WHERE is_left AND NOT is_closed AND file_bytes IS NULL) AS triable,
       count(*) FILTER (WHERE is_left AND NOT is_closed AND file_bytes IS NOT NULL) AS larger,
       count(*) FILTER (WHERE is_left AND is_closed) AS closed,
       count(*) FILTER (WHERE passing AND failed_round >= :rounds) AS passing
FROM (SELECT s.passing, s.failed_round, s.file_bytes, h.leases_max IS 0 AS is_closed,
             s.fate = 'untried' OR (s.passing AND s.failed_round < :rounds) OR s.file_bytes IS NOT NULL AS is_left
      FROM variant_sources s JOIN source_links l ON l.id = s.link_id JOIN hosts h ON h.id = l.host_id
      WHERE s.variant_id = :variant_id);

-- name: message_holder
SELECT v.code FROM telegram_objects o JOIN upload_variants v ON v.id = o.variant_id
WHERE o.channel_id = :channel_id AND o.message_id = :message_id AND o.retired_at_ms IS NULL;

-- name: insert_object
INSERT INTO telegram_objects (variant_id, part_no, part_count, channel_id, message_id, account_id, fence, size_bytes,
  sha256, blake3, duration_s, width_px, height_px, stored_at_ms)
VALUES (:variant_id, :part_no, :part_count, :channel_id, :message_id, :account_id, :fence, :size_bytes,
  :sha256, :blake3, :duration_s, :width_px, :height_px, :now_ms);

-- name: count_channel_messages
UPDATE channels SET messages = messages + :messages WHERE id = :channel_id RETURNING messages;

-- name: retire_full_channel
UPDATE channels SET retired_because = 'full', retired_at_ms = :now_ms WHERE id = :channel_id AND retired_at_ms IS NULL;

-- name: due_variants
SELECT v.id, v.code, v.state, v.fence, v.rounds, v.expiries, v.due_at_ms, v.leased_at_ms, v.stage,
       v.progress_link_id, v.worker_id, w.account_id
FROM upload_variants v LEFT JOIN workers w ON w.id = v.worker_id
WHERE v.due_at_ms <= :now_ms
ORDER BY v.due_at_ms
LIMIT :limit + 0;

-- name: next_due
SELECT min(due_at_ms) AS due_at_ms FROM upload_variants WHERE due_at_ms IS NOT NULL;
