-- Source hosts with limits, quarantine, what an upload demands of its account, channels that are retired, second copies,
-- workers that drain, and a log of events.

-- ---- source hosts -------------------------------------------------------------------------------

-- Where links point to: `host` or `host:port`. A host that fails climbs a ladder (`rung`) and is left alone for a while.
CREATE TABLE hosts (
  id              INTEGER PRIMARY KEY AUTOINCREMENT,
  name            TEXT NOT NULL UNIQUE,
  leases_max      INTEGER CHECK (leases_max >= 0),  -- uploads that may read from it at once; NULL: as the settings say
  rung            INTEGER NOT NULL DEFAULT 0 CHECK (rung >= 0),
  parked_until_ms INTEGER NOT NULL DEFAULT 0,
  park_reason     TEXT
) STRICT;

CREATE INDEX hosts_on_a_rung ON hosts (id) WHERE rung > 0;

ALTER TABLE source_links ADD COLUMN host_id INTEGER REFERENCES hosts (id);

-- The authority of each URL that is there already, without user and password, in lower case.
CREATE TEMP TABLE link_hosts AS
SELECT id, lower(substr(authority, instr(authority, '@') + 1)) AS name
FROM (SELECT id, substr(rest, 1, min(instr(rest || '/', '/'), instr(rest || '?', '?'), instr(rest || '#', '#')) - 1)
             AS authority
      FROM (SELECT id, CASE WHEN instr(url, '://') > 0 THEN substr(url, instr(url, '://') + 3) ELSE '' END AS rest
            FROM source_links));
INSERT INTO hosts (name) SELECT DISTINCT name FROM link_hosts ORDER BY name;
UPDATE source_links SET host_id = (
  SELECT h.id FROM link_hosts l JOIN hosts h ON h.name = l.name WHERE l.id = source_links.id);
DROP TABLE link_hosts;

-- ---- who uploads, and where to ------------------------------------------------------------------

ALTER TABLE accounts ADD COLUMN rung INTEGER NOT NULL DEFAULT 0 CHECK (rung >= 0);

ALTER TABLE workers ADD COLUMN mode TEXT NOT NULL DEFAULT 'active' CHECK (mode IN ('active', 'draining', 'disabled'));

-- A retired channel gets nothing more; what it holds is delivered still, unless it is lost.
ALTER TABLE channels ADD COLUMN retired_at_ms INTEGER;
ALTER TABLE channels ADD COLUMN retired_because TEXT
  CHECK (retired_at_ms IS NULL
         OR retired_because = 'full' OR retired_because = 'lost' OR retired_because = 'operator');

DROP INDEX channels_by_load;
CREATE INDEX channels_open ON channels (account_id) WHERE telegram_id IS NOT NULL AND retired_at_ms IS NULL;

-- How many copies of a title are wanted, each with another account.
ALTER TABLE titles ADD COLUMN copies INTEGER NOT NULL DEFAULT 1 CHECK (copies BETWEEN 1 AND 2);
CREATE INDEX titles_copied ON titles (id) WHERE copies > 1;

-- ---- the queue ----------------------------------------------------------------------------------

-- One row an upload target and copy. The CHECKs repeat the state machine of core/leases. They compare one by one: for a
-- list of three or more SQLite builds a table each time, which takes longer than all the rest of a claim.
CREATE TABLE upload_variants_new (
  id               INTEGER PRIMARY KEY AUTOINCREMENT,
  code             TEXT NOT NULL UNIQUE,
  title_id         INTEGER NOT NULL REFERENCES titles (id),
  episode_id       INTEGER REFERENCES episodes (id),
  quality          TEXT NOT NULL,
  copy             INTEGER NOT NULL DEFAULT 1 CHECK (copy BETWEEN 1 AND 2),
  state            TEXT NOT NULL DEFAULT 'ready' CHECK (
                     state = 'ready' OR state = 'leased' OR state = 'done' OR state = 'delayed' OR state = 'dead'
                     OR state = 'quarantined' OR state = 'cancelled' OR state = 'withdrawn'),
  priority         INTEGER NOT NULL DEFAULT 2 CHECK (priority BETWEEN 0 AND 9),
  account_id       INTEGER REFERENCES accounts (id),  -- pinned to an account, or NULL, open to all
  lane             INTEGER GENERATED ALWAYS AS (coalesce(account_id, 0)) VIRTUAL,
  host_id          INTEGER REFERENCES hosts (id),     -- of the link that is tried next
  file_bytes       INTEGER NOT NULL DEFAULT 0 CHECK (file_bytes >= 0),  -- only an account that may send so much
  disk_bytes       INTEGER NOT NULL DEFAULT 0 CHECK (disk_bytes >= 0),  -- only a worker that has so much disk free
  channel_id       INTEGER REFERENCES channels (id),  -- where it was last sent to
  generation       INTEGER NOT NULL DEFAULT 0 CHECK (generation >= 0),
  fence            INTEGER NOT NULL DEFAULT 0 CHECK (fence >= 0),
  attempts         INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
  expiries         INTEGER NOT NULL DEFAULT 0 CHECK (expiries >= 0),  -- leases in a row that ended without a word
  rounds           INTEGER NOT NULL DEFAULT 0 CHECK (rounds >= 0),
  created_at_ms    INTEGER NOT NULL,
  finished_at_ms   INTEGER,
  due_at_ms        INTEGER,  -- leased: when the lease expires; delayed: when it is tried again
  worker_id        INTEGER REFERENCES workers (id),
  request_id       TEXT,
  leased_at_ms     INTEGER,
  stage            TEXT,
  progress_link_id INTEGER REFERENCES source_links (id),
  bytes_done       INTEGER,
  bytes_total      INTEGER,
  CHECK ((state = 'leased') = (worker_id IS NOT NULL)),
  CHECK ((state = 'leased') = (request_id IS NOT NULL)),
  CHECK ((state = 'leased') = (leased_at_ms IS NOT NULL)),
  CHECK ((state IN ('leased', 'delayed')) = (due_at_ms IS NOT NULL)),
  CHECK ((state <> 'ready' AND state <> 'leased' AND state <> 'delayed') = (finished_at_ms IS NOT NULL)),
  CHECK (channel_id IS NOT NULL OR (state <> 'leased' AND state <> 'done' AND state <> 'withdrawn')),
  CHECK (state = 'leased' OR (stage IS NULL AND progress_link_id IS NULL AND bytes_done IS NULL))
) STRICT;

INSERT INTO upload_variants_new (
  id, code, title_id, episode_id, quality, state, priority, account_id, channel_id, generation, fence, attempts, expiries,
  rounds, created_at_ms, finished_at_ms, due_at_ms, worker_id, request_id, leased_at_ms, stage, progress_link_id,
  bytes_done, bytes_total, host_id)
SELECT
  id, code, title_id, episode_id, quality, state, priority, account_id, channel_id, generation, fence, attempts, 0,
  rounds, created_at_ms, finished_at_ms, due_at_ms, worker_id, request_id, leased_at_ms, stage, progress_link_id,
  bytes_done, bytes_total,
  (SELECT l.host_id FROM variant_sources s JOIN source_links l ON l.id = s.link_id
   WHERE s.variant_id = upload_variants.id AND (s.fate = 'untried' OR s.passing)
   ORDER BY s.fate <> 'untried', s.position LIMIT 1)
FROM upload_variants;

DROP TABLE upload_variants;
ALTER TABLE upload_variants_new RENAME TO upload_variants;

-- claim: the head of a lane is one probe, however long the lanes are; so is the head of a lane within each host, for when
-- the host of the first may not be read from.
CREATE INDEX upload_variants_lane ON upload_variants (lane, priority, id)
  WHERE state = 'ready' AND file_bytes = 0 AND disk_bytes = 0;
CREATE INDEX upload_variants_of_host ON upload_variants (host_id, lane, priority, id)
  WHERE state = 'ready' AND file_bytes = 0 AND disk_bytes = 0;
-- The few that not every worker can take stand apart, so that nobody has to look past them.
CREATE INDEX upload_variants_demanding ON upload_variants (host_id, lane, priority, id)
  WHERE state = 'ready' AND (file_bytes > 0 OR disk_bytes > 0);
-- sweep: leases that expire and delays that end, on one clock.
CREATE INDEX upload_variants_due ON upload_variants (due_at_ms) WHERE due_at_ms IS NOT NULL;
-- A claim whose reply was lost finds its lease again; also the leases that a worker holds.
CREATE UNIQUE INDEX upload_variants_held ON upload_variants (worker_id, request_id) WHERE state = 'leased';
CREATE INDEX upload_variants_of_title ON upload_variants (title_id);
-- How many variants of a title can be delivered, for every row of a search result.
CREATE INDEX upload_variants_on_shelf ON upload_variants (title_id, copy) WHERE state = 'done';
-- How many copies wait for an account.
CREATE INDEX upload_variants_copies ON upload_variants (account_id) WHERE copy > 1 AND finished_at_ms IS NULL;
-- Those that operators look for. The other states have indexes of their own, and every claim and settlement passes
-- through them.
CREATE INDEX upload_variants_at_rest ON upload_variants (state, code)
  WHERE state <> 'ready' AND state <> 'leased' AND state <> 'done';
-- What is left to an account, as operators list it.
CREATE INDEX upload_variants_pinned ON upload_variants (account_id, code) WHERE account_id IS NOT NULL;

-- Anew without AUTOINCREMENT, as the attempts below.
CREATE TABLE telegram_objects_new (
  id            INTEGER PRIMARY KEY,
  variant_id    INTEGER NOT NULL REFERENCES upload_variants (id),
  part_no       INTEGER NOT NULL,
  part_count    INTEGER NOT NULL CHECK (part_count BETWEEN 1 AND 99),
  channel_id    INTEGER NOT NULL REFERENCES channels (id),
  message_id    INTEGER NOT NULL CHECK (message_id > 0),
  account_id    INTEGER NOT NULL REFERENCES accounts (id),
  fence         INTEGER NOT NULL,
  size_bytes    INTEGER NOT NULL CHECK (size_bytes >= 0),
  sha256        TEXT NOT NULL,
  duration_s    REAL,
  width_px      INTEGER,
  height_px     INTEGER,
  stored_at_ms  INTEGER NOT NULL,
  retired_at_ms INTEGER,
  CHECK (part_no BETWEEN 1 AND part_count)
) STRICT;
INSERT INTO telegram_objects_new SELECT * FROM telegram_objects;
DROP TABLE telegram_objects;
ALTER TABLE telegram_objects_new RENAME TO telegram_objects;
CREATE UNIQUE INDEX telegram_objects_part ON telegram_objects (variant_id, part_no) WHERE retired_at_ms IS NULL;
CREATE UNIQUE INDEX telegram_objects_message ON telegram_objects (channel_id, message_id) WHERE retired_at_ms IS NULL;

-- A variant is done only when all its parts are there.
CREATE TRIGGER upload_variants_done_with_all_parts BEFORE UPDATE OF state ON upload_variants
WHEN new.state = 'done' AND old.state <> 'done' AND NOT EXISTS (
  SELECT 1 FROM telegram_objects WHERE variant_id = new.id AND retired_at_ms IS NULL
  GROUP BY variant_id HAVING count(*) = min(part_count) AND min(part_count) = max(part_count)
) BEGIN
  SELECT raise(ABORT, 'a variant is done only when all its parts are there');
END;

-- The links of a variant in retry order. A link belongs to one variant and its copies.
CREATE TABLE variant_sources_new (
  variant_id   INTEGER NOT NULL REFERENCES upload_variants (id),
  link_id      INTEGER NOT NULL REFERENCES source_links (id),
  position     INTEGER NOT NULL CHECK (position >= 1),
  fate         TEXT NOT NULL DEFAULT 'untried' CHECK (fate = 'untried' OR fate = 'failed' OR fate = 'used'),
  reason       TEXT,
  detail       TEXT,
  passing      INTEGER NOT NULL DEFAULT 0 CHECK (passing IN (0, 1)),  -- the failure may pass
  failed_round INTEGER,
  file_bytes   INTEGER CHECK (file_bytes > 0),  -- too large for the account: one that may send so much can use it
  tried_at_ms  INTEGER,
  PRIMARY KEY (variant_id, link_id),
  UNIQUE (variant_id, position),
  CHECK ((fate = 'failed') = (reason IS NOT NULL)),
  CHECK ((fate = 'failed') = (failed_round IS NOT NULL)),
  CHECK ((fate = 'untried') = (tried_at_ms IS NULL)),
  CHECK (fate = 'failed' OR (passing = 0 AND file_bytes IS NULL))
) STRICT, WITHOUT ROWID;

INSERT INTO variant_sources_new (variant_id, link_id, position, fate, reason, detail, passing, failed_round, tried_at_ms)
SELECT variant_id, link_id, position, fate, reason, detail, passing, failed_round, tried_at_ms FROM variant_sources;

DROP TABLE variant_sources;
ALTER TABLE variant_sources_new RENAME TO variant_sources;
CREATE INDEX variant_sources_of_link ON variant_sources (link_id);

-- ---- what happened ------------------------------------------------------------------------------

-- Anew without AUTOINCREMENT, which costs a second write for each row: nothing outside refers to these ids.
CREATE TABLE upload_attempts_new (
  id             INTEGER PRIMARY KEY,
  variant_id     INTEGER NOT NULL REFERENCES upload_variants (id),
  fence          INTEGER NOT NULL,
  worker_id      INTEGER NOT NULL REFERENCES workers (id),
  account_id     INTEGER NOT NULL REFERENCES accounts (id),
  link_id        INTEGER REFERENCES source_links (id),
  outcome        TEXT NOT NULL CHECK (
                   outcome = 'done' OR outcome = 'failed' OR outcome = 'flood_wait' OR outcome = 'released'
                   OR outcome = 'expired' OR outcome = 'restarted' OR outcome = 'cancelled'),
  reason         TEXT,
  detail         TEXT,
  stage          TEXT,
  plan           TEXT,
  bytes_read     INTEGER NOT NULL DEFAULT 0,
  started_at_ms  INTEGER NOT NULL,
  finished_at_ms INTEGER NOT NULL,
  CHECK ((outcome = 'failed') = (reason IS NOT NULL)),
  CHECK (finished_at_ms >= started_at_ms)
) STRICT;
INSERT INTO upload_attempts_new SELECT * FROM upload_attempts;
DROP TABLE upload_attempts;
ALTER TABLE upload_attempts_new RENAME TO upload_attempts;
CREATE INDEX upload_attempts_of_lease ON upload_attempts (variant_id, fence);
CREATE INDEX upload_attempts_by_outcome ON upload_attempts (outcome) WHERE outcome <> 'done';

-- Written with the change that it tells of. Ids only grow: pruning leaves the newest row. `data` is JSON.
CREATE TABLE events (
  id    INTEGER PRIMARY KEY,
  at_ms INTEGER NOT NULL,
  kind  TEXT NOT NULL,
  data  TEXT NOT NULL
) STRICT;
