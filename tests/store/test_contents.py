"""What an account holds already is found by its hash; and what CM calls an upload comes with it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.store.conftest import episode, film, link, series, uploaded

from telecine.core.captions import Origin
from telecine.core.protocol import Lease, SettleDone, StoredContent
from telecine.core.quality import Quality
from telecine.store.catalogue import SAME_CONTENT_MAX
from telecine.store.sql import QUERIES

if TYPE_CHECKING:
    from tests.store.conftest import Scene

CODE, OTHER = "CM_M000001_720P", "CM_M000001_480P"
HASH = 64 * "a"


def with_hashes(lease: Lease, *hashes: str | None, first: int = 10) -> SettleDone:
    """The report of an upload in as many parts as there are hashes."""
    report = uploaded(lease, *range(first, first + len(hashes)))
    parts = zip(report.objects, hashes, strict=True)
    return msgspec.structs.replace(
        report, objects=tuple(msgspec.structs.replace(part, blake3=one) for part, one in parts)
    )


async def uploads(scene: Scene, worker: str, *hashes: str | None, first: int = 10) -> Lease:
    lease = await scene.lease(worker)
    await scene.store.queue.settle(worker, lease.lease, with_hashes(lease, *hashes, first=first))
    return lease


@pytest.fixture
async def stocked(scene: Scene) -> Scene:
    """Two qualities of a film, and two accounts."""
    for worker in ("w", "x"):
        await scene.enrol(worker)
    await scene.imports(film("1", link("a"), link("b", Quality.SD)))
    return scene


async def test_a_file_is_found_where_it_is_stored(stocked: Scene) -> None:
    lease = await uploads(stocked, "w", 64 * "b", HASH)
    assert lease.channel.telegram_id is not None
    held = await stocked.store.catalogue.contents("w", HASH)
    assert held == (StoredContent(lease.channel.telegram_id, 11, 1 << 20, CODE),)
    objects = (await stocked.store.catalogue.variant(CODE)).objects
    assert [part.blake3 for part in objects] == [64 * "b", HASH]


async def test_a_file_whose_hash_is_not_known_is_not_found(stocked: Scene) -> None:
    await uploads(stocked, "w", None)
    assert await stocked.store.catalogue.contents("w", HASH) == ()
    assert [part.blake3 for part in (await stocked.store.catalogue.variant(CODE)).objects] == [None]


async def test_an_account_is_told_only_of_what_it_holds_itself(stocked: Scene) -> None:
    await uploads(stocked, "w", HASH)
    assert await stocked.store.catalogue.contents("x", HASH) == ()
    assert await stocked.store.catalogue.contents("nobody", HASH) == ()


async def test_workers_of_one_account_hold_the_same(stocked: Scene) -> None:
    await stocked.enrol("w2", account="w")
    await uploads(stocked, "w2", HASH)
    assert len(await stocked.store.catalogue.contents("w", HASH)) == 1


async def test_the_newest_comes_first(stocked: Scene) -> None:
    await uploads(stocked, "w", HASH, first=10)
    await uploads(stocked, "w", HASH, first=20)
    held = await stocked.store.catalogue.contents("w", HASH)
    assert [(one.message_id, one.code) for one in held] == [(20, OTHER), (10, CODE)]


async def test_a_few_are_named_of_many(stocked: Scene) -> None:
    await uploads(stocked, "w", *[HASH] * (SAME_CONTENT_MAX + 3))
    assert len(await stocked.store.catalogue.contents("w", HASH)) == SAME_CONTENT_MAX


async def test_what_was_queued_again_is_not_counted_on(stocked: Scene) -> None:
    await uploads(stocked, "w", HASH)
    await stocked.store.operations.requeue(CODE)
    assert await stocked.store.catalogue.contents("w", HASH) == ()


async def test_what_is_in_a_channel_that_is_retired_is_not_counted_on(stocked: Scene) -> None:
    lease = await uploads(stocked, "w", HASH)
    await stocked.store.operations.retire_channel(lease.channel.id)
    assert await stocked.store.catalogue.contents("w", HASH) == ()


async def test_looking_for_a_file_reads_an_index_alone(scene: Scene) -> None:
    query = re.sub(r":\w+", "NULL", QUERIES["objects_with_content"])
    steps = [str(step[3]) for step in scene.sql(f"EXPLAIN QUERY PLAN {query}")]
    assert not [step for step in steps if step.startswith("SCAN")], steps
    assert any("telegram_objects_same (account_id=? AND blake3=?)" in step for step in steps), steps


async def test_an_upload_says_what_cm_calls_it(scene: Scene) -> None:
    await scene.imports(film("film-9", link("a")), series("series-7", episode("episode-3", 1, 1, link("b"))))
    assert (await scene.store.catalogue.variant(CODE)).origin == Origin("film-9")
    assert (await scene.store.catalogue.variant("CM_S000002_S01E01_720P")).origin == Origin("series-7", "episode-3")
