-- Which lane a variant waits in: by the host of the link that is tried next, and by what that link demands.

-- name: relane_variant
-- Links of hosts that may be read from go first, then those that anyone may try, those of the host that opens first (all
-- that are open at `open_at_ms` alike), the untried, the order of retry. Of links that were too large for an account that tried them, the smallest
-- says what the next account must be allowed.
UPDATE upload_variants SET (host_id, file_bytes) = (
  SELECT l.host_id, coalesce(s.file_bytes, 0)
  FROM variant_sources s JOIN source_links l ON l.id = s.link_id JOIN hosts h ON h.id = l.host_id
  WHERE s.variant_id = upload_variants.id
    AND (s.fate = 'untried' OR (s.passing AND s.failed_round < upload_variants.rounds) OR s.file_bytes IS NOT NULL)
  ORDER BY h.leases_max IS 0, coalesce(s.file_bytes, 0), max(h.parked_until_ms, :open_at_ms), s.fate <> 'untried',
    s.position
  LIMIT 1)
WHERE id = :variant_id AND EXISTS (
  SELECT 1 FROM variant_sources s
  WHERE s.variant_id = upload_variants.id
    AND (s.fate = 'untried' OR (s.passing AND s.failed_round < upload_variants.rounds) OR s.file_bytes IS NOT NULL));

-- name: host_by_name
SELECT id FROM hosts WHERE name = :name;

-- name: insert_host
INSERT INTO hosts (name) VALUES (:name) RETURNING id;

-- name: parked_hosts
-- Hosts that are parked for longer than until `at_ms`.
SELECT id, parked_until_ms FROM hosts WHERE parked_until_ms > :at_ms;

-- name: hosts_to_evade
-- Hosts that are parked for longer than until `at_ms`, or that none may read from: until an operator says otherwise.
SELECT id, iif(leases_max IS 0, NULL, parked_until_ms) AS until_ms FROM hosts
WHERE parked_until_ms > :at_ms OR leases_max IS 0;

-- name: hosts_with_demanding
SELECT DISTINCT host_id FROM upload_variants INDEXED BY upload_variants_demanding
WHERE state = 'ready' AND (file_bytes > 0 OR disk_bytes > 0) AND host_id IS NOT NULL;

-- name: lane_slice
-- What waits in the lanes of a host, behind a place in them. Range by range: where rows are compared, SQLite reads all of
-- the lane before the place, each time.
SELECT id, code, lane, priority FROM upload_variants INDEXED BY upload_variants_of_host
WHERE state = 'ready' AND file_bytes = 0 AND disk_bytes = 0 AND host_id = :host_id
  AND lane = :lane AND priority = :priority AND id > :id
UNION ALL
SELECT id, code, lane, priority FROM upload_variants INDEXED BY upload_variants_of_host
WHERE state = 'ready' AND file_bytes = 0 AND disk_bytes = 0 AND host_id = :host_id
  AND lane = :lane AND priority > :priority
UNION ALL
SELECT id, code, lane, priority FROM upload_variants INDEXED BY upload_variants_of_host
WHERE state = 'ready' AND file_bytes = 0 AND disk_bytes = 0 AND host_id = :host_id AND lane > :lane
ORDER BY lane, priority, id
LIMIT :limit + 0;

-- name: demanding_lane_slice
-- As `lane_slice`, of what not every worker can take.
SELECT id, code, lane, priority FROM upload_variants INDEXED BY upload_variants_demanding
WHERE state = 'ready' AND (file_bytes > 0 OR disk_bytes > 0) AND host_id = :host_id
  AND lane = :lane AND priority = :priority AND id > :id
UNION ALL
SELECT id, code, lane, priority FROM upload_variants INDEXED BY upload_variants_demanding
WHERE state = 'ready' AND (file_bytes > 0 OR disk_bytes > 0) AND host_id = :host_id
  AND lane = :lane AND priority > :priority
UNION ALL
SELECT id, code, lane, priority FROM upload_variants INDEXED BY upload_variants_demanding
WHERE state = 'ready' AND (file_bytes > 0 OR disk_bytes > 0) AND host_id = :host_id AND lane > :lane
ORDER BY lane, priority, id
LIMIT :limit + 0;

-- name: has_open_link
-- Whether a variant has a link that can be tried now, at a host that may be read from, and is not parked at `open_at_ms`.
SELECT EXISTS (
  SELECT 1
  FROM upload_variants v
  JOIN variant_sources s ON s.variant_id = v.id
  JOIN source_links l ON l.id = s.link_id
  JOIN hosts h ON h.id = l.host_id
  WHERE v.id = :variant_id AND h.parked_until_ms <= :open_at_ms AND h.leases_max IS NOT 0
    AND (s.fate = 'untried' OR (s.passing AND s.failed_round < v.rounds))) AS has_open_link;
