-- What coordinator and bot read.

-- name: titles_all
-- A page of titles by name. A target is available that is done, or of which a copy is: only what an operator has taken
-- out is not delivered from a copy, whose code is the original's and a suffix.
SELECT t.id, t.kind, t.name, t.year,
       (SELECT count(*) FROM upload_variants v WHERE v.title_id = t.id AND v.copy = 1 AND v.state = 'done')
       + (SELECT count(*) FROM upload_variants k
          WHERE k.title_id = t.id AND k.copy > 1 AND k.state = 'done' AND EXISTS (
            SELECT 1 FROM upload_variants v WHERE v.code = substr(k.code, 1, length(k.code) - length('_C02'))
              AND (v.state NOT IN ('done', 'cancelled', 'withdrawn') OR v.waits_for_link))) AS available
FROM titles t
ORDER BY t.name_folded, t.id
LIMIT :limit OFFSET :offset;

-- name: titles_matching
-- The whole name first, then names that begin with the text, then by relevance. Ranking is done inside, so that
-- variants are counted for the rows of the page alone.
SELECT t.id, t.kind, t.name, t.year,
       (SELECT count(*) FROM upload_variants v WHERE v.title_id = t.id AND v.copy = 1 AND v.state = 'done')
       + (SELECT count(*) FROM upload_variants k
          WHERE k.title_id = t.id AND k.copy > 1 AND k.state = 'done' AND EXISTS (
            SELECT 1 FROM upload_variants v WHERE v.code = substr(k.code, 1, length(k.code) - length('_C02'))
              AND (v.state NOT IN ('done', 'cancelled', 'withdrawn') OR v.waits_for_link))) AS available
FROM (
  SELECT n.id, n.name_folded <> :text AS not_whole, substr(n.name_folded, 1, length(:text)) <> :text AS not_start,
         w.rank AS relevance, n.name_folded AS folded
  FROM title_words w JOIN titles n ON n.id = w.rowid
  WHERE title_words MATCH :match
  ORDER BY not_whole, not_start, relevance, folded, n.id
  LIMIT :limit OFFSET :offset
) found JOIN titles t ON t.id = found.id
ORDER BY found.not_whole, found.not_start, found.relevance, found.folded, t.id;

-- name: title_by_id
SELECT id, cm_id, kind, name, year FROM titles WHERE id = :title_id;

-- name: episodes_of_title
SELECT id, season, episode, name FROM episodes WHERE title_id = :title_id ORDER BY season, episode, id;

-- name: variants_of_title
-- Copies do not count as qualities; a target of which a copy is done can be had like one that is done.
SELECT v.code, v.quality, v.episode_id,
       CASE WHEN (v.state NOT IN ('done', 'cancelled', 'withdrawn') OR v.waits_for_link)
                 AND EXISTS (SELECT 1 FROM upload_variants k WHERE k.code = v.code || '_C02' AND k.state = 'done')
            THEN 'done' ELSE v.state END AS state
FROM upload_variants v WHERE v.title_id = :title_id AND v.copy = 1 ORDER BY v.id;

-- name: variant_by_code
SELECT v.id, v.code, v.title_id, v.episode_id, v.quality, v.copy, v.state, v.priority, v.generation, v.attempts,
       v.expiries, v.rounds, v.file_bytes, v.disk_bytes, v.due_at_ms, v.channel_id, v.waits_for_link,
       w.name AS worker, a.name AS account, h.name AS host, t.cm_id AS title_cm_id, e.cm_id AS episode_cm_id
FROM upload_variants v
JOIN titles t ON t.id = v.title_id
LEFT JOIN episodes e ON e.id = v.episode_id
LEFT JOIN workers w ON w.id = v.worker_id
LEFT JOIN accounts a ON a.id = v.account_id
LEFT JOIN hosts h ON h.id = v.host_id
WHERE v.code = :code;

-- name: sources_of_variant
SELECT s.link_id, l.cm_id, l.url, s.position, s.fate, s.reason, s.detail, l.listed, l.quality, l.evidence
FROM variant_sources s JOIN source_links l ON l.id = s.link_id
WHERE s.variant_id = :variant_id
ORDER BY s.position;

-- name: objects_of_variant
SELECT o.part_no, o.part_count, c.telegram_id AS channel_id, o.message_id, a.name AS account, o.size_bytes,
       o.duration_s, o.sha256, o.blake3
FROM telegram_objects o JOIN channels c ON c.id = o.channel_id JOIN accounts a ON a.id = o.account_id
WHERE o.variant_id = :variant_id AND o.retired_at_ms IS NULL
ORDER BY o.part_no;

-- name: objects_with_content
-- Of an account's messages those that hold a file, where they can be had: in channels that are open.
SELECT c.telegram_id AS channel_id, o.message_id, o.size_bytes, v.code
FROM accounts a
JOIN telegram_objects o INDEXED BY telegram_objects_same
  ON o.account_id = a.id AND o.blake3 = :blake3 AND o.retired_at_ms IS NULL
JOIN channels c ON c.id = o.channel_id AND c.account_id = a.id AND c.retired_at_ms IS NULL
JOIN upload_variants v ON v.id = o.variant_id
WHERE a.name = :account
ORDER BY o.id DESC
LIMIT :limit;

-- name: variants_page
SELECT code, quality, state FROM upload_variants WHERE code > :after ORDER BY code LIMIT :limit;

-- name: variants_page_in_state
-- Those that are ready or done are most of all: they are met in the order of codes.
SELECT code, quality, state FROM upload_variants WHERE state = :state AND code > :after ORDER BY code LIMIT :limit;

-- name: variants_page_at_rest
SELECT code, quality, state FROM upload_variants INDEXED BY upload_variants_at_rest
WHERE state <> 'ready' AND state <> 'leased' AND state <> 'done' AND state = :state AND code > :after
ORDER BY code LIMIT :limit;

-- name: variants_page_leased
SELECT code, quality, state FROM upload_variants INDEXED BY upload_variants_held
WHERE state = 'leased' AND code > :after ORDER BY code LIMIT :limit;

-- name: variants_page_of_account
SELECT code, quality, state FROM upload_variants INDEXED BY upload_variants_pinned
WHERE account_id = :account_id AND code > :after AND (:state IS NULL OR state = :state)
ORDER BY code LIMIT :limit;

-- name: count_rows
SELECT (SELECT count(*) FROM titles)                                     AS titles,
       (SELECT count(*) FROM titles WHERE kind = 'movie')                AS movies,
       (SELECT count(*) FROM episodes)                                   AS episodes,
       (SELECT count(*) FROM source_links)                               AS links,
       (SELECT count(DISTINCT link_id) FROM variant_sources)             AS links_planned,
       (SELECT count(*) FROM telegram_objects WHERE retired_at_ms IS NULL) AS objects,
       (SELECT count(*) FROM bot_files)                                  AS bot_files,
       (SELECT count(*) FROM deliveries WHERE outcome <> 'missing')      AS deliveries;

-- name: count_variants_by_state
-- Each of the partial indexes is smaller than the table.
SELECT * FROM (
  SELECT 'ready' AS name,
         (SELECT count(*) FROM upload_variants INDEXED BY upload_variants_lane
          WHERE state = 'ready' AND file_bytes = 0 AND disk_bytes = 0)
         + (SELECT count(*) FROM upload_variants INDEXED BY upload_variants_demanding
            WHERE state = 'ready' AND (file_bytes > 0 OR disk_bytes > 0)) AS rows
  UNION ALL
  SELECT 'leased', count(*) FROM upload_variants INDEXED BY upload_variants_held WHERE state = 'leased'
  UNION ALL
  SELECT 'done', count(*) FROM upload_variants INDEXED BY upload_variants_on_shelf WHERE state = 'done'
  UNION ALL
  SELECT state, count(*) FROM upload_variants INDEXED BY upload_variants_at_rest
  WHERE state <> 'ready' AND state <> 'leased' AND state <> 'done' GROUP BY state
) WHERE rows > 0 ORDER BY name;

-- name: count_links_by_fate
SELECT fate AS name, count(*) AS rows FROM variant_sources GROUP BY fate ORDER BY fate;

-- name: count_attempts_by_outcome
-- Most are done, and have no index: they are what the others leave of all, which any index counts.
SELECT * FROM (
  SELECT 'done' AS name,
         (SELECT count(*) FROM upload_attempts)
         - (SELECT count(*) FROM upload_attempts INDEXED BY upload_attempts_by_outcome WHERE outcome <> 'done') AS rows
  UNION ALL
  SELECT outcome, count(*) FROM upload_attempts INDEXED BY upload_attempts_by_outcome
  WHERE outcome <> 'done' GROUP BY outcome
) WHERE rows > 0 ORDER BY name;
