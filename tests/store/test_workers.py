from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
from tests.store.conftest import POLICY, Scene, film, link

from telecine.core.errors import ConflictError, ForbiddenError, NotFoundError
from telecine.core.leases import VariantState
from telecine.core.operator_protocol import ChannelState, ChannelStatus
from telecine.core.protocol import ChannelRef, Hello, SettleFailed, SettleFloodWait, SourceReport
from telecine.core.reasons import Reason
from telecine.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from tests.clocks import HandClock


async def test_a_new_account_gets_its_channels_planned(scene: Scene) -> None:
    channels = await scene.hello("w", channels=2)
    assert channels == (ChannelRef(1, "CM_C000001"), ChannelRef(2, "CM_C000002"))
    assert await scene.hello("w", channels=2) == channels, "a repeated hello plans nothing more"
    assert len(await scene.hello("w", channels=3)) == 3
    assert len(await scene.hello("w", channels=1)) == 3


async def test_workers_of_one_account_share_its_channels(scene: Scene) -> None:
    first = await scene.enrol("w1", account="a", channels=2)
    assert await scene.enrol("w2", account="a", channels=2) == first
    assert [channel.title for channel in await scene.store.operations.channels()] == [ref.title for ref in first]


async def test_opening_a_channel_is_idempotent(scene: Scene) -> None:
    await scene.hello("w")
    for _ in range(2):
        await scene.store.queue.channel_opened("w", 1, 501)
    assert await scene.store.operations.channels() == (
        ChannelStatus(1, "CM_C000001", "w", 501, ChannelState.OPEN, messages=0),
    )


async def test_a_channel_opens_once_under_one_id_by_its_own_account(scene: Scene) -> None:
    await scene.hello("w", channels=2)
    await scene.hello("x")
    await scene.store.queue.channel_opened("w", 1, 501)
    with pytest.raises(ConflictError, match="open as 501"):
        await scene.store.queue.channel_opened("w", 1, 502)
    with pytest.raises(ConflictError, match="CM_C000001"):
        await scene.store.queue.channel_opened("w", 2, 501)
    with pytest.raises(ForbiddenError):
        await scene.store.queue.channel_opened("x", 2, 502)
    with pytest.raises(ForbiddenError):
        await scene.store.queue.channel_opened("nobody", 2, 502)
    with pytest.raises(NotFoundError):
        await scene.store.queue.channel_opened("w", 99, 502)


async def test_an_account_stays_the_telegram_user_it_was(scene: Scene) -> None:
    await scene.store.queue.hello("w", "a", Hello("b", "1", 7, premium=True), channels_wanted=1)
    with pytest.raises(ConflictError, match="user 7, not 8"):
        await scene.store.queue.hello("w", "a", Hello("b", "1", 8, premium=True), channels_wanted=1)
    await scene.store.queue.hello("w", "a", Hello("b", "1", 7, premium=False), channels_wanted=1)
    assert [status.premium for status in await scene.store.operations.accounts()] == [False]


async def test_a_new_boot_gives_back_the_leases_of_the_old_one(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.enrol("x")
    await scene.imports(film("1", link("a")), film("2", link("b")))
    lost, foreign = await scene.lease("w"), await scene.lease("x")
    await scene.hello("w", boot="boot-2")
    detail = await scene.store.catalogue.variant(lost.code)
    assert (detail.state, detail.expiries, detail.attempts) == (VariantState.READY, 1, 1)
    assert (await scene.store.catalogue.variant(foreign.code)).state is VariantState.LEASED
    assert scene.sql("SELECT outcome, variant_id FROM upload_attempts") == [("restarted", 1)]
    again = await scene.claim("w", boot="boot-2")
    assert again is not None
    assert (again.code, again.lease) == (lost.code, "1.1.2")


async def test_a_repeated_hello_leaves_the_leases_alone(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a")))
    lease = await scene.lease("w")
    await scene.hello("w")
    assert (await scene.done("w", lease)).state is VariantState.DONE


async def test_whoever_waits_is_woken_by_what_can_be_claimed(scene: Scene) -> None:
    async def woken(waiting: asyncio.Task[None]) -> None:
        await asyncio.wait_for(waiting, 5)

    def wait() -> asyncio.Task[None]:
        return asyncio.create_task(scene.store.queue.wait_for_work(3600))

    await scene.hello("w")
    for news in (
        lambda: scene.store.queue.channel_opened("w", 1, 501),
        lambda: scene.imports(film("1", link("a"))),
        lambda: scene.store.operations.requeue("CM_M000001_720P"),
        lambda: scene.hello("w", boot="boot-2"),
    ):
        waiting = wait()
        await asyncio.sleep(0)
        await news()
        await woken(waiting)


async def test_a_sweep_wakes_only_where_it_moved_something(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a")))
    await scene.lease("w")
    waiting = asyncio.create_task(scene.store.queue.wait_for_work(3600))
    await asyncio.sleep(0)
    await scene.store.sweeper.sweep()
    assert not waiting.done()
    scene.clock.advance(60)
    await scene.store.sweeper.sweep()
    await asyncio.wait_for(waiting, 5)


async def test_patience_ends(scene: Scene) -> None:
    waiting = asyncio.create_task(scene.store.queue.wait_for_work(10))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    scene.clock.advance(9)
    await asyncio.sleep(0)
    assert not waiting.done()
    scene.clock.advance(1)
    await asyncio.wait_for(waiting, 5)


async def test_the_end_of_a_park_wakes_even_after_a_restart(path: Path, clock: HandClock) -> None:
    async with Store.open(path, clock=clock) as store:
        scene = Scene(store, clock, path)
        await scene.enrol("w")
        await scene.imports(film("1", link("a")))
        lease = await scene.lease("w")
        await store.queue.settle("w", lease.lease, SettleFloodWait(30.0, "upload.saveFilePart"))
    async with Store.open(path, clock=clock) as store:
        scene = Scene(store, clock, path)
        waiting = asyncio.create_task(store.queue.wait_for_work(3600))
        assert await scene.claim("w") is None
        assert not waiting.done()
        clock.advance(30)
        await asyncio.wait_for(waiting, 5)
        assert await scene.claim("w") is not None


async def test_the_end_of_a_host_s_park_wakes_even_after_a_restart(path: Path, clock: HandClock) -> None:
    async with Store.open(path, clock=clock) as store:
        scene = Scene(store, clock, path)
        await scene.enrol("w")
        await scene.imports(*(film(n, link(n, url=f"http://one.example/{n}.mkv")) for n in ("1", "2")))
        report = SourceReport(1, Reason.RATE_LIMITED, retry_after_s=20.0)
        await store.queue.settle("w", (await scene.lease("w")).lease, SettleFailed(Reason.RATE_LIMITED, (report,)))
    async with Store.open(path, clock=clock) as store:
        scene = Scene(store, clock, path)
        waiting = asyncio.create_task(store.queue.wait_for_work(3600))
        assert await scene.claim("w") is None
        clock.advance(20)
        await asyncio.wait_for(waiting, 5)
        assert await scene.claim("w") is not None


@pytest.mark.parametrize("restarts", [False, True])
async def test_parked_messages_wake_as_soon_as_parts_may_be_uploaded_ahead(
    path: Path, clock: HandClock, restarts: bool
) -> None:
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(Store.open(path, clock=clock))
        scene = Scene(store, clock, path)
        await scene.enrol("w")
        await scene.imports(film("1", link("a")))
        lease = await scene.lease("w")
        await store.queue.settle("w", lease.lease, SettleFloodWait(1000.0, "messages.sendMedia"))
        if restarts:
            await stack.aclose()
            scene.store = store = await stack.enter_async_context(Store.open(path, clock=clock))
        waiting = asyncio.create_task(store.queue.wait_for_work(3600))
        assert await scene.claim("w") is None
        clock.advance(1000 - POLICY.sends_ahead_s_max)
        await asyncio.wait_for(waiting, 5)
        assert await scene.claim("w") is not None


@pytest.mark.parametrize("speaks", ["beats", "claims"])
async def test_a_worker_that_was_seen_by_a_clock_that_was_ahead_is_seen_again(scene: Scene, speaks: str) -> None:
    await scene.enrol("w")
    scene.clock.ms -= 86_400_000
    await (scene.beat("w") if speaks == "beats" else scene.claim("w"))
    scene.clock.advance(3600)
    (worker,) = await scene.store.operations.workers()
    assert worker.seen_ago_s == 3600
