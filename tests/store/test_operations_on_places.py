"""Operators plan and retire channels, and limit and release source hosts."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.store.conftest import Scene, film, link

from telecine.core.errors import ConflictError, ForbiddenError, NotFoundError
from telecine.core.events import EventKind
from telecine.core.leases import VariantState
from telecine.core.operator_protocol import HOST_READY_MAX, ChannelState
from telecine.core.policy import QueuePolicy
from telecine.core.protocol import SettleFailed, SourceReport
from telecine.core.reasons import Reason
from telecine.store import Store, hosts

if TYPE_CHECKING:
    from pathlib import Path

    from tests.clocks import HandClock


async def waiting(scene: Scene) -> asyncio.Task[None]:
    task = asyncio.create_task(scene.store.queue.wait_for_work(3600))
    await asyncio.sleep(0)
    return task


async def states(scene: Scene, account: str | None = None) -> list[ChannelState]:
    return [channel.state for channel in await scene.store.operations.channels(account=account)]


# ---- channels --------------------------------------------------------------------------------------


async def test_channels_are_shown_by_id_in_pages_and_by_account(scene: Scene) -> None:
    await scene.enrol("w", channels=2)
    await scene.hello("x")
    whole = await scene.store.operations.channels()
    assert [(one.id, one.title, one.account, one.telegram_id, one.state) for one in whole] == [
        (1, "CM_C000001", "w", 501, ChannelState.OPEN),
        (2, "CM_C000002", "w", 502, ChannelState.OPEN),
        (3, "CM_C000003", "x", None, ChannelState.PLANNED),
    ]
    assert await scene.store.operations.channels(limit=2) == whole[:2]
    assert await scene.store.operations.channels(after=2, limit=2) == whole[2:]
    assert await scene.store.operations.channels(account="x") == whole[2:]


async def test_a_channel_counts_the_messages_it_holds(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a")))
    await scene.done("w", await scene.lease("w"), 1, 2, 3)
    assert [channel.messages for channel in await scene.store.operations.channels()] == [3]


async def test_a_planned_channel_is_the_worker_s_to_open(scene: Scene) -> None:
    await scene.enrol("w")
    planned = await scene.store.operations.plan_channel("w")
    assert (planned.id, planned.account, planned.state) == (2, "w", ChannelState.PLANNED)
    assert [ref.telegram_id for ref in await scene.hello("w")] == [501, None]
    await scene.store.queue.channel_opened("w", planned.id, 502)
    assert await states(scene) == [ChannelState.OPEN, ChannelState.OPEN]


async def test_an_account_has_only_so_many_channels(path: Path, clock: HandClock) -> None:
    policy = QueuePolicy(channels_per_account_max=2)
    async with Store.open(path, clock=clock, policy=policy) as store:
        scene = Scene(store, clock, path)
        await scene.enrol("w")
        await store.operations.plan_channel("w")
        with pytest.raises(ConflictError, match="2 channels, as many as it may have"):
            await store.operations.plan_channel("w")
        await store.operations.retire_channel(1)
        assert [ref.id for ref in await scene.hello("w", channels=2)] == [2], "a retired one is the account's still"


async def test_a_retired_channel_gets_nothing_more_but_is_delivered_from(scene: Scene) -> None:
    await scene.enrol("w", channels=2)
    await scene.imports(film("1", link("a")), film("2", link("b")))
    lease = await scene.lease("w")
    await scene.done("w", lease, 1)
    for _ in range(2):
        retired = await scene.store.operations.retire_channel(lease.channel.id)
        assert (retired.id, retired.state) == (lease.channel.id, ChannelState.RETIRED)
    assert (await scene.store.shelf.resolve(lease.code, bot_id=1)).is_deliverable
    assert (await scene.lease("w")).channel.id != lease.channel.id
    with pytest.raises(NotFoundError, match="no channel 99"):
        await scene.store.operations.retire_channel(99)


async def test_what_is_sent_to_a_channel_that_was_retired_meanwhile_is_kept(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a")))
    lease = await scene.lease("w")
    await scene.store.operations.retire_channel(lease.channel.id)
    await scene.done("w", lease, 1)
    assert (await scene.store.shelf.resolve(lease.code, bot_id=1)).is_deliverable


async def test_a_channel_that_is_retired_is_replaced_at_the_next_hello(scene: Scene) -> None:
    await scene.enrol("w", channels=2)
    await scene.store.operations.retire_channel(1)
    assert [ref.id for ref in await scene.hello("w", channels=2)] == [2, 3]
    assert [account.channels for account in await scene.store.operations.accounts()] == [2]


async def test_a_planned_channel_can_be_retired_and_opened_all_the_same(scene: Scene) -> None:
    await scene.hello("w", channels=2)
    assert (await scene.store.operations.retire_channel(1)).state is ChannelState.RETIRED
    assert [ref.id for ref in await scene.hello("w", channels=1)] == [2]
    await scene.store.queue.channel_opened("w", 1, 501)
    (first, _) = await scene.store.operations.channels()
    assert (first.telegram_id, first.state) == (501, ChannelState.RETIRED)


async def test_a_lost_channel_gets_nothing_more(scene: Scene) -> None:
    await scene.enrol("w", channels=2)
    await scene.imports(film("1", link("a")))
    for _ in range(2):
        await scene.store.queue.channel_lost("w", 1, "CHANNEL_PRIVATE")
    assert await states(scene) == [ChannelState.LOST, ChannelState.OPEN]
    assert (await scene.lease("w")).channel.id == 2
    with pytest.raises(ForbiddenError):
        await scene.store.queue.channel_lost("nobody", 2, "")
    with pytest.raises(NotFoundError):
        await scene.store.queue.channel_lost("w", 99, "")


async def test_a_retired_channel_can_be_lost_but_a_lost_one_stays_lost(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.store.operations.retire_channel(1)
    await scene.store.queue.channel_lost("w", 1, "CHANNEL_PRIVATE")
    assert await states(scene) == [ChannelState.LOST]
    assert (await scene.store.operations.retire_channel(1)).state is ChannelState.LOST


async def test_a_full_channel_is_shown_as_such(path: Path, clock: HandClock) -> None:
    async with Store.open(path, clock=clock, policy=QueuePolicy(channel_messages_max=2)) as store:
        scene = Scene(store, clock, path)
        await scene.enrol("w")
        await scene.imports(film("1", link("a")))
        await scene.done("w", await scene.lease("w"), 1, 2)
        assert await states(scene, "w") == [ChannelState.FULL]


async def test_what_becomes_of_channels_and_hosts_is_told_once(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a")))
    after = scene.store.events.newest
    await scene.store.operations.plan_channel("w")
    await scene.store.queue.channel_opened("w", 2, 502)
    await scene.store.queue.channel_opened("w", 2, 502)
    await scene.store.operations.retire_channel(2)
    await scene.store.operations.retire_channel(2)
    await scene.store.queue.channel_lost("w", 2, "gone")
    await scene.store.queue.channel_lost("w", 2, "gone")
    await scene.store.operations.unpark_host("a.example")
    told = await scene.store.events.after(after, limit=10)
    assert [event.kind for event in told] == [EventKind.CHANNEL] * 4 + [EventKind.HOST]


# ---- hosts -----------------------------------------------------------------------------------------


@pytest.fixture
async def hosted(scene: Scene) -> Scene:
    """Three uploads that read from two hosts, and two workers."""
    for worker in ("w", "x"):
        await scene.enrol(worker)
    urls = ("http://a.example/1.mp4", "http://a.example/2.mp4", "http://b.example:8080/3.mp4")
    await scene.imports(*(film(str(n), link(f"l{n}", url=url)) for n, url in enumerate(urls, 1)))
    return scene


async def test_hosts_are_shown_with_who_reads_from_them_and_who_waits(hosted: Scene) -> None:
    await hosted.lease("w")
    a, b = await hosted.store.operations.hosts()
    assert (a.name, a.leases, a.ready, a.leases_max, a.rung, a.parked_s) == ("a.example", 1, 1, None, 0, 0.0)
    assert (b.name, b.leases, b.ready) == ("b.example:8080", 0, 1)
    assert await hosted.store.operations.hosts(limit=1) == (a,)
    assert await hosted.store.operations.hosts(after=a.name, limit=1) == (b,)
    assert await hosted.store.operations.hosts(after=b.name) == ()


async def test_what_only_some_can_take_is_counted_as_waiting_too(hosted: Scene) -> None:
    hosted.sql("UPDATE upload_variants SET disk_bytes = 5 WHERE id = 2")
    assert [host.ready for host in await hosted.store.operations.hosts()] == [2, 1]


async def test_a_long_queue_is_counted_only_so_far(hosted: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    assert HOST_READY_MAX > 1
    monkeypatch.setattr(hosts, "HOST_READY_MAX", 1)
    assert [host.ready for host in await hosted.store.operations.hosts()] == [1, 1]


async def test_a_limited_host_is_read_by_so_many_at_once(hosted: Scene) -> None:
    assert (await hosted.store.operations.limit_host("a.example", 1)).leases_max == 1
    first = await hosted.lease("w")
    assert first.sources[0].url.startswith("http://a.example/")
    assert (await hosted.lease("x")).sources[0].url.startswith("http://b.example")
    assert await hosted.claim("x") is None
    task = await waiting(hosted)
    await hosted.store.operations.limit_host("a.example", None)
    await asyncio.wait_for(task, 5)
    assert await hosted.claim("x") is not None


async def test_a_lease_falls_back_to_a_limited_host_only_by_a_lease_that_counts_there(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.enrol("x")
    urls = [f"http://{host}.example/f.mkv" for host in "abc"]
    await scene.imports(film("1", *(link(f"l{n}", url=url) for n, url in enumerate(urls))))
    await scene.imports(film("2", link("other", url="http://b.example/other.mkv")))
    await scene.store.operations.limit_host("b.example", 1)
    lease = await scene.lease("w")
    assert [source.url for source in lease.sources] == [urls[0], urls[2]]
    other = await scene.lease("x")
    await scene.fails("w", lease, {source.link_id: Reason.GONE for source in lease.sources})
    assert await scene.claim("w") is None, "the host is read from by as many as may"
    await scene.done("x", other)
    assert [source.url for source in (await scene.lease("w")).sources] == [urls[1]]


async def test_a_claim_that_is_repeated_has_links_wherever_they_point_by_then(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(
        film("1", link("l", url="http://a.example/f.mkv")), film("2", link("m", url="http://b.example/f"))
    )
    await scene.store.operations.limit_host("b.example", 1)
    lease = await scene.claim("w", "once")
    await scene.imports(film("1", link("l", url="http://b.example/moved.mkv")))
    again = await scene.claim("w", "once")
    assert lease is not None
    assert again is not None
    assert (again.lease, [source.url for source in again.sources]) == (lease.lease, ["http://b.example/moved.mkv"])


async def test_an_upload_goes_on_without_a_host_that_none_may_read_from(scene: Scene) -> None:
    await scene.enrol("w")
    urls = [f"http://{host}.example/f.mkv" for host in "ab"]
    await scene.imports(film("1", *(link(f"l{n}", url=url) for n, url in enumerate(urls))))
    await scene.store.operations.limit_host("b.example", 0)
    for pause_s in (30, 300):
        lease = await scene.lease("w")
        assert [source.url for source in lease.sources] == urls[:1]
        settled = await scene.fails("w", lease, {lease.sources[0].link_id: Reason.NETWORK})
        assert settled.state is VariantState.DELAYED
        scene.clock.advance(pause_s)
        await scene.store.sweeper.sweep()
    lease = await scene.lease("w")
    settled = await scene.fails("w", lease, {lease.sources[0].link_id: Reason.NETWORK})
    assert settled.state is VariantState.READY, "after the last round there is still the other one"
    assert await scene.claim("w") is None
    await scene.store.operations.limit_host("b.example", None)
    assert [source.url for source in (await scene.lease("w")).sources] == urls[1:]


async def test_what_waits_for_a_host_that_is_closed_goes_elsewhere_with_the_next_sweep(scene: Scene) -> None:
    await scene.enrol("w")
    urls = [f"http://{host}.example/f.mkv" for host in "ab"]
    await scene.imports(film("1", *(link(f"l{n}", url=url) for n, url in enumerate(urls))))
    await scene.store.operations.limit_host("a.example", 0)
    assert await scene.claim("w") is None
    await scene.store.sweeper.sweep()
    assert [source.url for source in (await scene.lease("w")).sources] == urls[1:]


async def test_a_host_that_none_may_read_from_is_left_alone(hosted: Scene) -> None:
    await hosted.store.operations.limit_host("a.example", 0)
    assert (await hosted.lease("w")).sources[0].url.startswith("http://b.example")
    assert await hosted.claim("w") is None


async def test_a_parked_host_is_tried_again_at_once_when_an_operator_says_so(hosted: Scene) -> None:
    lease = await hosted.lease("w")
    report = SourceReport(lease.sources[0].link_id, Reason.RATE_LIMITED, retry_after_s=900)
    await hosted.store.queue.settle("w", lease.lease, SettleFailed(Reason.RATE_LIMITED, (report,)))
    await hosted.lease("x")
    assert await hosted.claim("w") is None
    (parked, _) = await hosted.store.operations.hosts()
    assert (parked.rung, parked.parked_s, parked.park_reason) == (1, 900.0, "rate_limited")
    task = await waiting(hosted)
    unparked = await hosted.store.operations.unpark_host("a.example")
    assert (unparked.rung, unparked.parked_s, unparked.park_reason) == (0, 0.0, None)
    await asyncio.wait_for(task, 5)
    assert (await hosted.lease("w")).sources[0].url == "http://a.example/2.mp4"


async def test_a_host_of_no_link_is_not_found(hosted: Scene) -> None:
    with pytest.raises(NotFoundError, match=r"no source host c\.example"):
        await hosted.store.operations.limit_host("c.example", 1)
    with pytest.raises(NotFoundError, match=r"no source host c\.example"):
        await hosted.store.operations.unpark_host("c.example")
