"""Whoever waits is woken when there is something to claim, whatever became of who made it so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing

import pytest
from pysqlite3 import dbapi2
from tests.store.conftest import Scene, film, link

from telecine.core.operator_protocol import Park, WorkerMode
from telecine.core.protocol import Lease, SettleFloodWait, SettleReleased

CODE = "CM_M000001_720P"
Change = Callable[[Scene, Lease], Awaitable[object]]

CHANGES: dict[str, Change] = {
    "settled": lambda scene, lease: scene.store.queue.settle("w", lease.lease, SettleReleased()),
    "restarted": lambda scene, lease: scene.hello("w", boot="boot-2"),
    "disabled": lambda scene, lease: scene.store.operations.set_mode("w", WorkerMode.DISABLED),
    "imported": lambda scene, lease: scene.imports(film("2", link("b"))),
}
PARKS: dict[str, Change] = {
    "by telegram": lambda scene, lease: scene.store.queue.settle(
        "w", lease.lease, SettleFloodWait(9.0, "upload.saveBigFilePart")
    ),
    "by an operator": lambda scene, lease: scene.store.operations.park("w", Park(9.0)),
}


async def turns() -> None:
    """Let everybody do what there is to do now."""
    for _ in range(10):
        await asyncio.sleep(0)


@asynccontextmanager
async def under_way(scene: Scene, change: Awaitable[object]) -> AsyncIterator[None]:
    """The change waits for another process that writes, and whoever asked for it goes away."""
    with closing(dbapi2.connect(str(scene.path), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        asking = asyncio.ensure_future(change)
        await turns()
        asking.cancel()
        await asyncio.wait({asking})
        yield


@pytest.fixture
async def leased(scene: Scene) -> tuple[Scene, Lease]:
    await scene.enrol("w")
    await scene.enrol("x")
    await scene.imports(film("1", link("a")))
    return scene, await scene.lease("w")


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_wakes_though_its_caller_went_away_before_the_commit(
    leased: tuple[Scene, Lease], change: str
) -> None:
    scene, lease = leased
    waiting = asyncio.create_task(scene.store.queue.wait_for_work(30))
    async with under_way(scene, CHANGES[change](scene, lease)):
        assert not waiting.done()
    async with asyncio.timeout(10):
        await waiting
    assert await scene.claim("x") is not None


@pytest.mark.parametrize("park", PARKS)
async def test_the_end_of_a_park_wakes_though_who_parked_went_away(leased: tuple[Scene, Lease], park: str) -> None:
    scene, lease = leased
    async with under_way(scene, PARKS[park](scene, lease)):
        waiting = asyncio.create_task(scene.store.queue.wait_for_work(30))
    async with asyncio.timeout(10):
        await waiting  # whoever waits learns of the park, to wait for its end
    waiting = asyncio.create_task(scene.store.queue.wait_for_work(30))
    await turns()
    scene.clock.advance(9)
    async with asyncio.timeout(10):
        await waiting
