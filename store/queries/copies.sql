-- Second copies of what is done, with other accounts.

-- name: originals_to_copy
-- A batch of what is done of the titles that want copies, behind a place in their order. A copy's code is that of its
-- original and a suffix: one probe finds it, or tells that there is none.
SELECT o.id, o.title_id, o.code, oc.account_id, k.id AS copy_id, k.code AS copy_code, k.state AS copy_state,
       CASE k.state WHEN 'done' THEN kc.account_id ELSE k.account_id END AS copy_account_id,
       coalesce(k.file_bytes, 0) AS copy_file_bytes, ka.premium AS copy_premium
FROM titles t INDEXED BY titles_copied
CROSS JOIN upload_variants o INDEXED BY upload_variants_on_shelf ON o.title_id = t.id AND o.copy = 1 AND o.state = 'done'
CROSS JOIN channels oc ON oc.id = o.channel_id
LEFT JOIN upload_variants k ON k.code = o.code || '_C02'
LEFT JOIN channels kc ON kc.id = k.channel_id
LEFT JOIN accounts ka ON ka.id = k.account_id
WHERE t.copies > 1 AND t.id >= :title_id AND (t.id > :title_id OR o.id > :variant_id)
ORDER BY t.id, o.id
LIMIT :limit;

-- name: accounts_for_copies
-- Accounts that somebody uploads with, how many copies wait for each, and how much it holds.
SELECT a.id, a.premium, coalesce(held.messages, 0) AS messages,
       (SELECT count(*) FROM upload_variants v INDEXED BY upload_variants_copies
        WHERE v.account_id = a.id AND v.copy > 1 AND v.finished_at_ms IS NULL) AS waiting
FROM accounts a
LEFT JOIN (SELECT account_id, sum(messages) AS messages FROM channels GROUP BY account_id) held ON held.account_id = a.id
WHERE EXISTS (SELECT 1 FROM workers w
              WHERE w.account_id = a.id AND w.mode = 'active' AND w.seen_at_ms >= :seen_since_ms);

-- name: largest_part
SELECT max(size_bytes) AS size_bytes FROM telegram_objects WHERE variant_id = :variant_id AND retired_at_ms IS NULL;

-- name: insert_copy
INSERT INTO upload_variants (code, title_id, episode_id, quality, copy, priority, account_id, created_at_ms)
SELECT :code, title_id, episode_id, quality, 2, priority, :account_id, :now_ms FROM upload_variants WHERE id = :original_id
RETURNING id;

-- name: pin_copy
UPDATE upload_variants SET account_id = :account_id WHERE id = :copy_id;

-- name: append_links_of_original
-- The links that the copy has not, as untried: first the one that the original was made of.
INSERT INTO variant_sources (variant_id, link_id, position)
SELECT :copy_id, o.link_id,
       coalesce((SELECT max(position) FROM variant_sources WHERE variant_id = :copy_id), 0)
       + row_number() OVER (ORDER BY o.fate <> 'used', o.position)
FROM variant_sources o
WHERE o.variant_id = :original_id
  AND o.link_id NOT IN (SELECT link_id FROM variant_sources WHERE variant_id = :copy_id);

-- name: drop_links_without_original
DELETE FROM variant_sources
WHERE variant_id = :copy_id AND fate <> 'used'
  AND link_id NOT IN (SELECT link_id FROM variant_sources WHERE variant_id = :original_id);
