-- Taking and keeping leases.

-- name: claimer
-- Everything that decides whether a worker may claim, in one look. held_id: the lease of this very request, whose
-- reply was lost. channel_id: the account's channel with the fewest messages.
SELECT w.id AS worker_id, w.account_id, w.boot_id, w.seen_at_ms,
       max(a.uploads_parked_until_ms, a.sends_parked_until_ms) AS parked_until_ms,
       (SELECT v.id FROM upload_variants v
        WHERE v.state = 'leased' AND v.worker_id = w.id AND v.request_id = :request_id) AS held_id,
       (SELECT c.id FROM channels c WHERE c.account_id = w.account_id AND c.telegram_id IS NOT NULL
        ORDER BY c.messages, c.id LIMIT 1) AS channel_id
FROM workers w JOIN accounts a ON a.id = w.account_id
WHERE w.name = :worker;

-- name: claim_variant
-- The heads of the two lanes that an account may take from, each one probe of the lane index. A variant that was
-- sent to a channel of this account before goes there again: what is left of the earlier attempt is found there.
UPDATE upload_variants SET
  state = 'leased', worker_id = :worker_id, request_id = :request_id, leased_at_ms = :now_ms,
  due_at_ms = :due_at_ms, fence = fence + 1, attempts = attempts + 1, stage = 'opening', bytes_done = 0,
  channel_id = coalesce(
    (SELECT c.id FROM channels c WHERE c.id = upload_variants.channel_id AND c.account_id = :account_id
       AND c.telegram_id IS NOT NULL),
    :channel_id)
WHERE state = 'ready' AND id = (
  SELECT id FROM (
    SELECT * FROM (SELECT id, priority FROM upload_variants INDEXED BY upload_variants_lane
                   WHERE state = 'ready' AND account_id IS NULL ORDER BY priority, id LIMIT 1)
    UNION ALL
    SELECT * FROM (SELECT id, priority FROM upload_variants INDEXED BY upload_variants_lane
                   WHERE state = 'ready' AND account_id = :account_id ORDER BY priority, id LIMIT 1)
  ) ORDER BY priority, id LIMIT 1)
RETURNING id;

-- name: lease_to_hand_out
SELECT v.id, v.code, v.quality, v.generation, v.fence, v.rounds, v.channel_id, c.telegram_id,
       coalesce(e.runtime_s, t.runtime_s) AS runtime_s
FROM upload_variants v
JOIN channels c ON c.id = v.channel_id
JOIN titles t ON t.id = v.title_id
LEFT JOIN episodes e ON e.id = v.episode_id
WHERE v.id = :variant_id;

-- name: sources_to_try
-- Untried links, and those of earlier rounds whose failure may have passed. Sorted by the caller: the primary key
-- gives the positions in order, and another order would cost more than all the rest of a claim.
SELECT s.link_id, l.url, s.position, s.fate
FROM variant_sources s JOIN source_links l ON l.id = s.link_id
WHERE s.variant_id = :variant_id AND (s.fate = 'untried' OR (s.passing AND s.failed_round < :rounds))
ORDER BY s.position;

-- name: prolong_lease
UPDATE upload_variants SET due_at_ms = :due_at_ms WHERE id = :variant_id AND state = 'leased';

-- name: beat_lease
-- A link that is not the variant's is not kept as progress.
UPDATE upload_variants SET
  due_at_ms = :due_at_ms, stage = :stage, bytes_done = :bytes_done, bytes_total = :bytes_total,
  progress_link_id = (SELECT s.link_id FROM variant_sources s
                      WHERE s.link_id = :link_id AND s.variant_id = upload_variants.id)
WHERE id = :variant_id AND fence = :fence AND worker_id = :worker_id AND state = 'leased';
