"""Fills a database with many upload targets, by SQL through the schema: every CHECK, trigger and foreign key is on.

An import of a million targets through the API of the store would take longer than all the measuring. What stands there
afterwards is what an import leaves behind: series of 25 episodes in four qualities, one link each, all ready.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from pysqlite3 import dbapi2

EPISODES = 25  # of a title
QUALITIES = ("2160P", "1080P", "720P", "480P")
VARIANTS_PER_TITLE = EPISODES * len(QUALITIES)

_NUMBERS = "WITH RECURSIVE numbers (n) AS (SELECT :first UNION ALL SELECT n + 1 FROM numbers WHERE n < :last)\n"
_TITLES = """
INSERT INTO titles (id, cm_id, kind, name, name_folded, year, first_seen_at_ms, changed_at_ms)
SELECT n, 'title-' || n, 'series', 'Series ' || n, 'series ' || n, 1950 + n % 75, :now_ms, :now_ms FROM numbers"""
_EPISODES = """
INSERT INTO episodes (id, title_id, cm_id, season, episode, code_season, code_episode, name, runtime_s,
  first_seen_at_ms, changed_at_ms)
SELECT n, (n - 1) / 25 + 1, 'episode-' || n, 1, (n - 1) % 25 + 1, 1, (n - 1) % 25 + 1, 'Episode ' || n, 2700,
  :now_ms, :now_ms FROM numbers"""
_QUALITY = "CASE n % 4 WHEN 1 THEN '2160P' WHEN 2 THEN '1080P' WHEN 3 THEN '720P' ELSE '480P' END"
_LINKS = f"""
INSERT INTO source_links (id, title_id, episode_id, cm_id, url, quality, evidence, first_seen_at_ms, changed_at_ms)
SELECT n, (n - 1) / 100 + 1, (n - 1) / 4 + 1, 'link-' || n, 'https://host-' || n % 50 || '.example/' || n || '.mkv',
  {_QUALITY}, 'field', :now_ms, :now_ms FROM numbers"""  # noqa: S608 - two constants of this file
_VARIANTS = f"""
INSERT INTO upload_variants (id, code, title_id, episode_id, quality, account_id, created_at_ms)
SELECT n, printf('CM_S%06d_S01E%02d_%s', (n - 1) / 100 + 1, (n - 1) / 4 % 25 + 1, {_QUALITY}),
  (n - 1) / 100 + 1, (n - 1) / 4 + 1, {_QUALITY},
  CASE WHEN n % 100 < :pinned_of_100 THEN 1 + (7 * n + n / 100) % :accounts END, :now_ms FROM numbers
ORDER BY n"""  # noqa: S608 - a constant of this file
_SOURCES = "INSERT INTO variant_sources (variant_id, link_id, position) SELECT n, n, 1 FROM numbers"


def fill(path: Path, variants: int, *, accounts: int, pinned_of_100: int, now_ms: int) -> int:
    """Add `variants`, rounded up to whole titles, to a database that holds nothing else; how many it holds then.

    Of each hundred, `pinned_of_100` are pinned to the accounts 1 to `accounts`, which must be there; the others are
    open to all. The database may be in use.
    """
    with closing(dbapi2.connect(str(path), isolation_level=None)) as raw:
        for pragma in ("foreign_keys=ON", "busy_timeout=5000", "synchronous=OFF", "cache_size=-262144"):
            raw.execute(f"PRAGMA {pragma}")
        titles = raw.execute("SELECT coalesce(max(id), 0) FROM titles").fetchone()[0]
        last_title = titles - (-variants // VARIANTS_PER_TITLE)
        lanes = {"accounts": accounts, "pinned_of_100": pinned_of_100, "now_ms": now_ms}
        raw.execute("BEGIN IMMEDIATE")
        for statement, per_title in ((_TITLES, 1), (_EPISODES, 25), (_LINKS, 100), (_VARIANTS, 100), (_SOURCES, 100)):
            span = {"first": titles * per_title + 1, "last": last_title * per_title}
            raw.execute(_NUMBERS + statement, {**lanes, **span})
        raw.execute("COMMIT")
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return last_title * VARIANTS_PER_TITLE
