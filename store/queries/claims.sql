-- Taking and keeping leases.

-- name: claimer
-- held_id: the lease of this very request, whose reply was lost.
SELECT w.id AS worker_id, w.account_id, w.boot_id, w.mode, w.seen_at_ms,
       (SELECT v.id FROM upload_variants v
        WHERE v.state = 'leased' AND v.worker_id = w.id AND v.request_id = :request_id) AS held_id
FROM workers w
WHERE w.name = :worker;

-- name: account_to_claim
-- With its open channel that has the fewest messages, if there is any.
SELECT a.uploads_parked_until_ms, a.sends_parked_until_ms, c.id AS channel_id, c.telegram_id
FROM accounts a LEFT JOIN channels c ON c.id = (
  SELECT o.id FROM channels o
  WHERE o.account_id = a.id AND o.telegram_id IS NOT NULL AND o.retired_at_ms IS NULL
  ORDER BY o.messages, o.id LIMIT 1)
WHERE a.id = :account_id;

-- name: demand
-- Whether anything waits that not every worker can take.
SELECT EXISTS (SELECT 1 FROM upload_variants INDEXED BY upload_variants_demanding
               WHERE state = 'ready' AND (file_bytes > 0 OR disk_bytes > 0)) AS demanding;

-- name: lane_heads
-- What comes first in a lane, with its host, and with the channel that it was last sent to. A limit that is nothing but
-- a parameter has SQLite plan the query anew each time, which takes four times as long as to run it: hence the sum.
SELECT v.id, v.lane, v.priority, v.code, v.quality, v.generation, v.fence, v.host_id,
       coalesce((SELECT e.runtime_s FROM episodes e WHERE e.id = v.episode_id),
                (SELECT t.runtime_s FROM titles t WHERE t.id = v.title_id)) AS runtime_s,
       c.id AS channel_id, c.telegram_id, c.account_id AS channel_account_id, c.retired_at_ms AS channel_retired_at_ms,
       h.parked_until_ms, coalesce(h.leases_max, :host_leases_max) AS host_leases_max
FROM upload_variants v INDEXED BY upload_variants_lane
LEFT JOIN channels c ON c.id = v.channel_id
LEFT JOIN hosts h ON h.id = v.host_id
WHERE v.state = 'ready' AND v.file_bytes = 0 AND v.disk_bytes = 0 AND v.lane = :lane
ORDER BY v.priority, v.id LIMIT :limit + 0;

-- name: variant_to_lease
-- The same of one that is not the head of a lane, or is leased.
SELECT v.id, v.code, v.quality, v.generation, v.fence, v.host_id,
       coalesce((SELECT e.runtime_s FROM episodes e WHERE e.id = v.episode_id),
                (SELECT t.runtime_s FROM titles t WHERE t.id = v.title_id)) AS runtime_s,
       c.id AS channel_id, c.telegram_id, c.account_id AS channel_account_id, c.retired_at_ms AS channel_retired_at_ms
FROM upload_variants v LEFT JOIN channels c ON c.id = v.channel_id
WHERE v.id = :variant_id;

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
WHERE state = 'leased' AND host_id = :host_id;

-- name: next_variant
-- The heads of the two lanes that an account may take from within each host that may be read from.
SELECT head.id, head.priority
FROM hosts h CROSS JOIN (SELECT 0 AS lane UNION ALL SELECT :account_id) l
JOIN upload_variants head ON head.id = (
  SELECT v.id FROM upload_variants v INDEXED BY upload_variants_of_host
  WHERE v.state = 'ready' AND v.file_bytes = 0 AND v.disk_bytes = 0 AND v.host_id = h.id AND v.lane = l.lane
  ORDER BY v.priority, v.id LIMIT 1)
WHERE h.parked_until_ms <= :now_ms
  AND (coalesce(h.leases_max, :host_leases_max) IS NULL
       OR (SELECT count(*) FROM upload_variants r INDEXED BY upload_variants_held
           WHERE r.state = 'leased' AND r.host_id = h.id) < coalesce(h.leases_max, :host_leases_max))
ORDER BY head.priority, head.id LIMIT 1;

-- name: next_demanding_variant
-- Of those that not every worker can take, the first that this one can.
SELECT head.id, head.priority
FROM hosts h CROSS JOIN (SELECT 0 AS lane UNION ALL SELECT :account_id) l
JOIN upload_variants head ON head.id = (
  SELECT v.id FROM upload_variants v INDEXED BY upload_variants_demanding
  WHERE v.state = 'ready' AND (v.file_bytes > 0 OR v.disk_bytes > 0) AND v.host_id = h.id AND v.lane = l.lane
    AND v.file_bytes <= :file_bytes_max AND v.disk_bytes <= :disk_free_bytes
  ORDER BY v.priority, v.id LIMIT 1)
WHERE h.parked_until_ms <= :now_ms
  AND (coalesce(h.leases_max, :host_leases_max) IS NULL
       OR (SELECT count(*) FROM upload_variants r INDEXED BY upload_variants_held
           WHERE r.state = 'leased' AND r.host_id = h.id) < coalesce(h.leases_max, :host_leases_max))
ORDER BY head.priority, head.id LIMIT 1;

-- name: claim_variant
UPDATE upload_variants SET
  state = 'leased', worker_id = :worker_id, request_id = :request_id, leased_at_ms = :now_ms,
  due_at_ms = :due_at_ms, fence = fence + 1, attempts = attempts + 1, stage = 'opening', bytes_done = 0,
  channel_id = :channel_id
WHERE state = 'ready' AND id = :variant_id AND fence = :fence;

-- name: prolong_lease
UPDATE upload_variants SET due_at_ms = :due_at_ms WHERE id = :variant_id AND state = 'leased';

-- name: sources_to_try
-- Untried links, those of earlier rounds whose failure may have passed, and those that were too large for another
-- account: file_bytes is what an account must be allowed to send. Sorted by the caller: there are few. `ids` is a JSON
-- list.
SELECT s.variant_id, s.link_id, l.url, s.position, s.fate, l.host_id, h.parked_until_ms,
       iif(s.fate = 'untried' OR (s.passing AND s.failed_round < v.rounds), 0, s.file_bytes) AS file_bytes
FROM json_each(:ids) i
CROSS JOIN upload_variants v ON v.id = i.value
CROSS JOIN variant_sources s ON s.variant_id = v.id
CROSS JOIN source_links l ON l.id = s.link_id
CROSS JOIN hosts h ON h.id = l.host_id
WHERE s.fate = 'untried' OR (s.passing AND s.failed_round < v.rounds) OR s.file_bytes IS NOT NULL;

-- name: beat_lease
-- A link that is not the variant's is not kept as progress.
UPDATE upload_variants SET
  due_at_ms = :due_at_ms, stage = :stage, bytes_done = :bytes_done, bytes_total = :bytes_total,
  progress_link_id = (SELECT s.link_id FROM variant_sources s
                      WHERE s.link_id = :link_id AND s.variant_id = upload_variants.id)
WHERE id = :variant_id AND fence = :fence AND worker_id = :worker_id AND state = 'leased';
