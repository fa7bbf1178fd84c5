"""An upload waits for a host that it can be read from, whatever it comes back from."""

from __future__ import annotations

import msgspec
import pytest
from tests.store.conftest import Scene, film, link, uploaded

from telecine.core.operator_protocol import WorkerMode
from telecine.core.protocol import Lease, SettleFailed, SettleFloodWait, SettleReleased, SourceReport
from telecine.core.reasons import Reason

CODE = "CM_M000001_720P"


@pytest.fixture
async def spread(scene: Scene) -> Scene:
    """One upload with links at two hosts, and another at the first of them."""
    await scene.enrol("w")
    await scene.enrol("x")
    both = (link("a", url="http://one.example/a.mkv"), link("b", url="http://two.example/b.mkv"))
    await scene.imports(film("1", *both), film("2", link("c", url="http://one.example/c.mkv")))
    return scene


async def host_closes(scene: Scene, lease: Lease) -> None:
    """The first host asks to be left alone for an hour."""
    report = SourceReport(lease.sources[0].link_id, Reason.RATE_LIMITED, retry_after_s=3600.0)
    await scene.store.queue.settle("x", lease.lease, SettleFailed(Reason.RATE_LIMITED, (report,)))


async def hosts_to_read_from(scene: Scene) -> list[str]:
    await scene.store.sweeper.sweep()
    return [source.url.split("/")[2] for source in (await scene.lease("x")).sources]


async def test_what_waits_for_a_closed_host_goes_where_its_other_links_point(spread: Scene) -> None:
    await spread.store.operations.prioritise(CODE, 9)
    await host_closes(spread, await spread.lease("x"))
    assert await spread.claim("x") is None
    assert await hosts_to_read_from(spread) == ["two.example"]


async def test_what_found_every_host_closed_goes_to_the_first_that_opens(spread: Scene) -> None:
    await spread.imports(film("3", link("d", url="http://two.example/d.mkv")))
    await spread.store.operations.prioritise(CODE, 9)
    first, second = await spread.lease("x"), await spread.lease("x")
    await spread.store.operations.prioritise(CODE, 0)
    report = SourceReport(second.sources[0].link_id, Reason.RATE_LIMITED, retry_after_s=100.0)
    await spread.store.queue.settle("x", second.lease, SettleFailed(Reason.RATE_LIMITED, (report,)))
    await host_closes(spread, first)
    await spread.store.sweeper.sweep()
    spread.clock.advance(100)
    await spread.store.sweeper.sweep()
    lease = await spread.lease("x")
    assert (lease.code, [source.url for source in lease.sources]) == (CODE, ["http://two.example/b.mkv"])


async def test_what_comes_back_to_hosts_that_are_all_closed_waits_for_the_one_that_opens_first(spread: Scene) -> None:
    await spread.imports(film("3", link("d", url="http://two.example/d.mkv")))
    await spread.store.operations.prioritise(CODE, 5)
    await host_closes(spread, await spread.lease("x"))
    await spread.store.operations.prioritise(CODE, 0)
    await spread.store.sweeper.sweep()
    lease, other = await spread.lease("w"), await spread.lease("x")
    assert (lease.code, lease.sources[0].url) == (CODE, "http://two.example/b.mkv")
    await spread.fails("x", other, {other.sources[0].link_id: Reason.STALLED})  # parks the second host for 5 s
    await spread.store.queue.settle("w", lease.lease, SettleReleased())
    spread.clock.advance(5)
    assert await hosts_to_read_from(spread) == ["two.example"], "though its first link points to the other one"


@pytest.mark.parametrize("end", ["expired", "restarted", "disabled"])
async def test_what_comes_back_from_a_lease_does_not_wait_for_a_host_that_closed_meanwhile(
    spread: Scene, end: str
) -> None:
    assert (await spread.lease("w")).code == CODE
    await host_closes(spread, await spread.lease("x"))
    await spread.store.sweeper.sweep()
    match end:
        case "expired":
            spread.clock.advance(60)
        case "restarted":
            await spread.hello("w", boot="boot-2")
        case _:
            await spread.store.operations.set_mode("w", WorkerMode.DISABLED)
    assert await hosts_to_read_from(spread) == ["two.example"]


async def test_what_was_delayed_does_not_wait_for_a_host_that_closed_meanwhile(spread: Scene) -> None:
    await spread.fails("w", await spread.lease("w"), {})
    await host_closes(spread, await spread.lease("x"))
    await spread.store.sweeper.sweep()
    spread.clock.advance(30)
    assert await hosts_to_read_from(spread) == ["two.example"]


async def test_a_host_that_works_after_it_failed_in_the_same_upload_is_calmed(scene: Scene) -> None:
    await scene.enrol("w")
    links = (link("a", url="http://one.example/a.mkv"), link("b", url="http://one.example/b.mkv"))
    await scene.imports(film("1", *links))
    lease = await scene.lease("w")
    sources = (SourceReport(1, Reason.STALLED), SourceReport(2, None))
    await scene.store.queue.settle("w", lease.lease, msgspec.structs.replace(uploaded(lease), sources=sources))
    assert [host.rung for host in await scene.store.operations.hosts()] == [0]


async def test_a_disabled_worker_is_believed_that_telegram_makes_its_account_wait(spread: Scene) -> None:
    lease = await spread.lease("w")
    await spread.store.operations.set_mode("w", WorkerMode.DISABLED)
    for _ in range(2):
        await spread.store.queue.settle("w", lease.lease, SettleFloodWait(40.0, "messages.sendMedia"))
        spread.clock.advance(10)
    assert [one.parked_s for one in await spread.store.operations.accounts() if one.name == "w"] == [20.0]
