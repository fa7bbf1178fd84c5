-- The catalogue, the queue, what is in Telegram, and who has asked for it.
-- Times are milliseconds since 1970-01-01 UTC. Ids are never used twice: codes are made of them.

CREATE TABLE meta (
  name      TEXT PRIMARY KEY,
  value     TEXT NOT NULL,
  set_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- ---- the catalogue ------------------------------------------------------------------------------

CREATE TABLE imports (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  state          TEXT NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done', 'failed')),
  started_at_ms  INTEGER NOT NULL,
  finished_at_ms INTEGER,
  titles         INTEGER NOT NULL DEFAULT 0,
  titles_new     INTEGER NOT NULL DEFAULT 0,
  episodes       INTEGER NOT NULL DEFAULT 0,
  episodes_new   INTEGER NOT NULL DEFAULT 0,
  links          INTEGER NOT NULL DEFAULT 0,
  links_new      INTEGER NOT NULL DEFAULT 0,
  variants       INTEGER NOT NULL DEFAULT 0,
  variants_new   INTEGER NOT NULL DEFAULT 0,
  rejected       INTEGER NOT NULL DEFAULT 0,
  error          TEXT,
  CHECK ((state = 'running') = (finished_at_ms IS NULL)),
  CHECK ((state = 'failed') = (error IS NOT NULL))
) STRICT;

CREATE INDEX imports_running ON imports (id) WHERE state = 'running';

CREATE TABLE titles (
  id              INTEGER PRIMARY KEY AUTOINCREMENT,
  cm_id           TEXT NOT NULL UNIQUE,
  kind            TEXT NOT NULL CHECK (kind IN ('movie', 'series')),
  name            TEXT NOT NULL,
  name_folded     TEXT NOT NULL,
  year            INTEGER,
  runtime_s       INTEGER,
  first_seen_at_ms INTEGER NOT NULL,
  changed_at_ms   INTEGER NOT NULL
) STRICT;

CREATE INDEX titles_by_name ON titles (name_folded, id);

-- Search: an index over titles.name_folded, kept in step by the triggers below. Folding is done before (core/folding),
-- so the tokenizer only splits at spaces; marks that are not accents (Mc, Mn) belong to words.
CREATE VIRTUAL TABLE title_words USING fts5 (
  name_folded,
  content = 'titles',
  content_rowid = 'id',
  tokenize = "unicode61 remove_diacritics 0 categories 'L* N* Co Mc Mn'",
  prefix = '1 2 3'
);

CREATE TRIGGER title_words_insert AFTER INSERT ON titles BEGIN
  INSERT INTO title_words (rowid, name_folded) VALUES (new.id, new.name_folded);
END;

CREATE TRIGGER title_words_update AFTER UPDATE OF name_folded ON titles
WHEN old.name_folded <> new.name_folded BEGIN
  INSERT INTO title_words (title_words, rowid, name_folded) VALUES ('delete', old.id, old.name_folded);
  INSERT INTO title_words (rowid, name_folded) VALUES (new.id, new.name_folded);
END;

CREATE TRIGGER title_words_delete AFTER DELETE ON titles BEGIN
  INSERT INTO title_words (title_words, rowid, name_folded) VALUES ('delete', old.id, old.name_folded);
END;

-- season and episode are what CM says now; code_season and code_episode are what codes say, for ever.
CREATE TABLE episodes (
  id              INTEGER PRIMARY KEY AUTOINCREMENT,
  title_id        INTEGER NOT NULL REFERENCES titles (id),
  cm_id           TEXT NOT NULL,
  season          INTEGER NOT NULL CHECK (season >= 0),
  episode         INTEGER NOT NULL CHECK (episode >= 0),
  code_season     INTEGER NOT NULL CHECK (code_season >= 0),
  code_episode    INTEGER NOT NULL CHECK (code_episode >= 0),
  name            TEXT,
  runtime_s       INTEGER,
  first_seen_at_ms INTEGER NOT NULL,
  changed_at_ms   INTEGER NOT NULL,
  UNIQUE (title_id, cm_id),
  UNIQUE (title_id, code_season, code_episode)
) STRICT;

-- Never merged, never deleted: a link that CM no longer lists has listed = 0.
CREATE TABLE source_links (
  id               INTEGER PRIMARY KEY AUTOINCREMENT,
  title_id         INTEGER NOT NULL REFERENCES titles (id),
  episode_id       INTEGER REFERENCES episodes (id),
  cm_id            TEXT NOT NULL,
  url              TEXT NOT NULL,
  quality          TEXT NOT NULL,
  evidence         TEXT NOT NULL,
  declared_quality TEXT,
  listed           INTEGER NOT NULL DEFAULT 1 CHECK (listed IN (0, 1)),
  first_seen_at_ms INTEGER NOT NULL,
  changed_at_ms    INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX source_links_of_title ON source_links (title_id, coalesce(episode_id, 0), cm_id);

-- ---- who uploads, and where to ------------------------------------------------------------------

CREATE TABLE accounts (
  id                      INTEGER PRIMARY KEY AUTOINCREMENT,
  name                    TEXT NOT NULL UNIQUE,
  telegram_user_id        INTEGER NOT NULL,
  premium                 INTEGER NOT NULL CHECK (premium IN (0, 1)),
  uploads_parked_until_ms INTEGER NOT NULL DEFAULT 0,
  sends_parked_until_ms   INTEGER NOT NULL DEFAULT 0,
  park_reason             TEXT
) STRICT;

-- boot_id names the process that speaks for the worker now.
CREATE TABLE workers (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  name       TEXT NOT NULL UNIQUE,
  account_id INTEGER NOT NULL REFERENCES accounts (id),
  boot_id    TEXT NOT NULL,
  version    TEXT NOT NULL,
  seen_at_ms INTEGER NOT NULL
) STRICT;

-- A channel is planned until its account has created it; telegram_id is MTProto's positive id.
CREATE TABLE channels (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  account_id    INTEGER NOT NULL REFERENCES accounts (id),
  telegram_id   INTEGER UNIQUE CHECK (telegram_id > 0),
  messages      INTEGER NOT NULL DEFAULT 0 CHECK (messages >= 0),
  planned_at_ms INTEGER NOT NULL,
  opened_at_ms  INTEGER,
  CHECK ((telegram_id IS NULL) = (opened_at_ms IS NULL))
) STRICT;

-- The channel of an account that holds the fewest messages comes first.
CREATE INDEX channels_by_load ON channels (account_id, messages, id) WHERE telegram_id IS NOT NULL;

-- ---- the queue ----------------------------------------------------------------------------------

-- One row an upload target. The CHECKs repeat the state machine of core/leases.
CREATE TABLE upload_variants (
  id               INTEGER PRIMARY KEY AUTOINCREMENT,
  code             TEXT NOT NULL UNIQUE,
  title_id         INTEGER NOT NULL REFERENCES titles (id),
  episode_id       INTEGER REFERENCES episodes (id),
  quality          TEXT NOT NULL,
  state            TEXT NOT NULL DEFAULT 'ready' CHECK (state IN
                     ('ready', 'leased', 'delayed', 'done', 'dead', 'cancelled', 'withdrawn')),
  priority         INTEGER NOT NULL DEFAULT 2 CHECK (priority BETWEEN 0 AND 9),
  account_id       INTEGER REFERENCES accounts (id),  -- the lane: pinned to an account, or NULL, open to all
  channel_id       INTEGER REFERENCES channels (id),  -- where it was last sent to
  generation       INTEGER NOT NULL DEFAULT 0 CHECK (generation >= 0),
  fence            INTEGER NOT NULL DEFAULT 0 CHECK (fence >= 0),
  attempts         INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
  expiries         INTEGER NOT NULL DEFAULT 0 CHECK (expiries >= 0),
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
  CHECK ((state IN ('done', 'dead', 'cancelled', 'withdrawn')) = (finished_at_ms IS NOT NULL)),
  CHECK (state NOT IN ('leased', 'done', 'withdrawn') OR channel_id IS NOT NULL),
  CHECK (state = 'leased' OR (stage IS NULL AND progress_link_id IS NULL AND bytes_done IS NULL))
) STRICT;

-- claim: the head of a lane is one probe, however long the lanes are.
CREATE INDEX upload_variants_lane ON upload_variants (account_id, priority, id) WHERE state = 'ready';
-- sweep: leases that expire and delays that end, on one clock.
CREATE INDEX upload_variants_due ON upload_variants (due_at_ms) WHERE due_at_ms IS NOT NULL;
-- A claim whose reply was lost finds its lease again; also the leases that a worker holds.
CREATE UNIQUE INDEX upload_variants_held ON upload_variants (worker_id, request_id) WHERE state = 'leased';
CREATE INDEX upload_variants_of_title ON upload_variants (title_id);
-- How many variants of a title can be delivered, for every row of a search result.
CREATE INDEX upload_variants_on_shelf ON upload_variants (title_id) WHERE state = 'done';
CREATE INDEX upload_variants_by_state ON upload_variants (state, code);

-- The links of a variant in retry order. A link belongs to one variant.
CREATE TABLE variant_sources (
  variant_id   INTEGER NOT NULL REFERENCES upload_variants (id),
  link_id      INTEGER NOT NULL UNIQUE REFERENCES source_links (id),
  position     INTEGER NOT NULL CHECK (position >= 1),
  fate         TEXT NOT NULL DEFAULT 'untried' CHECK (fate IN ('untried', 'failed', 'used')),
  reason       TEXT,
  detail       TEXT,
  passing      INTEGER NOT NULL DEFAULT 0 CHECK (passing IN (0, 1)),  -- the failure may pass
  failed_round INTEGER,
  tried_at_ms  INTEGER,
  PRIMARY KEY (variant_id, position),
  CHECK ((fate = 'failed') = (reason IS NOT NULL)),
  CHECK ((fate = 'failed') = (failed_round IS NOT NULL)),
  CHECK ((fate = 'untried') = (tried_at_ms IS NULL)),
  CHECK (fate = 'failed' OR passing = 0)
) STRICT, WITHOUT ROWID;

-- History: one row for each link that a lease tried, and one for a lease that ended otherwise.
CREATE TABLE upload_attempts (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  variant_id     INTEGER NOT NULL REFERENCES upload_variants (id),
  fence          INTEGER NOT NULL,
  worker_id      INTEGER NOT NULL REFERENCES workers (id),
  account_id     INTEGER NOT NULL REFERENCES accounts (id),
  link_id        INTEGER REFERENCES source_links (id),
  outcome        TEXT NOT NULL CHECK (outcome IN
                   ('done', 'failed', 'flood_wait', 'released', 'expired', 'restarted', 'cancelled')),
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

CREATE INDEX upload_attempts_of_lease ON upload_attempts (variant_id, fence);
CREATE INDEX upload_attempts_by_outcome ON upload_attempts (outcome);

-- ---- what is in Telegram ------------------------------------------------------------------------

-- Messages that hold parts. Those of a variant that was queued again are retired, not forgotten.
CREATE TABLE telegram_objects (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
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

-- A file_id for each message and bot. Keyed by Telegram's own channel id and without a reference to an object: the
-- bot hears of a message before the worker has settled it.
CREATE TABLE bot_files (
  bot_id              INTEGER NOT NULL,
  channel_telegram_id INTEGER NOT NULL,
  message_id          INTEGER NOT NULL,
  kind                TEXT NOT NULL CHECK (kind IN ('video', 'document')),
  file_id             TEXT NOT NULL,
  file_unique_id      TEXT NOT NULL,
  saved_at_ms         INTEGER NOT NULL,
  PRIMARY KEY (bot_id, channel_telegram_id, message_id)
) STRICT, WITHOUT ROWID;

-- ---- who asks -----------------------------------------------------------------------------------

-- The id is the user's in Telegram.
CREATE TABLE users (
  id               INTEGER PRIMARY KEY,
  language         TEXT,
  first_seen_at_ms INTEGER NOT NULL,
  seen_at_ms       INTEGER NOT NULL
) STRICT;

-- What a user asked for that could not be sent: a variant that is not there yet, or a title in words.
CREATE TABLE requests (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id        INTEGER NOT NULL REFERENCES users (id),
  variant_id     INTEGER REFERENCES upload_variants (id),
  wish           TEXT,
  asked_at_ms    INTEGER NOT NULL,
  answered_at_ms INTEGER,
  CHECK ((variant_id IS NULL) <> (wish IS NULL))
) STRICT;

CREATE INDEX requests_open ON requests (variant_id) WHERE answered_at_ms IS NULL;

CREATE TABLE deliveries (
  id              INTEGER PRIMARY KEY AUTOINCREMENT,
  variant_id      INTEGER NOT NULL REFERENCES upload_variants (id),
  user_id         INTEGER NOT NULL REFERENCES users (id),
  outcome         TEXT NOT NULL CHECK (outcome IN ('sent', 'copied', 'missing')),
  delivered_at_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX deliveries_of_user ON deliveries (user_id, delivered_at_ms);

-- The API's bearer tokens by their jti; the tokens themselves are not kept.
CREATE TABLE tokens (
  jti           TEXT PRIMARY KEY,
  subject       TEXT NOT NULL,
  scope         TEXT NOT NULL CHECK (scope IN ('worker', 'operator')),
  issued_at_ms  INTEGER NOT NULL,
  expires_at_ms INTEGER NOT NULL,
  revoked_at_ms INTEGER
) STRICT, WITHOUT ROWID;
