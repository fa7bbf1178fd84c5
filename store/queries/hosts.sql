-- Hosts and accounts on their ladders.

-- name: host_of_link
SELECT h.id, h.rung, h.parked_until_ms
FROM source_links l JOIN hosts h ON h.id = l.host_id
WHERE l.id = :link_id;

-- name: park_host
UPDATE hosts SET rung = :rung, parked_until_ms = :until_ms, park_reason = :reason WHERE id = :host_id
RETURNING name;

-- name: calm_host
-- Not that of a link which has come to point to another file, perhaps elsewhere, under the lease that it was used by.
UPDATE hosts SET rung = rung - 1
WHERE rung > 0 AND id = (SELECT host_id FROM source_links WHERE id = :link_id)
  AND NOT EXISTS (SELECT 1 FROM variant_sources s
                  WHERE s.variant_id = :variant_id AND s.link_id = :link_id AND s.replaced_fence = :fence);

-- name: account_on_ladder
SELECT rung, uploads_parked_until_ms FROM accounts WHERE id = :account_id;

-- name: park_account
UPDATE accounts SET rung = :rung, uploads_parked_until_ms = max(uploads_parked_until_ms, :until_ms),
  park_reason = CASE WHEN :until_ms > max(uploads_parked_until_ms, sends_parked_until_ms) THEN :reason
                     ELSE park_reason END
WHERE id = :account_id
RETURNING name, uploads_parked_until_ms, sends_parked_until_ms, park_reason;

-- name: calm_account
UPDATE accounts SET rung = rung - 1 WHERE id = :account_id AND rung > 0;
