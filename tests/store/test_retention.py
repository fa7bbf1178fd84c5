"""What is forgotten, what is not, and how little it holds up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.store.conftest import Scene, film, link

from telecine.core.config import CoordinatorSettings
from telecine.core.coordinator.pruning import prune
from telecine.core.events import EventKind
from telecine.core.leases import VariantState
from telecine.core.reasons import Reason
from telecine.store import Store
from telecine.store.transaction import Transaction

if TYPE_CHECKING:
    from pathlib import Path

    from tests.clocks import HandClock

    from telecine.store.transaction import Params

ROWS_MAX = 500
SETTINGS = CoordinatorSettings(secret=64 * "x")
MANY_ATTEMPTS = """
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
INSERT INTO upload_attempts (variant_id, fence, worker_id, account_id, outcome, started_at_ms, finished_at_ms)
SELECT v.id, n.i, 1, 1, 'released', n.i, n.i FROM n, (SELECT min(id) AS id FROM upload_variants) v
"""


@pytest.fixture
async def queued(scene: Scene) -> Scene:
    """A worker with an upload in front of it, and nothing in the log."""
    await scene.enrol("w")
    await scene.imports(film("m1", link("a"), link("b")))
    return scene


def ids(scene: Scene, table: str) -> list[int]:
    return [row[0] for row in scene.sql(f"SELECT id FROM {table} ORDER BY id")]  # noqa: S608 - ours


def tell_at(scene: Scene, *at_ms: int) -> None:
    for one in at_ms:
        scene.sql("INSERT INTO events (at_ms, kind, data) VALUES (?, 'queue', '{}')", one)


async def test_the_oldest_attempts_go_up_to_the_first_that_is_kept(queued: Scene) -> None:
    queued.sql(MANY_ATTEMPTS, 10)
    retention = queued.store.retention
    assert await retention.prune_attempts(5, limit=ROWS_MAX) == 4
    assert ids(queued, "upload_attempts") == [5, 6, 7, 8, 9, 10]
    assert await retention.prune_attempts(5, limit=ROWS_MAX) == 0
    assert await retention.prune_attempts(100, limit=4) == 4
    assert ids(queued, "upload_attempts") == [9, 10]
    assert await retention.prune_attempts(100, limit=4) == 2
    assert await retention.prune_attempts(100, limit=4) == 0


async def test_an_attempt_that_is_kept_keeps_all_later_ones(queued: Scene) -> None:
    queued.sql(MANY_ATTEMPTS, 4)
    queued.sql("UPDATE upload_attempts SET finished_at_ms = 1000 WHERE id = 2")  # the clock was ahead for a while
    assert await queued.store.retention.prune_attempts(500, limit=ROWS_MAX) == 1
    assert ids(queued, "upload_attempts") == [2, 3, 4]


async def test_the_newest_event_stays_so_that_no_number_is_given_twice(path: Path, clock: HandClock) -> None:
    async with Store.open(path, clock=clock) as store:
        scene = Scene(store, clock, path)
        tell_at(scene, 1, 2, 3, 4)
        assert await store.retention.prune_events(100, limit=ROWS_MAX) == 3
        assert await store.retention.prune_events(100, limit=ROWS_MAX) == 0
        assert ids(scene, "events") == [4]
    async with Store.open(path, clock=clock) as store:
        await store.intake.begin_import()
        assert ids(Scene(store, clock, path), "events") == [4, 5]


async def test_events_go_in_batches_from_the_oldest_on(scene: Scene) -> None:
    tell_at(scene, *range(1, 11))
    assert await scene.store.retention.prune_events(8, limit=3) == 3
    assert await scene.store.retention.prune_events(8, limit=3) == 3
    assert await scene.store.retention.prune_events(8, limit=3) == 1
    assert await scene.store.retention.prune_events(8, limit=3) == 0
    assert [one.number for one in await scene.store.events.after(7, limit=10)] == [8, 9, 10]
    assert {one.kind for one in await scene.store.events.after(0, limit=10)} == {EventKind.QUEUE}


async def test_nothing_is_pruned_where_nothing_is(scene: Scene) -> None:
    assert await scene.store.retention.prune_events(1 << 50, limit=ROWS_MAX) == 0
    assert await scene.store.retention.prune_attempts(1 << 50, limit=ROWS_MAX) == 0


async def test_an_upload_outlives_its_history(queued: Scene) -> None:
    lease = await queued.lease("w")
    await queued.fails("w", lease, {lease.sources[0].link_id: Reason.GONE})
    await queued.done("w", await queued.lease("w"))
    queued.clock.advance(100 * 86_400)
    assert await queued.store.retention.prune_attempts(queued.clock.now_ms(), limit=ROWS_MAX) == 2
    detail = await queued.store.catalogue.variant(lease.code)
    assert (detail.state, detail.attempts) == (VariantState.DONE, 2)
    assert [source.reason for source in detail.sources] == [Reason.GONE, None]


async def test_no_claim_waits_for_more_than_one_batch(queued: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever there is to forget, others take their turns in between: counted in operations, not in time."""
    queued.sql(MANY_ATTEMPTS, 100_000)
    batches, execute = 0, Transaction.execute

    def counted(tx: Transaction, query: str, params: Params | None = None) -> int:
        nonlocal batches
        batches += query == "prune_attempts"
        return execute(tx, query, params)

    monkeypatch.setattr(Transaction, "execute", counted)
    pruned: list[tuple[str, int]] = []
    pruning = asyncio.create_task(
        prune(queued.store.retention, queued.clock.now_ms(), SETTINGS, on_pruned=lambda *what: pruned.append(what))
    )
    waited: list[int] = []
    while not pruning.done():
        asked_at = batches
        await queued.claim("w", "request-1")
        waited.append(batches - asked_at)
    await pruning
    assert pruned == [("attempts", 100_000)]
    assert ids(queued, "upload_attempts") == []
    assert batches == 201
    assert len(waited) > 100, "claims were answered all along"
    assert max(waited) <= 1
