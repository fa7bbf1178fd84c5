-- Taking and keeping leases.

-- name: claimers
-- `workers` is a JSON list of names. demanding: whether anything waits that not every worker can take.
SELECT w.name, w.id AS worker_id, w.account_id, w.boot_id, w.mode, w.seen_at_ms,
       a.uploads_parked_until_ms, a.sends_parked_until_ms,
       EXISTS (SELECT 1 FROM upload_variants INDEXED BY upload_variants_demanding
               WHERE state = 'ready' AND (file_bytes > 0 OR disk_bytes > 0)) AS demanding
FROM json_each(:workers) j CROSS JOIN workers w ON w.name = j.value JOIN accounts a ON a.id = w.account_id;

-- name: channels_to_fill
-- `accounts` is a JSON list of ids. Of each one's open channels, that with the fewest messages.
SELECT j.value AS account_id,
       (SELECT c.id FROM channels c
        WHERE c.account_id = j.value AND c.telegram_id IS NOT NULL AND c.retired_at_ms IS NULL
        ORDER BY c.messages, c.id LIMIT 1) AS channel_id
FROM json_each(:accounts) j;

-- name: leases_of_workers
-- `workers` is a JSON list of ids.
SELECT v.worker_id, v.request_id, v.id
FROM json_each(:workers) j
CROSS JOIN upload_variants v INDEXED BY upload_variants_held ON v.worker_id = j.value AND v.state = 'leased';

-- name: lane_heads
-- The first in a lane, and how their hosts are.
SELECT v.id, v.priority, h.parked_until_ms, coalesce(h.leases_max, :host_leases_max) AS leases_max
FROM upload_variants v INDEXED BY upload_variants_lane LEFT JOIN hosts h ON h.id = v.host_id
WHERE v.state = 'ready' AND v.file_bytes = 0 AND v.disk_bytes = 0 AND v.lane = :lane
ORDER BY v.priority, v.id LIMIT :limit + 0;

-- name: planned_channel
SELECT id FROM channels WHERE account_id = :account_id AND telegram_id IS NULL AND retired_at_ms IS NULL
ORDER BY id LIMIT 1;

-- name: plan_another_channel
INSERT INTO channels (account_id, planned_at_ms)
SELECT :account_id, :now_ms
WHERE (SELECT count(*) FROM channels WHERE account_id = :account_id) < :channels_max
RETURNING id;

-- name: leases_of_host
SELECT count(*) AS leases FROM upload_variants INDEXED BY upload_variants_held
WHERE state = 'leased' AND host_id = (SELECT host_id FROM upload_variants WHERE id = :variant_id);

-- name: next_variant
-- The heads of the two lanes that an account may take from within each host that may be read from.
WITH reading AS MATERIALIZED (
  SELECT host_id, count(*) AS leases FROM upload_variants INDEXED BY upload_variants_held
  WHERE state = 'leased' GROUP BY host_id)
SELECT head.id
FROM hosts h CROSS JOIN (SELECT 0 AS lane UNION ALL SELECT :account_id) l
JOIN upload_variants head ON head.id = (
  SELECT v.id FROM upload_variants v INDEXED BY upload_variants_of_host
  WHERE v.state = 'ready' AND v.file_bytes = 0 AND v.disk_bytes = 0 AND v.host_id = h.id AND v.lane = l.lane
  ORDER BY v.priority, v.id LIMIT 1)
WHERE h.parked_until_ms <= :now_ms
  AND (coalesce(h.leases_max, :host_leases_max) IS NULL
       OR coalesce((SELECT r.leases FROM reading r WHERE r.host_id = h.id), 0) < coalesce(h.leases_max, :host_leases_max))
ORDER BY head.priority, head.id LIMIT 1;

-- name: next_demanding_variant
-- Of those that not every worker can take, the first that this one can.
WITH reading AS MATERIALIZED (
  SELECT host_id, count(*) AS leases FROM upload_variants INDEXED BY upload_variants_held
  WHERE state = 'leased' GROUP BY host_id)
SELECT head.id
FROM hosts h CROSS JOIN (SELECT 0 AS lane UNION ALL SELECT :account_id) l
JOIN upload_variants head ON head.id = (
  SELECT v.id FROM upload_variants v INDEXED BY upload_variants_demanding
  WHERE v.state = 'ready' AND (v.file_bytes > 0 OR v.disk_bytes > 0) AND v.host_id = h.id AND v.lane = l.lane
    AND v.file_bytes <= :file_bytes_max AND v.disk_bytes <= :disk_free_bytes
  ORDER BY v.priority, v.id LIMIT 1)
WHERE h.parked_until_ms <= :now_ms
  AND (coalesce(h.leases_max, :host_leases_max) IS NULL
       OR coalesce((SELECT r.leases FROM reading r WHERE r.host_id = h.id), 0) < coalesce(h.leases_max, :host_leases_max))
ORDER BY head.priority, head.id LIMIT 1;

-- name: first_of_two
SELECT id FROM upload_variants WHERE id IN (:one_id, :other_id) ORDER BY priority, id LIMIT 1;

-- name: claim_variant
-- A variant that was sent to a channel of this account before goes there again, where that is open still: what is left
-- of the earlier attempt is found there.
UPDATE upload_variants SET
  state = 'leased', worker_id = :worker_id, request_id = :request_id, leased_at_ms = :now_ms,
  due_at_ms = :due_at_ms, fence = fence + 1, attempts = attempts + 1, stage = 'opening', bytes_done = 0,
  channel_id = coalesce(
    (SELECT c.id FROM channels c WHERE c.id = upload_variants.channel_id AND c.account_id = :account_id
       AND c.telegram_id IS NOT NULL AND c.retired_at_ms IS NULL),
    :channel_id)
WHERE state = 'ready' AND id = :variant_id;

-- name: renew_leases
UPDATE upload_variants INDEXED BY upload_variants_held SET due_at_ms = :due_at_ms WHERE state = 'leased';

-- name: prolong_lease
UPDATE upload_variants SET due_at_ms = :due_at_ms WHERE id = :variant_id AND state = 'leased';

-- name: leased_variants
-- `ids` is a JSON list.
SELECT v.id, v.code, v.quality, v.generation, v.fence, v.host_id, v.channel_id, c.telegram_id,
       coalesce(e.runtime_s, t.runtime_s) AS runtime_s
FROM json_each(:ids) j
CROSS JOIN upload_variants v ON v.id = j.value
JOIN channels c ON c.id = v.channel_id
JOIN titles t ON t.id = v.title_id
LEFT JOIN episodes e ON e.id = v.episode_id;

-- name: sources_to_try
-- `asked` is a JSON list of [variant, what its worker may send, when hosts are to be open]. Untried links, those of earlier
-- rounds whose failure may have passed, and those that were too large for another account; none of a host that is parked.
-- Where hosts are limited, only those of the host that the lease counts for: the others wait for a lease that counts there.
-- A link that came to point elsewhere under this very lease is kept when the claim is repeated: it may be the only one.
-- Sorted by the caller: there are few.
SELECT j.key AS number, s.link_id, l.url, s.position, s.fate, l.host_id
FROM json_each(:asked) j
CROSS JOIN upload_variants v ON v.id = j.value ->> 0
JOIN variant_sources s ON s.variant_id = v.id
JOIN source_links l ON l.id = s.link_id
JOIN hosts h ON h.id = l.host_id
WHERE h.parked_until_ms <= j.value ->> 2
  AND (h.id = v.host_id OR s.replaced_fence = v.fence OR coalesce(h.leases_max, :host_leases_max) IS NULL)
  AND (s.fate = 'untried' OR (s.passing AND s.failed_round < v.rounds) OR s.file_bytes <= j.value ->> 1);

-- name: speakers
-- `workers` is a JSON list of names.
SELECT w.name, w.id AS worker_id, w.boot_id, w.mode, w.seen_at_ms, a.sends_parked_until_ms
FROM json_each(:workers) j CROSS JOIN workers w ON w.name = j.value JOIN accounts a ON a.id = w.account_id;

-- name: leases_kept
-- `asked` is a JSON list of [variant, fence, worker]: those that are held.
SELECT v.id AS variant_id, v.fence, v.worker_id
FROM json_each(:asked) j CROSS JOIN upload_variants v ON v.id = j.value ->> 0
WHERE v.fence = j.value ->> 1 AND v.worker_id = j.value ->> 2 AND v.state = 'leased';

-- name: beat_lease
-- A link that is not the variant's is not kept as progress.
UPDATE upload_variants SET
  due_at_ms = :due_at_ms, stage = :stage, bytes_done = :bytes_done, bytes_total = :bytes_total,
  progress_link_id = (SELECT s.link_id FROM variant_sources s
                      WHERE s.link_id = :link_id AND s.variant_id = upload_variants.id)
WHERE id = :variant_id AND state = 'leased';
