"""How many may read from a host at once, what goes on meanwhile, and who is woken when another may."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.store.conftest import POLICY, Scene, film, link, uploaded

from telecine.core.protocol import (
    ClaimRequest,
    Lease,
    Outcome,
    SettleFailed,
    SettleFloodWait,
    SettleReleased,
    SourceReport,
)
from telecine.core.reasons import Reason
from telecine.store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.clocks import HandClock

    from telecine.core.catalogue import ImportedTitle


def at(host: str, number: int) -> ImportedTitle:
    return film(str(number), link(f"l{number}", url=f"http://{host}.example/{number}.mkv"))


def code(number: int) -> str:
    return f"CM_M{number:06}_720P"


@pytest.fixture(params=["of the host", "of all hosts"])
async def busy(request: pytest.FixtureRequest, path: Path, clock: HandClock) -> AsyncIterator[Scene]:
    """Two workers, and a host that one may read from at a time, by either kind of limit; `w` does."""
    limited_all = request.param == "of all hosts"
    policy = msgspec.structs.replace(POLICY, host_leases_max=1 if limited_all else None)
    async with Store.open(path, clock=clock, policy=policy) as store:
        scene = Scene(store, clock, path)
        for worker in ("w", "x"):
            await scene.enrol(worker)
        await scene.imports(at("busy", 1), at("busy", 2))
        if not limited_all:
            await store.operations.limit_host("busy.example", 1)
        assert (await scene.claim("w", "first")) is not None
        await store.operations.prioritise(code(2), 0)  # what waits for the host would be the first
        yield scene


async def codes_for(scene: Scene, worker: str, count: int) -> list[str | None]:
    leases = [await scene.claim(worker) for _ in range(count)]
    return [None if lease is None else lease.code for lease in leases]


# ---- what goes on meanwhile ------------------------------------------------------------------------


async def test_elsewhere_the_most_urgent_goes_first_then_the_oldest(busy: Scene) -> None:
    await busy.imports(at("one", 3), at("two", 4), at("three", 5))
    await busy.store.operations.prioritise(code(5), 1)
    assert await codes_for(busy, "x", 4) == [code(5), code(3), code(4), None]


async def test_of_one_other_host_the_most_urgent_goes_first_then_the_oldest(busy: Scene) -> None:
    await busy.imports(at("other", 3), at("other", 4), at("other", 5))
    await busy.store.operations.limit_host("other.example", 3)
    await busy.store.operations.prioritise(code(5), 1)
    assert await codes_for(busy, "x", 4) == [code(5), code(3), code(4), None]


async def test_elsewhere_what_is_pinned_is_left_to_its_account(busy: Scene) -> None:
    await busy.imports(at("one", 3), at("two", 4))
    await busy.store.operations.pin(code(3), "w")
    assert await codes_for(busy, "x", 2) == [code(4), None]
    assert await codes_for(busy, "w", 2) == [code(3), None]


async def test_a_host_that_is_parked_is_no_way_out_until_the_moment_it_opens(busy: Scene) -> None:
    await busy.imports(at("one", 3))
    busy.sql("UPDATE hosts SET parked_until_ms = ? WHERE name = 'one.example'", busy.clock.ms + 1000)
    assert await codes_for(busy, "x", 1) == [None]
    busy.clock.advance(1)
    assert await codes_for(busy, "x", 1) == [code(3)]


async def test_a_limit_is_kept_exactly(busy: Scene) -> None:
    await busy.imports(at("busy", 3), at("busy", 4))
    await busy.store.operations.limit_host("busy.example", 3)
    assert await codes_for(busy, "x", 3) == [code(2), code(3), None]


async def test_a_lease_counts_where_it_was_given_though_its_link_moves_meanwhile(busy: Scene) -> None:
    moved = film("1", link("l1", url="http://moved.example/1.mkv"))
    await busy.imports(moved)
    assert await codes_for(busy, "x", 1) == [None], "it may be read from still"


async def test_what_not_every_worker_can_take_keeps_to_the_limits_too(busy: Scene) -> None:
    await busy.imports(at("busy", 3), at("other", 4))
    busy.sql("UPDATE upload_variants SET disk_bytes = 1 WHERE id > 2")
    roomy = [ClaimRequest("boot-1", f"roomy-{number}", disk_free_bytes=1) for number in range(2)]
    leases = [await busy.store.queue.claim("x", request) for request in roomy]
    assert [lease.code if lease else None for lease in leases] == [code(4), None]


# ---- who is woken ----------------------------------------------------------------------------------


def ends(lease: Lease) -> dict[str, Outcome]:
    link_id = lease.sources[0].link_id
    return {
        "done": uploaded(lease),
        "gone": SettleFailed(Reason.GONE, (SourceReport(link_id, Reason.GONE),)),
        "nothing tried": SettleFailed(Reason.GONE, ()),
        "released": SettleReleased(),
        "flood wait": SettleFloodWait(3600.0, "upload.saveBigFilePart"),
    }


@pytest.mark.parametrize("end", ["done", "gone", "nothing tried", "released", "flood wait"])
async def test_however_a_lease_ends_its_host_is_free_for_who_waits(busy: Scene, end: str) -> None:
    lease = await busy.claim("w", "first")
    assert lease is not None
    assert await busy.claim("x") is None
    waiting = asyncio.create_task(busy.store.queue.wait_for_work(3600))
    await asyncio.sleep(0)
    await busy.store.queue.settle("w", lease.lease, ends(lease)[end])
    await asyncio.wait_for(waiting, 5)
    assert await busy.claim("x") is not None


async def test_who_is_done_with_a_host_that_anyone_may_read_from_wakes_nobody(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(at("free", 1))
    lease = await scene.lease("w")
    waiting = asyncio.create_task(scene.store.queue.wait_for_work(3600))
    await asyncio.sleep(0)
    await scene.done("w", lease)
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
