"""An upload waits for a host that it can be read from, whatever it comes back from."""

from __future__ import annotations

import asyncio

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


async def test_a_host_that_works_again_is_left_alone_for_less_when_it_fails_the_next_time(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(*(film(str(n), link(f"l{n}", url=f"http://one.example/{n}.mkv")) for n in range(4)))
    pauses = []
    for works in (False, True, False, False):
        lease = await scene.lease("w")
        if works:
            await scene.done("w", lease)
            continue
        await scene.fails("w", lease, {lease.sources[0].link_id: Reason.STALLED})
        [host] = await scene.store.operations.hosts()
        pauses.append(host.parked_s)
        scene.clock.advance(host.parked_s)  # to the very end of the park
    assert pauses == [5.0, 5.0, 20.0]


async def pause_of_account(scene: Scene, worker: str) -> float:
    """How long the account of a worker that fails before it tries any link is left alone. Time passes."""
    await scene.fails(worker, await scene.lease(worker), {})
    [account] = [one for one in await scene.store.operations.accounts() if one.name == worker]
    scene.clock.advance(account.parked_s)
    return account.parked_s


@pytest.mark.parametrize("worker", ["w", "x"])
async def test_an_account_that_works_again_is_left_alone_for_less_when_it_fails_the_next_time(
    spread: Scene, worker: str
) -> None:
    await spread.imports(film("3", link("e")), film("4", link("f")))
    assert await pause_of_account(spread, worker) == 60.0
    await spread.done(worker, await spread.lease(worker))
    assert [await pause_of_account(spread, worker) for _ in range(2)] == [60.0, 600.0]


async def test_an_account_that_works_says_nothing_about_another(spread: Scene) -> None:
    await spread.imports(film("3", link("e")), film("4", link("f")))
    assert [await pause_of_account(spread, worker) for worker in "xw"] == [60.0, 60.0]
    await spread.done("w", await spread.lease("w"))
    assert await pause_of_account(spread, "x") == 600.0


async def test_whoever_waits_is_woken_when_its_account_is_no_longer_left_alone(spread: Scene) -> None:
    await spread.fails("w", await spread.lease("w"), {})
    waiting = asyncio.create_task(spread.store.queue.wait_for_work(3600))
    assert await spread.claim("w") is None
    assert not waiting.done()
    spread.clock.advance(60)
    await asyncio.wait_for(waiting, 5)
    assert await spread.claim("w") is not None


async def test_a_host_that_closes_anew_before_anyone_saw_it_open_is_evaded_anew(spread: Scene) -> None:
    await host_closes(spread, await spread.lease("x"))
    await spread.store.sweeper.sweep()
    spread.clock.advance(3600)
    both = (link("e", url="http://one.example/e.mkv"), link("f", url="http://two.example/f.mkv"))
    await spread.imports(film("3", *both), film("4", link("g", url="http://one.example/g.mkv")))
    for code in (CODE, "CM_M000003_720P"):
        await spread.store.operations.prioritise(code, 9)
    await host_closes(spread, await spread.lease("x"))
    await spread.store.operations.prioritise("CM_M000003_720P", 0)
    await spread.store.sweeper.sweep()
    lease = await spread.lease("x")
    assert (lease.code, lease.sources[0].url) == ("CM_M000003_720P", "http://two.example/f.mkv")


async def test_whoever_waits_goes_on_though_a_host_fails_that_is_parked_already(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(*(film(str(n), link(f"l{n}", url=f"http://one.example/{n}.mkv")) for n in range(2)))
    leases = [await scene.lease("w") for _ in range(2)]
    for lease in leases:
        await scene.fails("w", lease, {lease.sources[0].link_id: Reason.STALLED})
    waiting = asyncio.create_task(scene.store.queue.wait_for_work(3600))
    assert await scene.claim("w") is None
    assert not waiting.done()
    scene.clock.advance(5)
    await asyncio.wait_for(waiting, 5)


async def test_a_disabled_worker_is_believed_that_telegram_makes_its_account_wait(spread: Scene) -> None:
    lease = await spread.lease("w")
    await spread.store.operations.set_mode("w", WorkerMode.DISABLED)
    for _ in range(2):
        await spread.store.queue.settle("w", lease.lease, SettleFloodWait(40.0, "messages.sendMedia"))
        spread.clock.advance(10)
    assert [one.parked_s for one in await spread.store.operations.accounts() if one.name == "w"] == [20.0]
