-- What delivery asks for and keeps.

-- name: targets_by_code
-- A target and its copy, the original first. is_taken_out: an operator has cancelled or withdrawn it.
SELECT v.id, v.code, v.copy, v.state, v.quality, t.name AS title, t.year, e.season, e.episode,
       v.state = 'done' AS is_done, v.state = 'done' AND coalesce(c.retired_because = 'lost', 0) AS is_lost,
       v.state IN ('cancelled', 'withdrawn') AND NOT v.waits_for_link AS is_taken_out
FROM upload_variants v
JOIN titles t ON t.id = v.title_id
LEFT JOIN episodes e ON e.id = v.episode_id
LEFT JOIN channels c ON c.id = v.channel_id
WHERE v.code IN (:original, :second)
ORDER BY v.copy;

-- name: parts_to_send
SELECT o.part_no, o.part_count, c.telegram_id AS channel_id, o.message_id, o.size_bytes, o.duration_s,
       f.kind, f.file_id, f.file_unique_id
FROM telegram_objects o
JOIN channels c ON c.id = o.channel_id
LEFT JOIN bot_files f
  ON f.bot_id = :bot_id AND f.channel_telegram_id = c.telegram_id AND f.message_id = o.message_id
WHERE o.variant_id = :variant_id AND o.retired_at_ms IS NULL
ORDER BY o.part_no;

-- name: save_bot_file
INSERT INTO bot_files (bot_id, channel_telegram_id, message_id, kind, file_id, file_unique_id, saved_at_ms)
VALUES (:bot_id, :channel_id, :message_id, :kind, :file_id, :file_unique_id, :now_ms)
ON CONFLICT (bot_id, channel_telegram_id, message_id) DO UPDATE SET
  kind = excluded.kind, file_id = excluded.file_id, file_unique_id = excluded.file_unique_id,
  saved_at_ms = excluded.saved_at_ms;

-- name: forget_bot_file
DELETE FROM bot_files
WHERE bot_id = :bot_id AND channel_telegram_id = :channel_id AND message_id = :message_id;

-- name: note_user
-- A user whose language Telegram does not say keeps the one that was known.
INSERT INTO users (id, language, first_seen_at_ms, seen_at_ms) VALUES (:user_id, :language, :now_ms, :now_ms)
ON CONFLICT (id) DO UPDATE SET language = coalesce(excluded.language, language), seen_at_ms = excluded.seen_at_ms;

-- name: insert_delivery
INSERT INTO deliveries (variant_id, user_id, outcome, delivered_at_ms)
VALUES (:variant_id, :user_id, :outcome, :now_ms);
