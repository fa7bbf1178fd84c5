-- What operators look at and steer: uploads, accounts, channels, source hosts.

-- name: upload_by_code
SELECT id, state, copy, waits_for_link FROM upload_variants WHERE code = :code;

-- name: has_link
SELECT EXISTS (SELECT 1 FROM variant_sources WHERE variant_id = :variant_id) AS has_link;

-- name: prioritise_upload
UPDATE upload_variants SET priority = :priority WHERE id = :variant_id AND priority <> :priority;

-- name: pin_upload
UPDATE upload_variants SET account_id = :account_id WHERE id = :variant_id AND account_id IS NOT :account_id;

-- name: other_copy_of_account
-- Who holds a copy: while it is leased or done, the account whose channel it is in; else the one it is pinned to.
SELECT o.code
FROM upload_variants v
JOIN upload_variants o ON o.title_id = v.title_id AND o.episode_id IS v.episode_id AND o.quality = v.quality
  AND o.copy <> v.copy
LEFT JOIN channels c ON c.id = o.channel_id
WHERE v.id = :variant_id
  AND :account_id = CASE WHEN o.state IN ('leased', 'done') THEN c.account_id ELSE o.account_id END
LIMIT 1;

-- name: uploads_of_title
SELECT code, state, waits_for_link FROM upload_variants WHERE title_id = :title_id ORDER BY id;

-- name: set_copies
UPDATE titles SET copies = :copies WHERE id = :title_id;

-- name: account_statuses
-- `account` NULL: all of them.
SELECT a.name, a.premium, a.uploads_parked_until_ms, a.sends_parked_until_ms, a.park_reason,
       (SELECT count(*) FROM channels c WHERE c.account_id = a.id AND c.retired_at_ms IS NULL) AS channels,
       (SELECT count(*) FROM workers w JOIN upload_variants v INDEXED BY upload_variants_held ON v.worker_id = w.id
        WHERE w.account_id = a.id AND v.state = 'leased') AS leases
FROM accounts a
WHERE :account IS NULL OR a.name = :account
ORDER BY a.name;

-- name: park_account_longer
-- What Telegram said is never cut short. The reason is that of the park that lasts longest.
UPDATE accounts SET
  uploads_parked_until_ms = CASE WHEN :uploads THEN max(uploads_parked_until_ms, :until_ms)
                                 ELSE uploads_parked_until_ms END,
  sends_parked_until_ms = CASE WHEN :sends THEN max(sends_parked_until_ms, :until_ms) ELSE sends_parked_until_ms END,
  park_reason = CASE WHEN :until_ms > max(uploads_parked_until_ms, sends_parked_until_ms) THEN :reason
                     ELSE park_reason END
WHERE name = :account;

-- name: unpark_account
UPDATE accounts SET uploads_parked_until_ms = 0, sends_parked_until_ms = 0, park_reason = NULL, rung = 0
WHERE name = :account;

-- name: channel_statuses
-- `account_id` NULL: of all accounts.
SELECT c.id, a.name AS account, c.telegram_id, c.messages, c.retired_at_ms, c.retired_because
FROM channels c JOIN accounts a ON a.id = c.account_id
WHERE c.id > :after AND (:account_id IS NULL OR c.account_id = :account_id)
ORDER BY c.id
LIMIT :limit;

-- name: channel_status
SELECT c.id, a.name AS account, c.telegram_id, c.messages, c.retired_at_ms, c.retired_because
FROM channels c JOIN accounts a ON a.id = c.account_id
WHERE c.id = :channel_id;

-- name: retire_channel
-- One that is retired keeps its time and its reason.
UPDATE channels SET retired_at_ms = :now_ms, retired_because = 'operator'
WHERE id = :channel_id AND retired_at_ms IS NULL;

-- name: lose_channel
-- Whatever it was retired for before: what it holds is lost now.
UPDATE channels SET retired_at_ms = coalesce(retired_at_ms, :now_ms), retired_because = 'lost'
WHERE id = :channel_id AND retired_because IS NOT 'lost';

-- name: host_statuses
-- One host (`name`), or a page of them; `ready_max` bounds how far each host's queue is counted. What malformed
-- links have in common is not listed.
SELECT h.name, coalesce(h.leases_max, :host_leases_max) AS leases_max, h.rung, h.parked_until_ms, h.park_reason,
       (SELECT count(*) FROM upload_variants r INDEXED BY upload_variants_held
        WHERE r.state = 'leased' AND r.host_id = h.id) AS leases,
       min(:ready_max,
           (SELECT count(*) FROM (SELECT 1 FROM upload_variants v INDEXED BY upload_variants_of_host
            WHERE v.state = 'ready' AND v.file_bytes = 0 AND v.disk_bytes = 0 AND v.host_id = h.id LIMIT :ready_max))
           + (SELECT count(*) FROM (SELECT 1 FROM upload_variants v INDEXED BY upload_variants_demanding
              WHERE v.state = 'ready' AND (v.file_bytes > 0 OR v.disk_bytes > 0) AND v.host_id = h.id
              LIMIT :ready_max))) AS ready
FROM hosts h
WHERE CASE WHEN :name IS NULL THEN h.name > :after ELSE h.name = :name END
ORDER BY h.name
LIMIT :limit;

-- name: limit_host
UPDATE hosts SET leases_max = :leases_max WHERE name = :name;

-- name: unpark_host
UPDATE hosts SET rung = 0, parked_until_ms = 0, park_reason = NULL WHERE name = :name;
