-- The index, made anew of what the channels hold. Each message that holds a part stands in a table of its own meanwhile.

-- name: catalogue_is_empty
SELECT NOT EXISTS (SELECT 1 FROM titles) AND NOT EXISTS (SELECT 1 FROM accounts)
   AND NOT EXISTS (SELECT 1 FROM channels) AS is_empty;

-- name: make_found_parts
CREATE TEMP TABLE found_parts (
  code          TEXT NOT NULL,     -- of the upload target
  original_code TEXT NOT NULL,     -- of the target that it is a copy of, or its own
  title_id      INTEGER NOT NULL,
  title_name    TEXT NOT NULL,     -- what stands in the code
  title_folded  TEXT NOT NULL,
  season        INTEGER,
  episode       INTEGER,
  quality       TEXT NOT NULL,
  copy          INTEGER NOT NULL,
  part_no       INTEGER NOT NULL,
  part_count    INTEGER NOT NULL,
  telegram_id   INTEGER NOT NULL,  -- the channel's
  message_id    INTEGER NOT NULL,
  sent_at_ms    INTEGER NOT NULL,
  size_bytes    INTEGER NOT NULL,
  duration_s    REAL,
  width_px      INTEGER,
  height_px     INTEGER,
  sha256        TEXT NOT NULL,
  title_cm_id   TEXT,
  episode_cm_id TEXT,
  counts        INTEGER NOT NULL DEFAULT 0,  -- belongs to the newest whole upload of its target
  PRIMARY KEY (code, telegram_id, message_id)
) STRICT, WITHOUT ROWID;

-- name: drop_found_parts
DROP TABLE found_parts;

-- name: keep_found_part
INSERT INTO found_parts (code, original_code, title_id, title_name, title_folded, season, episode, quality, copy, part_no,
  part_count, telegram_id, message_id, sent_at_ms, size_bytes, duration_s, width_px, height_px, sha256, title_cm_id,
  episode_cm_id)
VALUES (:code, :original_code, :title_id, :title_name, :title_folded, :season, :episode, :quality, :copy, :part_no,
  :part_count, :telegram_id, :message_id, :sent_at_ms, :size_bytes, :duration_s, :width_px, :height_px, :sha256,
  :title_cm_id, :episode_cm_id);

-- name: drop_other_titles
-- Messages that name another title than the newest one of their number does.
DELETE FROM found_parts WHERE title_cm_id IS NOT NULL AND (title_id, title_cm_id) NOT IN (
  SELECT title_id, cm_id
  FROM (SELECT title_id, title_cm_id AS cm_id, max(sent_at_ms) FROM found_parts WHERE title_cm_id IS NOT NULL GROUP BY title_id))
RETURNING telegram_id, message_id, code, part_no, part_count;

-- name: drop_other_episodes
-- Likewise of an episode.
DELETE FROM found_parts
WHERE season IS NOT NULL AND episode_cm_id IS NOT NULL AND (title_id, season, episode, episode_cm_id) NOT IN (
  SELECT title_id, season, episode, cm_id
  FROM (SELECT title_id, season, episode, episode_cm_id AS cm_id, max(sent_at_ms) FROM found_parts
        WHERE season IS NOT NULL AND episode_cm_id IS NOT NULL GROUP BY title_id, season, episode))
RETURNING telegram_id, message_id, code, part_no, part_count;

-- name: rebuild_account
INSERT INTO accounts (name, telegram_user_id, premium) VALUES (:name, :telegram_user_id, :premium) RETURNING id;

-- name: rebuild_channel
-- With the number that its title says, or, without one, with the next.
INSERT INTO channels (id, account_id, telegram_id, planned_at_ms, opened_at_ms)
VALUES (:id, :account_id, :telegram_id, :now_ms, :now_ms);

-- name: rebuild_channel_counts
-- What each holds, and since when: of all at once, in one look at the messages.
UPDATE channels SET messages = held.messages, planned_at_ms = held.since_ms, opened_at_ms = held.since_ms
FROM (SELECT telegram_id, count(*) AS messages, min(sent_at_ms) AS since_ms FROM found_parts GROUP BY telegram_id) held
WHERE channels.telegram_id = held.telegram_id;

-- name: rebuild_titles
-- What CM calls a title says its newest message that says so. Where that is said of two, it is the one's of whom it was
-- said last.
INSERT INTO titles (id, cm_id, kind, name, name_folded, copies, first_seen_at_ms, changed_at_ms)
WITH
  said AS (SELECT title_id, title_cm_id AS cm_id, max(sent_at_ms) AS said_at_ms
           FROM found_parts WHERE title_cm_id IS NOT NULL GROUP BY title_id),
  ranked AS (SELECT title_id, cm_id, row_number() OVER (PARTITION BY cm_id ORDER BY said_at_ms DESC, title_id) AS claim
             FROM said)
SELECT f.title_id, coalesce(r.cm_id, :unknown || f.title_id),
       CASE WHEN max(f.season) IS NULL THEN 'movie' ELSE 'series' END,
       max(f.title_name), max(f.title_folded), max(f.copy), min(f.sent_at_ms), :now_ms
FROM found_parts f LEFT JOIN ranked r ON r.title_id = f.title_id AND r.claim = 1
GROUP BY f.title_id;

-- name: rebuild_episodes
INSERT INTO episodes (title_id, cm_id, season, episode, code_season, code_episode, first_seen_at_ms, changed_at_ms)
WITH
  said AS (SELECT title_id, season, episode, episode_cm_id AS cm_id, max(sent_at_ms) AS said_at_ms
           FROM found_parts WHERE season IS NOT NULL AND episode_cm_id IS NOT NULL GROUP BY title_id, season, episode),
  ranked AS (SELECT title_id, season, episode, cm_id,
                    row_number() OVER (PARTITION BY title_id, cm_id ORDER BY said_at_ms DESC, season, episode) AS claim
             FROM said)
SELECT f.title_id, coalesce(r.cm_id, :unknown || f.season || 'x' || f.episode), f.season, f.episode, f.season, f.episode,
       min(f.sent_at_ms), :now_ms
FROM found_parts f
LEFT JOIN ranked r ON r.title_id = f.title_id AND r.season = f.season AND r.episode = f.episode AND r.claim = 1
WHERE f.season IS NOT NULL
GROUP BY f.title_id, f.season, f.episode;

-- name: rebuild_variants
-- All as dead at first: those that are whole become done. A copy belongs to the account that holds it.
INSERT INTO upload_variants (code, title_id, episode_id, quality, copy, state, account_id, generation, created_at_ms,
  finished_at_ms)
SELECT f.code, f.title_id, e.id, f.quality, f.copy, 'dead', CASE WHEN f.copy > 1 THEN max(c.account_id) END, :generation,
       min(f.sent_at_ms), :now_ms
FROM found_parts f
JOIN channels c ON c.telegram_id = f.telegram_id
LEFT JOIN episodes e ON e.title_id = f.title_id AND e.code_season = f.season AND e.code_episode = f.episode
GROUP BY f.code;

-- name: rebuild_lost_originals
-- A copy whose original is gone has one all the same: the copy follows its links.
INSERT INTO upload_variants (code, title_id, episode_id, quality, state, generation, created_at_ms, finished_at_ms)
SELECT f.original_code, v.title_id, v.episode_id, v.quality, 'dead', :generation, v.created_at_ms, :now_ms
FROM (SELECT DISTINCT code, original_code FROM found_parts WHERE copy > 1) f
JOIN upload_variants v ON v.code = f.code
WHERE NOT EXISTS (SELECT 1 FROM upload_variants o WHERE o.code = f.original_code);

-- name: found_targets
-- A page of them, behind a code.
SELECT DISTINCT code FROM found_parts WHERE code > :after ORDER BY code LIMIT :limit;

-- name: found_parts_of
SELECT part_no, part_count, telegram_id AS channel_id, message_id, sent_at_ms FROM found_parts WHERE code = :code;

-- name: count_found_part
UPDATE found_parts SET counts = 1
WHERE code = :code AND telegram_id = :channel_id AND message_id = :message_id;

-- name: rebuild_objects
-- Those that make no upload whole are kept as retired.
INSERT INTO telegram_objects (variant_id, part_no, part_count, channel_id, message_id, account_id, fence, size_bytes, sha256,
  duration_s, width_px, height_px, stored_at_ms, retired_at_ms)
SELECT v.id, f.part_no, f.part_count, c.id, f.message_id, c.account_id, 0, f.size_bytes, f.sha256,
       f.duration_s, f.width_px, f.height_px, f.sent_at_ms, CASE WHEN NOT f.counts THEN :now_ms END
FROM found_parts f
JOIN upload_variants v ON v.code = f.code
JOIN channels c ON c.telegram_id = f.telegram_id;

-- name: rebuild_done_variants
UPDATE upload_variants SET state = 'done', channel_id = whole.channel_id, finished_at_ms = whole.sent_at_ms,
  account_id = CASE WHEN copy > 1 THEN whole.account_id END
FROM (SELECT f.code, c.id AS channel_id, c.account_id, max(f.sent_at_ms) AS sent_at_ms
      FROM found_parts f JOIN channels c ON c.telegram_id = f.telegram_id
      WHERE f.counts GROUP BY f.code) AS whole
WHERE upload_variants.code = whole.code;

-- name: rebuilt_counts
SELECT (SELECT count(*) FROM accounts) AS accounts,
       (SELECT count(*) FROM channels) AS channels,
       (SELECT count(*) FROM titles) AS titles,
       (SELECT count(*) FROM episodes) AS episodes,
       (SELECT count(*) FROM upload_variants WHERE state = 'done') AS uploads,
       (SELECT count(*) FROM telegram_objects WHERE retired_at_ms IS NULL) AS parts,
       (SELECT count(*) FROM titles WHERE cm_id LIKE :unknown || '%') AS unnamed_titles,
       (SELECT count(*) FROM episodes WHERE cm_id LIKE :unknown || '%') AS unnamed_episodes,
       (SELECT count(*) FROM telegram_objects WHERE retired_at_ms IS NULL AND sha256 = '') AS undigested_parts,
       (SELECT count(*) FROM upload_variants WHERE state = 'dead') AS incomplete_count,
       (SELECT count(*) FROM telegram_objects WHERE retired_at_ms IS NOT NULL) AS doubles_count;

-- name: rebuilt_incomplete
SELECT code FROM upload_variants WHERE state = 'dead' ORDER BY code LIMIT :limit;

-- name: rebuilt_doubles
SELECT o.channel_id, o.message_id, v.code, o.part_no, o.part_count
FROM telegram_objects o JOIN upload_variants v ON v.id = o.variant_id
WHERE o.retired_at_ms IS NOT NULL
ORDER BY o.channel_id, o.message_id LIMIT :limit;
