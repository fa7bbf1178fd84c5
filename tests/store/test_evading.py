"""What waits for a host that is left alone, and could be read from another, goes there."""

from __future__ import annotations

from contextlib import closing

import pytest
from pysqlite3 import dbapi2
from tests.store.conftest import Scene, film, link

from telecine.core.leases import Swept, VariantState
from telecine.core.operator_protocol import WorkerMode
from telecine.core.protocol import ClaimRequest, SettleFailed, SettleReleased, SourceReport
from telecine.core.reasons import Reason
from telecine.store import evading
from telecine.store.sql import STATEMENTS

CODE = "CM_M000001_720P"
STEPS_OF_A_SLICE = 100  # of SQLite's machine, a row: a place in the index, three columns, their order


async def test_a_slice_of_a_long_lane_reads_nothing_of_what_stands_before_it(scene: Scene) -> None:
    count = 5 * evading.SLICE_ROWS
    await scene.imports(*(film(str(n), link(str(n), url=f"http://one.example/{n}.mkv")) for n in range(count)))
    slice_ = STATEMENTS["lane_slice"]
    place = {"host_id": 1, "lane": 0, "priority": 2, "id": count - 10, "limit": evading.SLICE_ROWS}
    steps: list[None] = []
    with closing(dbapi2.connect(str(scene.path))) as raw:
        raw.set_progress_handler(lambda: steps.append(None), 1)
        rows = raw.execute(slice_.sql, slice_.values(place)).fetchall()
    assert [row[0] for row in rows] == list(range(count - 9, count + 1))
    assert len(steps) < STEPS_OF_A_SLICE * len(rows)


async def test_slice_by_slice_all_of_a_lane_are_seen_whatever_their_order(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evading, "SLICE_ROWS", 2)
    await scene.enrol("w")
    await scene.enrol("x")
    for number in range(1, 13):
        hosts = ("one", "two")
        await scene.imports(
            film(str(number), *(link(f"{number}{host}", url=f"http://{host}.example/{number}.mkv") for host in hosts))
        )
        code = f"CM_M{number:06d}_720P"
        await scene.store.operations.prioritise(code, number * 5 % 4)
        await scene.store.operations.pin(code, (None, "w", "x")[number % 3])
    await scene.store.operations.limit_host("one.example", 0)
    await scene.store.sweeper.sweep()
    assert scene.sql("SELECT h.name, count(*) FROM upload_variants v JOIN hosts h ON h.id = v.host_id GROUP BY 1") == [
        ("two.example", 12)
    ]


@pytest.fixture
async def spread(scene: Scene) -> Scene:
    """One upload with links at two hosts, and another at the first of them."""
    await scene.enrol("w")
    both = (link("a", url="http://one.example/a.mkv"), link("b", url="http://two.example/b.mkv"))
    await scene.imports(film("1", *both), film("2", link("c", url="http://one.example/c.mkv")))
    return scene


async def spools(scene: Scene) -> None:
    """The first upload turns out to need much disk."""
    await scene.store.queue.settle("w", (await scene.lease("w")).lease, SettleReleased(disk_bytes=100))


async def hosts_to_read_from(scene: Scene) -> list[str]:
    request = ClaimRequest("boot-1", "with-much-disk", disk_free_bytes=1000)
    lease = await scene.store.queue.claim("w", request)
    return [] if lease is None else [source.url.split("/")[2] for source in lease.sources]


async def test_what_needs_much_disk_does_not_wait_for_a_host_that_is_parked(spread: Scene) -> None:
    await spools(spread)
    report = SourceReport(3, Reason.RATE_LIMITED, retry_after_s=3600.0)
    lease = (await spread.lease("w")).lease
    await spread.store.queue.settle("w", lease, SettleFailed(Reason.RATE_LIMITED, (report,)))
    await spread.store.sweeper.sweep()
    assert await hosts_to_read_from(spread) == ["two.example"]


async def test_what_needs_much_disk_does_not_wait_for_a_host_that_is_closed(spread: Scene) -> None:
    await spools(spread)
    await spread.store.operations.limit_host("one.example", 0)
    await spread.store.sweeper.sweep()
    assert await hosts_to_read_from(spread) == ["two.example"]


@pytest.fixture
async def second_round(spread: Scene) -> Scene:
    """The first upload could be read from one host now, and from the other one in a later round."""
    await spread.store.operations.cancel("CM_M000002_720P")
    await spread.fails("w", await spread.lease("w"), {1: Reason.STALLED})
    return spread


async def state(scene: Scene) -> VariantState:
    return (await scene.store.catalogue.variant(CODE)).state


async def test_a_later_round_does_not_wait_for_a_host_that_is_closed(second_round: Scene) -> None:
    await second_round.store.operations.limit_host("two.example", 0)
    assert await second_round.store.sweeper.sweep() == Swept(0, 0, second_round.clock.ms + 30_000)
    assert await state(second_round) is VariantState.DELAYED
    second_round.clock.advance(30)
    await second_round.store.sweeper.sweep()
    assert await hosts_to_read_from(second_round) == ["one.example"]


@pytest.mark.parametrize("end", ["released", "expired", "restarted", "disabled"])
async def test_nor_does_that_of_a_lease_which_ends_after_its_host_was_closed(second_round: Scene, end: str) -> None:
    lease = await second_round.lease("w")
    await second_round.store.operations.limit_host("two.example", 0)
    await second_round.store.sweeper.sweep()
    match end:
        case "released":
            await second_round.store.queue.settle("w", lease.lease, SettleReleased())
        case "expired":
            second_round.clock.advance(60)
            await second_round.store.sweeper.sweep()
        case "restarted":
            await second_round.hello("w", boot="boot-2")
        case _:
            await second_round.store.operations.set_mode("w", WorkerMode.DISABLED)
    assert await state(second_round) is VariantState.DELAYED


async def test_what_has_no_other_link_waits_for_a_closed_host(spread: Scene) -> None:
    await spread.fails("w", await spread.lease("w"), {1: Reason.GONE})
    await spread.store.operations.limit_host("two.example", 0)
    await spread.store.sweeper.sweep()
    assert await state(spread) is VariantState.READY


async def test_what_was_left_to_larger_accounts_while_a_host_was_closed_is_anyone_s_when_it_opens(
    spread: Scene,
) -> None:
    await spread.store.operations.limit_host("one.example", 0)
    await spread.store.sweeper.sweep()
    too_large = SourceReport(2, Reason.TOO_LARGE, size_bytes=3 << 30)
    await spread.store.queue.settle("w", (await spread.lease("w")).lease, SettleFailed(Reason.TOO_LARGE, (too_large,)))
    await spread.store.sweeper.sweep()
    assert await spread.claim("w") is None
    await spread.store.operations.limit_host("one.example", None)
    await spread.store.sweeper.sweep()
    assert await hosts_to_read_from(spread) == ["one.example"]
