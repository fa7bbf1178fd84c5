-- What an import writes. An import of what is already there writes nothing.

-- name: interrupt_imports
-- A run that is still open when another begins was cut off.
UPDATE imports SET state = 'failed', finished_at_ms = :now_ms, error = :error WHERE state = 'running'
RETURNING *;

-- name: insert_import
INSERT INTO imports (started_at_ms) VALUES (:now_ms) RETURNING *;

-- name: count_import
UPDATE imports SET
  titles = titles + :titles, titles_new = titles_new + :titles_new,
  episodes = episodes + :episodes, episodes_new = episodes_new + :episodes_new,
  links = links + :links, links_new = links_new + :links_new,
  variants = variants + :variants, variants_new = variants_new + :variants_new
WHERE id = :import_id AND state = 'running';

-- name: finish_import
UPDATE imports SET
  state = CASE WHEN :error IS NULL THEN 'done' ELSE 'failed' END,
  finished_at_ms = :now_ms, rejected = :rejected, refused = :refused, error = :error
WHERE id = :import_id AND state = 'running'
RETURNING *;

-- name: import_by_id
SELECT * FROM imports WHERE id = :import_id;

-- name: title_by_cm_id
SELECT id, kind, name, year, runtime_s FROM titles WHERE cm_id = :cm_id;

-- name: insert_title
INSERT INTO titles (cm_id, kind, name, name_folded, year, runtime_s, first_seen_at_ms, changed_at_ms)
VALUES (:cm_id, :kind, :name, :name_folded, :year, :runtime_s, :now_ms, :now_ms)
RETURNING id;

-- name: update_title
UPDATE titles SET kind = :kind, name = :name, name_folded = :name_folded, year = :year, runtime_s = :runtime_s,
  changed_at_ms = :now_ms
WHERE id = :id;

-- name: known_episodes
SELECT id, cm_id, season, episode, code_season, code_episode, name, runtime_s
FROM episodes WHERE title_id = :title_id;

-- name: insert_episode
INSERT INTO episodes (title_id, cm_id, season, episode, code_season, code_episode, name, runtime_s,
  first_seen_at_ms, changed_at_ms)
VALUES (:title_id, :cm_id, :season, :episode, :code_season, :code_episode, :name, :runtime_s, :now_ms, :now_ms)
RETURNING id;

-- name: update_episode
UPDATE episodes SET season = :season, episode = :episode, name = :name, runtime_s = :runtime_s, changed_at_ms = :now_ms
WHERE id = :id;

-- name: known_links
-- Each link once: copies of a variant have the same links as the original.
SELECT l.id, l.episode_id, l.cm_id, l.url, l.host_id, l.quality, l.evidence, l.declared_quality, l.listed,
       s.variant_id, s.fate
FROM source_links l LEFT JOIN variant_sources s
  ON s.link_id = l.id AND (SELECT v.copy FROM upload_variants v WHERE v.id = s.variant_id) = 1
WHERE l.title_id = :title_id;

-- name: insert_link
INSERT INTO source_links (title_id, episode_id, cm_id, url, host_id, quality, evidence, declared_quality,
  first_seen_at_ms, changed_at_ms)
VALUES (:title_id, :episode_id, :cm_id, :url, :host_id, :quality, :evidence, :declared_quality, :now_ms, :now_ms)
RETURNING id;

-- name: update_link
UPDATE source_links SET url = :url, host_id = :host_id, quality = :quality, evidence = :evidence,
  declared_quality = :declared_quality, listed = 1, changed_at_ms = :now_ms
WHERE id = :id;

-- name: note_another_file
-- Whoever reads from the link now may be reading the former one.
UPDATE variant_sources SET replaced_fence = v.fence
FROM upload_variants v
WHERE v.id = variant_sources.variant_id AND v.state = 'leased' AND variant_sources.link_id = :link_id;

-- name: unlist_link
UPDATE source_links SET listed = 0, changed_at_ms = :now_ms WHERE id = :id AND listed = 1;

-- name: known_variants
SELECT v.id, v.code, v.episode_id, v.quality, v.copy, v.state, v.waits_for_link,
       (SELECT count(*) FROM variant_sources s WHERE s.variant_id = v.id) AS sources
FROM upload_variants v WHERE v.title_id = :title_id;

-- name: insert_variant
INSERT INTO upload_variants (code, title_id, episode_id, quality, host_id, created_at_ms)
VALUES (:code, :title_id, :episode_id, :quality, :host_id, :now_ms)
RETURNING id;

-- name: append_source
INSERT INTO variant_sources (variant_id, link_id, position)
VALUES (:variant_id, :link_id,
  1 + coalesce((SELECT max(position) FROM variant_sources WHERE variant_id = :variant_id), 0));

-- name: remove_source
DELETE FROM variant_sources WHERE link_id = :link_id AND variant_id = :variant_id;
