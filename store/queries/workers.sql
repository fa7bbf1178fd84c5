-- Accounts, workers, channels.

-- name: account_by_name
SELECT id, telegram_user_id FROM accounts WHERE name = :account;

-- name: upsert_account
INSERT INTO accounts (name, telegram_user_id, premium) VALUES (:account, :telegram_user_id, :premium)
ON CONFLICT (name) DO UPDATE SET premium = excluded.premium
RETURNING id;

-- name: upsert_worker
INSERT INTO workers (name, account_id, boot_id, version, seen_at_ms)
VALUES (:worker, :account_id, :boot_id, :version, :now_ms)
ON CONFLICT (name) DO UPDATE SET account_id = excluded.account_id, boot_id = excluded.boot_id,
  version = excluded.version, seen_at_ms = excluded.seen_at_ms
RETURNING id;

-- name: worker_by_name
SELECT id, account_id, boot_id, mode, seen_at_ms FROM workers WHERE name = :worker;

-- name: set_worker_mode
UPDATE workers SET mode = :mode WHERE id = :worker_id AND mode <> :mode;

-- name: touch_worker
UPDATE workers SET seen_at_ms = :now_ms WHERE id = :worker_id;

-- name: leases_of_worker
SELECT v.id, v.code, v.fence, v.rounds, v.expiries, v.leased_at_ms, v.stage, v.progress_link_id, v.worker_id, w.account_id
FROM upload_variants v JOIN workers w ON w.id = v.worker_id
WHERE v.state = 'leased' AND v.worker_id = :worker_id;

-- name: channels_of_account
-- Those that something may be put into.
SELECT id, telegram_id FROM channels WHERE account_id = :account_id AND retired_at_ms IS NULL ORDER BY id;

-- name: channel_by_id
SELECT c.id, c.telegram_id, c.account_id = w.account_id AS is_own
FROM channels c LEFT JOIN workers w ON w.name = :worker
WHERE c.id = :channel_id;

-- name: channel_by_telegram_id
SELECT id, account_id, messages FROM channels WHERE telegram_id = :telegram_id;

-- name: open_channel
UPDATE channels SET telegram_id = :telegram_id, opened_at_ms = :now_ms
WHERE id = :channel_id AND telegram_id IS NULL;

-- name: park_uploads
-- The reason is that of the park that lasts longest, here and wherever else an account is parked.
UPDATE accounts SET uploads_parked_until_ms = max(uploads_parked_until_ms, :until_ms),
  park_reason = CASE WHEN :until_ms > max(uploads_parked_until_ms, sends_parked_until_ms) THEN :reason
                     ELSE park_reason END
WHERE id = :account_id
RETURNING name, uploads_parked_until_ms, sends_parked_until_ms, park_reason;

-- name: park_sends
UPDATE accounts SET sends_parked_until_ms = max(sends_parked_until_ms, :until_ms),
  park_reason = CASE WHEN :until_ms > max(uploads_parked_until_ms, sends_parked_until_ms) THEN :reason
                     ELSE park_reason END
WHERE id = :account_id
RETURNING name, uploads_parked_until_ms, sends_parked_until_ms, park_reason;

-- name: parked_accounts
SELECT uploads_parked_until_ms, sends_parked_until_ms
FROM accounts WHERE max(uploads_parked_until_ms, sends_parked_until_ms) > :now_ms;

-- name: workers_all
SELECT w.id, w.name, a.name AS account, w.boot_id, w.seen_at_ms, w.mode, w.version
FROM workers w JOIN accounts a ON a.id = w.account_id
ORDER BY w.name;

-- name: leases_all
SELECT id, code, fence, worker_id, stage, progress_link_id, bytes_done, bytes_total
FROM upload_variants INDEXED BY upload_variants_held WHERE state = 'leased'
ORDER BY worker_id, leased_at_ms, id;
