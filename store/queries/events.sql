-- What happened, for those who look.

-- name: insert_event
INSERT INTO events (id, at_ms, kind, data) VALUES (:id, :now_ms, :kind, :data);

-- name: newest_event
-- Numbers go on from here, one by one: what was rolled back leaves no gap.
SELECT coalesce(max(id), 0) AS id FROM events;

-- name: events_after
SELECT id, kind, data FROM events WHERE id > :number ORDER BY id LIMIT :limit + 0;

-- name: prune_events
-- From the oldest on, up to the first that is to be kept, and never the newest: its number must not be given again.
DELETE FROM events
WHERE id < (SELECT coalesce(min(id) FILTER (WHERE at_ms >= :before_ms), max(id) + 1)
            FROM (SELECT id, at_ms FROM events ORDER BY id LIMIT :limit))
  AND id < (SELECT max(id) FROM events);

-- name: prune_attempts
DELETE FROM upload_attempts
WHERE id < (SELECT coalesce(min(id) FILTER (WHERE finished_at_ms >= :before_ms), max(id) + 1)
            FROM (SELECT id, finished_at_ms FROM upload_attempts ORDER BY id LIMIT :limit));
