"""A database that has been at work under an earlier schema goes on under this one, and nothing is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pysqlite3 import dbapi2
from tests.clocks import START_MS, HandClock
from tests.store.conftest import POLICY, Scene, film, link

from telecine.core.leases import VariantState
from telecine.core.operator_protocol import WorkerMode
from telecine.core.protocol import Hello
from telecine.store import Store, schema
from telecine.store.epoch import write_epoch

# As the second schema knew it: a film that is done, one that is leased, one that waits and has failed once.
WORK = """
INSERT INTO accounts (name, telegram_user_id, premium) VALUES ('w', 77, 1);
INSERT INTO workers (name, account_id, boot_id, version, seen_at_ms) VALUES ('w', 1, 'boot-1', '1.0', 1);
INSERT INTO channels (account_id, telegram_id, messages, planned_at_ms, opened_at_ms) VALUES (1, 501, 1, 1, 1);
INSERT INTO titles (cm_id, kind, name, name_folded, first_seen_at_ms, changed_at_ms)
  VALUES ('1', 'movie', 'One', 'one', 1, 1), ('2', 'movie', 'Two', 'two', 1, 1), ('3', 'movie', 'Three', 'three', 1, 1);
INSERT INTO source_links (title_id, cm_id, url, quality, evidence, first_seen_at_ms, changed_at_ms) VALUES
  (1, 'a', 'https://User:Pass@Host.Example:8443/a.mkv?x=1', '720P', 'field', 1, 1),
  (2, 'b', 'http://b.example?b', '720P', 'field', 1, 1),
  (3, 'c', 'http://c.example#c', '720P', 'field', 1, 1),
  (3, 'd', 'http://d.example/d/http://e.example/', '720P', 'field', 1, 1),
  (3, 'e', 'no address', '720P', 'field', 1, 1);
INSERT INTO upload_variants (code, title_id, quality, channel_id, fence, attempts, expiries, created_at_ms)
  VALUES ('CM_M000001_720P', 1, '720P', 1, 1, 1, 0, 1), ('CM_M000002_720P', 2, '720P', 1, 3, 2, 5, 1),
         ('CM_M000003_720P', 3, '720P', NULL, 1, 1, 0, 1);
INSERT INTO variant_sources (variant_id, link_id, position)
  VALUES (1, 1, 1), (2, 2, 1), (3, 3, 1), (3, 4, 2), (3, 5, 3);
UPDATE variant_sources SET fate = 'used', tried_at_ms = 1 WHERE link_id = 1;
UPDATE variant_sources SET fate = 'failed', reason = 'gone', failed_round = 0, tried_at_ms = 1 WHERE link_id = 3;
INSERT INTO telegram_objects (variant_id, part_no, part_count, channel_id, message_id, account_id, fence, size_bytes,
  sha256, stored_at_ms) VALUES (1, 1, 1, 1, 11, 1, 1, 5, 'x', 1);
UPDATE upload_variants SET state = 'done', finished_at_ms = 1 WHERE id = 1;
UPDATE upload_variants SET state = 'leased', worker_id = 1, request_id = 'r', leased_at_ms = 1, due_at_ms = {due_at_ms}
  WHERE id = 2;
INSERT INTO upload_attempts (variant_id, fence, worker_id, account_id, link_id, outcome, started_at_ms, finished_at_ms)
  VALUES (1, 1, 1, 1, 1, 'done', 1, 2);
"""


def at_work_before(path: Path) -> None:
    raw: Any = dbapi2.connect(str(path), isolation_level=None)
    schema.migrate(raw, schema.load()[:2], START_MS)
    raw.execute("PRAGMA foreign_keys=ON")
    raw.executescript(WORK.format(due_at_ms=START_MS + 60_000))
    raw.close()
    write_epoch(path, 1)


async def test_what_was_done_leased_and_waiting_goes_on(path: Path, clock: HandClock) -> None:
    at_work_before(path)
    async with Store.open(path, clock=clock, policy=POLICY) as store:
        scene = Scene(store, clock, path)
        resolved = await store.shelf.resolve("CM_M000001_720P", bot_id=1)
        assert [part.message_id for part in resolved.parts] == [11]
        held = await scene.claim("w", "r")
        assert held is not None
        assert (held.lease, [source.link_id for source in held.sources]) == ("1.2.3", [2])
        assert (await scene.done("w", held, 12)).state is VariantState.DONE
        waiting = await scene.lease("w")
        assert (waiting.lease, [source.link_id for source in waiting.sources]) == ("1.3.2", [4, 5])
        assert len(await store.operations.attempts()) == 2
        await store.queue.hello("w", "w", Hello("boot-1", "1.0", 77, premium=True), channels_wanted=1)
    assert scene.sql("PRAGMA foreign_key_check") == []
    assert scene.sql("PRAGMA integrity_check") == [("ok",)]


async def test_a_worker_that_drains_goes_on_to_drain(path: Path, clock: HandClock) -> None:
    raw: Any = dbapi2.connect(str(path), isolation_level=None)
    schema.migrate(raw, schema.load()[:3], START_MS)
    raw.executescript("""
        INSERT INTO accounts (name, telegram_user_id, premium) VALUES ('w', 77, 1);
        INSERT INTO workers (name, account_id, boot_id, version, seen_at_ms, mode)
          VALUES ('v', 1, 'boot-1', '1.0', 1, 'draining'), ('w', 1, 'boot-1', '1.0', 1, 'active');
    """)
    raw.close()
    async with Store.open(path, clock=clock, policy=POLICY) as store:
        modes = {status.name: status.mode for status in await store.operations.workers()}
        assert modes == {"v": WorkerMode.DRAINING, "w": WorkerMode.ACTIVE}
        assert (await store.operations.set_mode("w", WorkerMode.PAUSED)).mode is WorkerMode.PAUSED


async def test_what_was_cancelled_stays_cancelled(path: Path, clock: HandClock) -> None:
    """By whom was not written down."""
    raw: Any = dbapi2.connect(str(path), isolation_level=None)
    schema.migrate(raw, schema.load()[:4], START_MS)
    raw.executescript("""
        INSERT INTO titles (cm_id, kind, name, name_folded, first_seen_at_ms, changed_at_ms)
          VALUES ('1', 'movie', 'One', 'one', 1, 1);
        INSERT INTO upload_variants (code, title_id, quality, state, created_at_ms, finished_at_ms)
          VALUES ('CM_M000001_720P', 1, '720P', 'cancelled', 1, 1);
    """)
    raw.close()
    async with Store.open(path, clock=clock, policy=POLICY) as store:
        await Scene(store, clock, path).imports(film("1", link("a")))
        variant = await store.catalogue.variant("CM_M000001_720P")
        assert (variant.state, len(variant.sources)) == (VariantState.CANCELLED, 1)
        assert await store.operations.requeue("CM_M000001_720P") is VariantState.READY


async def test_names_without_spaces_are_found_by_any_part_of_them(path: Path, clock: HandClock) -> None:
    raw: Any = dbapi2.connect(str(path), isolation_level=None)
    schema.migrate(raw, schema.load()[:6], START_MS)
    raw.executescript("""
        INSERT INTO titles (cm_id, kind, name, name_folded, first_seen_at_ms, changed_at_ms)
          VALUES ('1', 'movie', '千と千尋の神隠し', '千と千尋の神隠し', 1, 1), ('2', 'movie', 'Łódź', 'lodz', 1, 1);
    """)
    raw.close()
    async with Store.open(path, clock=clock, policy=POLICY) as store:
        for words, name in (("千尋", "千と千尋の神隠し"), ("lodz", "Łódź")):
            assert [title.name for title in await store.catalogue.search(words)] == [name]
    assert Scene(store, clock, path).sql("INSERT INTO title_words (title_words) VALUES ('integrity-check')") == []


async def test_every_link_gets_the_host_that_it_points_to(path: Path, clock: HandClock) -> None:
    at_work_before(path)
    async with Store.open(path, clock=clock, policy=POLICY) as store:
        hosts = Scene(store, clock, path).sql(
            "SELECT l.cm_id, h.name FROM source_links l JOIN hosts h ON h.id = l.host_id ORDER BY l.cm_id"
        )
    assert hosts == [
        ("a", "host.example:8443"),
        ("b", "b.example"),
        ("c", "c.example"),
        ("d", "d.example"),
        ("e", "file:"),
    ]
