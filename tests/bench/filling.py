"""Fills a database with upload targets, by SQL through the schema: every CHECK, trigger and foreign key is on.

An import of a million targets through the API of the store would take longer than all the measuring. What stands there
afterwards is what imports and workers leave behind: series of 25 episodes in four qualities, a link each, spread over a
few hosts; those that were uploaded first are done, with their message and their attempt, the others are ready.
"""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
from pysqlite3 import dbapi2

VARIANTS_PER_TITLE = 100
HOSTS = 8

_NUMBERS = "WITH RECURSIVE numbers (n) AS (SELECT :first UNION ALL SELECT n + 1 FROM numbers WHERE n < :last)\n"
_QUALITY = "CASE n % 4 WHEN 1 THEN '2160P' WHEN 2 THEN '1080P' WHEN 3 THEN '720P' ELSE '480P' END"
_TITLES = """
INSERT INTO titles (id, cm_id, kind, name, name_folded, year, first_seen_at_ms, changed_at_ms)
SELECT n, 'title-' || n, 'series', 'Series ' || n, 'series ' || n, 1950 + n % 75, :now_ms, :now_ms FROM numbers"""
_EPISODES = """
INSERT INTO episodes (id, title_id, cm_id, season, episode, code_season, code_episode, name, runtime_s,
  first_seen_at_ms, changed_at_ms)
SELECT n, (n - 1) / 25 + 1, 'episode-' || n, 1, (n - 1) % 25 + 1, 1, (n - 1) % 25 + 1, 'Episode ' || n, 2700,
  :now_ms, :now_ms FROM numbers"""
_LINKS = f"""
INSERT INTO source_links (id, title_id, episode_id, cm_id, url, host_id, quality, evidence,
  first_seen_at_ms, changed_at_ms)
SELECT n, (n - 1) / 100 + 1, (n - 1) / 4 + 1, 'link-' || n,
  'https://host-' || (1 + n % :hosts) || '.example/' || n || '.mkv', 1 + n % :hosts, {_QUALITY}, 'field',
  :now_ms, :now_ms FROM numbers"""  # noqa: S608 - a constant of this file
_VARIANTS = f"""
INSERT INTO upload_variants (id, code, title_id, episode_id, quality, account_id, host_id, created_at_ms,
  state, fence, attempts, channel_id, finished_at_ms)
SELECT n, printf('CM_S%06d_S01E%02d_%s', (n - 1) / 100 + 1, (n - 1) / 4 % 25 + 1, {_QUALITY}),
  (n - 1) / 100 + 1, (n - 1) / 4 + 1, {_QUALITY},
  CASE WHEN n % 100 < :pinned_of_100 THEN 1 + (7 * n + n / 100) % :accounts END, 1 + n % :hosts, :now_ms,
  iif(n <= :done, 'done', 'ready'), n <= :done, n <= :done, iif(n <= :done, 1 + n % :channels, NULL),
  iif(n <= :done, :now_ms, NULL)
FROM numbers"""  # noqa: S608 - a constant of this file
_SOURCES = """
INSERT INTO variant_sources (variant_id, link_id, position, fate, tried_at_ms)
SELECT n, n, 1, iif(n <= :done, 'used', 'untried'), iif(n <= :done, :now_ms, NULL) FROM numbers"""
_OBJECTS = """
INSERT INTO telegram_objects (variant_id, part_no, part_count, channel_id, message_id, account_id, fence, size_bytes,
  sha256, duration_s, width_px, height_px, stored_at_ms)
SELECT n, 1, 1, c.id, n, c.account_id, 1, 1 << 30, printf('%064x', n), 2700.0, 1920, 1080, :now_ms
FROM numbers JOIN channels c ON c.id = 1 + n % :channels WHERE n <= :done"""
_ATTEMPTS = """
INSERT INTO upload_attempts (variant_id, fence, worker_id, account_id, link_id, outcome, plan, bytes_read,
  started_at_ms, finished_at_ms)
SELECT n, 1, 1, c.account_id, n, 'done', 'direct', 1 << 30, :now_ms - 60000, :now_ms
FROM numbers JOIN channels c ON c.id = 1 + n % :channels WHERE n <= :done"""
_PER_TITLE = (
    (_TITLES, 1),
    (_EPISODES, 25),
    (_LINKS, 100),
    (_VARIANTS, 100),
    (_SOURCES, 100),
    (_OBJECTS, 100),
    (_ATTEMPTS, 100),
)
_HOSTS = """
INSERT INTO hosts (id, name) SELECT n, 'host-' || n || '.example' FROM numbers"""
_COUNT_MESSAGES = """
UPDATE channels SET messages = (
  SELECT count(*) FROM telegram_objects o WHERE o.channel_id = channels.id AND o.retired_at_ms IS NULL)"""
_UNDO_VARIANTS = """
UPDATE upload_variants SET state = 'ready', finished_at_ms = NULL, channel_id = NULL, attempts = 0
WHERE id > ? AND state = 'done'"""
_UNDO_SOURCES = """
UPDATE variant_sources SET fate = 'untried', tried_at_ms = NULL WHERE variant_id > ? AND fate = 'used'"""
_REWIND = (
    "DELETE FROM telegram_objects WHERE variant_id > ? AND retired_at_ms IS NULL",
    "DELETE FROM upload_attempts WHERE variant_id > ?",
    _UNDO_SOURCES,
    _UNDO_VARIANTS,
)


class Filling(msgspec.Struct, frozen=True):
    """What to fill with. `variants` come in whole titles of 100; the first `done` of them are done, the others ready.

    Of each hundred, `pinned_of_100` are pinned to an account, the others are open to all. `accounts` and `channels`
    must be in the database before, with the ids from 1.
    """

    variants: int
    done: int
    accounts: int
    channels: int
    pinned_of_100: int = 50
    hosts: int = HOSTS

    def __post_init__(self) -> None:
        if self.variants % VARIANTS_PER_TITLE:
            raise ValueError(f"{self.variants} variants are not a multiple of {VARIANTS_PER_TITLE}")


def fill(path: Path, filling: Filling, now_ms: int) -> None:
    """Fill a database that holds no title yet. It may be in use."""
    params = {**msgspec.structs.asdict(filling), "now_ms": now_ms}
    titles = filling.variants // VARIANTS_PER_TITLE
    with closing(_connect(path)) as raw:
        raw.execute("BEGIN IMMEDIATE")
        raw.execute(_NUMBERS + _HOSTS, {"first": 1, "last": filling.hosts})
        for statement, per_title in _PER_TITLE:
            raw.execute(_NUMBERS + statement, {**params, "first": 1, "last": titles * per_title})
        raw.execute(_COUNT_MESSAGES)
        raw.execute("COMMIT")
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    flush(path)


def flush(path: Path) -> None:
    """Have the disk write now what was filled without waiting for it, so that nothing that is measured waits for it."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def rewind(path: Path, done: int) -> None:
    """Make what was uploaded since the filling ready again, as if it never had been. Nothing may be leased."""
    with closing(_connect(path)) as raw:
        raw.execute("BEGIN IMMEDIATE")
        for statement in _REWIND:
            raw.execute(statement, (done,))
        raw.execute(_COUNT_MESSAGES)
        raw.execute("COMMIT")


def unpark(path: Path) -> None:
    """Let every account upload at once."""
    with closing(_connect(path)) as raw:
        raw.execute("UPDATE accounts SET sends_parked_until_ms = 0, uploads_parked_until_ms = 0")


def _connect(path: Path) -> Any:
    raw = dbapi2.connect(str(path), isolation_level=None)
    for pragma in ("foreign_keys=ON", "busy_timeout=5000", "synchronous=OFF", "cache_size=-262144"):
        raw.execute(f"PRAGMA {pragma}")
    return raw
