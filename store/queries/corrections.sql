-- Links that move to the upload of the quality that they have.

-- name: place_of_variant
SELECT v.title_id, v.episode_id, v.quality, e.code_season, e.code_episode
FROM upload_variants v LEFT JOIN episodes e ON e.id = v.episode_id
WHERE v.id = :variant_id;

-- name: variants_of_place
SELECT v.id, v.code, v.quality, v.copy, v.state, v.waits_for_link,
       (SELECT count(*) FROM variant_sources s WHERE s.variant_id = v.id) AS sources
FROM upload_variants v WHERE v.title_id = :title_id AND v.episode_id IS :episode_id;

-- name: link_to_correct
-- With the quality of the original that it belongs to. is_bound: that or its copy was made of it, or may be read from it.
SELECT l.host_id, l.evidence, l.measured_at_ms, v.quality AS owner_quality,
       EXISTS (SELECT 1 FROM variant_sources b JOIN upload_variants w ON w.id = b.variant_id
               WHERE b.link_id = l.id AND (b.fate = 'used' OR w.state = 'leased')) AS is_bound
FROM source_links l
JOIN variant_sources s ON s.link_id = l.id
JOIN upload_variants v ON v.id = s.variant_id AND v.copy = 1
WHERE l.id = :link_id;

-- name: correct_link
UPDATE source_links SET quality = :quality, evidence = :evidence, measured_at_ms = :now_ms, changed_at_ms = :now_ms
WHERE id = :id;

-- name: lift_positions
-- Above all that there are, so that numbering anew meets none of them.
UPDATE variant_sources SET position = position + (SELECT max(position) FROM variant_sources WHERE variant_id = :variant_id)
WHERE variant_id = :variant_id;

-- name: close_positions
UPDATE variant_sources SET position = numbered.position
FROM (SELECT link_id, row_number() OVER (ORDER BY position) AS position
      FROM variant_sources WHERE variant_id = :variant_id) numbered
WHERE variant_id = :variant_id AND variant_sources.link_id = numbered.link_id;
