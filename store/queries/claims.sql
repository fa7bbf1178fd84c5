-- Taking and keeping leases.

-- name: claimer
-- Everything that decides whether a worker may claim, in one look. held_id: the lease of this very request, whose
-- reply was lost. channel_id: the account's open channel with the fewest messages. shared and own: the heads of the two
-- lanes that the account may take from, and how their hosts are. demanding: whether anything waits that not every worker
-- can take.
SELECT w.id AS worker_id, w.account_id, w.boot_id, w.mode, w.seen_at_ms,
       a.uploads_parked_until_ms, a.sends_parked_until_ms,
       (SELECT v.id FROM upload_variants v
        WHERE v.state = 'leased' AND v.worker_id = w.id AND v.request_id = :request_id) AS held_id,
       (SELECT c.id FROM channels c
        WHERE c.account_id = w.account_id AND c.telegram_id IS NOT NULL AND c.retired_at_ms IS NULL
        ORDER BY c.messages, c.id LIMIT 1) AS channel_id,
       s.id AS shared_id, s.priority AS shared_priority, sh.parked_until_ms AS shared_host_parked_until_ms,
       coalesce(sh.leases_max, :host_leases_max) AS shared_host_leases_max,
       o.id AS own_id, o.priority AS own_priority, oh.parked_until_ms AS own_host_parked_until_ms,
       coalesce(oh.leases_max, :host_leases_max) AS own_host_leases_max,
       EXISTS (SELECT 1 FROM upload_variants INDEXED BY upload_variants_demanding
               WHERE state = 'ready' AND (file_bytes > 0 OR disk_bytes > 0)) AS demanding
FROM workers w JOIN accounts a ON a.id = w.account_id
LEFT JOIN upload_variants s ON s.id = (
  SELECT v.id FROM upload_variants v INDEXED BY upload_variants_lane
  WHERE v.state = 'ready' AND v.file_bytes = 0 AND v.disk_bytes = 0 AND v.lane = 0
  ORDER BY v.priority, v.id LIMIT 1)
LEFT JOIN hosts sh ON sh.id = s.host_id
LEFT JOIN upload_variants o ON o.id = (
  SELECT v.id FROM upload_variants v INDEXED BY upload_variants_lane
  WHERE v.state = 'ready' AND v.file_bytes = 0 AND v.disk_bytes = 0 AND v.lane = w.account_id
  ORDER BY v.priority, v.id LIMIT 1)
LEFT JOIN hosts oh ON oh.id = o.host_id
WHERE w.name = :worker;

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
SELECT head.id
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
SELECT head.id
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
WHERE state = 'ready' AND id = :variant_id
RETURNING id, code, quality, generation, fence, rounds, host_id, channel_id,
  (SELECT c.telegram_id FROM channels c WHERE c.id = upload_variants.channel_id) AS telegram_id,
  coalesce((SELECT e.runtime_s FROM episodes e WHERE e.id = upload_variants.episode_id),
           (SELECT t.runtime_s FROM titles t WHERE t.id = upload_variants.title_id)) AS runtime_s;

-- name: prolong_lease
UPDATE upload_variants SET due_at_ms = :due_at_ms WHERE id = :variant_id AND state = 'leased'
RETURNING id, code, quality, generation, fence, rounds, host_id, channel_id,
  (SELECT c.telegram_id FROM channels c WHERE c.id = upload_variants.channel_id) AS telegram_id,
  coalesce((SELECT e.runtime_s FROM episodes e WHERE e.id = upload_variants.episode_id),
           (SELECT t.runtime_s FROM titles t WHERE t.id = upload_variants.title_id)) AS runtime_s;

-- name: sources_to_try
-- Untried links, those of earlier rounds whose failure may have passed, and those that were too large for another
-- account; none of a host that is parked at `open_at_ms`. Sorted by the caller: there are few.
SELECT s.link_id, l.url, s.position, s.fate, l.host_id
FROM variant_sources s JOIN source_links l ON l.id = s.link_id JOIN hosts h ON h.id = l.host_id
WHERE s.variant_id = :variant_id AND h.parked_until_ms <= :open_at_ms
  AND (s.fate = 'untried' OR (s.passing AND s.failed_round < :rounds) OR s.file_bytes <= :file_bytes_max);

-- name: beat_lease
-- A link that is not the variant's is not kept as progress.
UPDATE upload_variants SET
  due_at_ms = :due_at_ms, stage = :stage, bytes_done = :bytes_done, bytes_total = :bytes_total,
  progress_link_id = (SELECT s.link_id FROM variant_sources s
                      WHERE s.link_id = :link_id AND s.variant_id = upload_variants.id)
WHERE id = :variant_id AND fence = :fence AND worker_id = :worker_id AND state = 'leased';
