from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.store.conftest import POLICY, Scene, episode, film, link, series

from telecine.core.errors import ConflictError, InputError, LeaseLostError, SupersededError
from telecine.core.leases import LeaseToken, VariantState
from telecine.core.protocol import BeatRequest, Progress, SettleReleased, Stage, Verdict
from telecine.core.quality import Quality
from telecine.core.reasons import Reason
from telecine.store import Store
from telecine.store.epoch import write_epoch

if TYPE_CHECKING:
    from pathlib import Path

    from tests.clocks import HandClock


async def test_a_claim_hands_out_everything_that_an_upload_needs(scene: Scene) -> None:
    (channel,) = await scene.enrol("w")
    await scene.imports(series("1", episode("e", 2, 3, link("a"), link("b"))))
    lease = await scene.lease("w")
    assert LeaseToken.parse(lease.lease) == LeaseToken(1, 1, 1)
    assert (lease.code, lease.quality, lease.generation) == ("CM_S000001_S02E03_720P", Quality.HD, 0)
    assert (lease.ttl_s, lease.runtime_s, lease.channel) == (60.0, 1500, channel)
    assert [(source.position, source.url[-5:]) for source in lease.sources] == [(1, "a.mkv"), (2, "b.mkv")]
    detail = await scene.store.catalogue.variant(lease.code)
    assert (detail.state, detail.worker, detail.attempts) == (VariantState.LEASED, "w", 1)


async def test_the_most_urgent_is_claimed_first_then_the_oldest(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(*(film(str(n), link(str(n))) for n in (1, 2, 3)))
    scene.sql("UPDATE upload_variants SET priority = 1 WHERE id = 3")
    assert [(await scene.lease("w")).code[:10] for _ in range(3)] == ["CM_M000003", "CM_M000001", "CM_M000002"]
    assert await scene.claim("w") is None


async def test_a_pinned_variant_is_left_to_its_account(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.enrol("x")
    await scene.imports(film("1", link("a")), film("2", link("b")))
    scene.sql("UPDATE upload_variants SET account_id = (SELECT id FROM accounts WHERE name = 'x') WHERE id = 1")
    assert (await scene.lease("w")).code.startswith("CM_M000002")
    assert await scene.claim("w") is None
    assert (await scene.lease("x")).code.startswith("CM_M000001")


async def test_no_variant_is_leased_twice_at_once(scene: Scene) -> None:
    workers = [f"w{n}" for n in range(4)]
    for worker in workers:
        await scene.enrol(worker)
    await scene.imports(*(film(str(n), link(str(n))) for n in range(30)))
    leases = await asyncio.gather(*(scene.claim(workers[n % 4]) for n in range(40)))
    codes = [lease.code for lease in leases if lease is not None]
    assert len(codes) == len(set(codes)) == 30


async def test_a_repeated_request_gets_the_same_lease(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a")), film("2", link("b")))
    first = await scene.claim("w", "once")
    scene.clock.advance(59)
    assert await scene.claim("w", "once") == first
    scene.clock.advance(59)
    assert (await scene.store.sweeper.sweep()).expired == 0, "asking again is a sign of life"
    assert (await scene.lease("w")).code != (first.code if first else "")


@pytest.mark.parametrize("leases_max", [0, 1, 5])
async def test_a_repeated_request_gets_no_link_of_a_host_that_another_lease_has_to_count_for(
    scene: Scene, leases_max: int
) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a"), link("b")))
    await scene.store.operations.limit_host("b.example", leases_max)
    first = await scene.claim("w", "once")
    assert await scene.claim("w", "once") == first
    assert first is not None
    assert [source.url for source in first.sources] == ["http://a.example/a.mkv"]


@pytest.mark.parametrize("leases_max", [0, 1])
async def test_a_repeated_request_keeps_the_links_of_the_host_that_its_lease_counts_for(
    scene: Scene, leases_max: int
) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a"), link("b")))
    first = await scene.claim("w", "once")
    await scene.store.operations.limit_host("a.example", leases_max)
    scene.sql("UPDATE hosts SET parked_until_ms = ? WHERE name = 'a.example'", scene.clock.ms + 5000)
    assert await scene.claim("w", "once") == first


async def test_a_request_whose_lease_has_ended_gets_another(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a")), film("2", link("b")))
    first = await scene.claim("w", "once")
    assert first is not None
    await scene.done("w", first)
    second = await scene.claim("w", "once")
    assert second is not None
    assert second.code != first.code


async def test_two_workers_may_use_one_request_id(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.enrol("x")
    await scene.imports(film("1", link("a")), film("2", link("b")))
    first, second = await scene.claim("w", "r"), await scene.claim("x", "r")
    assert first is not None
    assert second is not None
    assert first.code != second.code


async def test_a_worker_that_is_not_known_may_not_claim(scene: Scene) -> None:
    with pytest.raises(ConflictError, match="said hello"):
        await scene.claim("stranger")


async def test_only_the_latest_boot_may_claim(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a")))
    await scene.hello("w", boot="boot-2")
    with pytest.raises(SupersededError, match="another process"):
        await scene.claim("w", boot="boot-1")
    assert await scene.claim("w", boot="boot-2") is not None


async def test_a_boot_that_was_restored_supersedes_nobody(path: Path, clock: HandClock) -> None:
    """The hello of the process that claims came later than what was restored."""
    async with Store.open(path, clock=clock, policy=POLICY) as store:
        await Scene(store, clock, path).enrol("w")
    clock.advance(1)
    async with Store.open(path, clock=clock, policy=POLICY) as store:
        scene = Scene(store, clock, path)
        with pytest.raises(ConflictError, match="said hello") as raised:
            await scene.claim("w", boot="boot-2")
        assert not isinstance(raised.value, SupersededError)


async def test_a_lease_names_a_channel_to_open_where_none_is_open(scene: Scene) -> None:
    await scene.imports(film("1", link("a")), film("2", link("b")))
    (channel,) = await scene.hello("w")
    assert (await scene.lease("w")).channel == channel
    await scene.store.queue.channel_opened("w", channel.id, 501)
    assert (await scene.lease("w")).channel.telegram_id == 501


async def test_uploads_spread_over_the_channels_of_the_account(scene: Scene) -> None:
    await scene.enrol("w", channels=3)
    await scene.enrol("x")
    await scene.imports(*(film(str(n), link(str(n))) for n in range(6)))
    used = []
    for _ in range(6):
        lease = await scene.lease("w")
        used.append(lease.channel.id)
        await scene.done("w", lease)
    assert sorted(used) == [1, 1, 2, 2, 3, 3]


async def test_a_variant_goes_back_to_the_channel_it_was_sent_to(scene: Scene) -> None:
    await scene.enrol("w", channels=3)
    await scene.imports(*(film(str(n), link(str(n))) for n in range(2)))
    first = await scene.lease("w")
    await scene.done("w", first)
    await scene.done("w", await scene.lease("w"))
    await scene.store.operations.requeue(first.code)
    assert (await scene.lease("w")).channel == first.channel


async def test_a_variant_does_not_go_back_to_a_channel_that_was_retired(scene: Scene) -> None:
    first, second = await scene.enrol("w", channels=2)
    await scene.imports(film("1", link("a")))
    lease = await scene.lease("w")
    assert lease.channel == first
    await scene.store.queue.settle("w", lease.lease, SettleReleased())
    await scene.store.operations.retire_channel(first.id)
    assert (await scene.lease("w")).channel == second


async def test_a_channel_that_is_only_planned_waits_while_another_is_open(scene: Scene) -> None:
    (channel,) = await scene.enrol("w")
    await scene.imports(film("1", link("a")), film("2", link("b")))
    await scene.done("w", await scene.lease("w"))
    await scene.store.operations.plan_channel("w")
    assert (await scene.lease("w")).channel == channel


async def test_another_accounts_channel_is_not_used(scene: Scene) -> None:
    await scene.enrol("w")
    (own,) = await scene.enrol("x")
    await scene.imports(film("1", link("a")))
    lease = await scene.lease("w")
    await scene.store.queue.settle("w", lease.lease, SettleReleased())
    assert (await scene.lease("x")).channel == own


async def test_a_retry_offers_untried_links_first_and_lost_causes_never(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a"), link("b"), link("c")))
    lease = await scene.lease("w")
    a, b, c = (source.link_id for source in lease.sources)
    assert (await scene.fails("w", lease, {a: Reason.NETWORK, b: Reason.GONE})).state is VariantState.READY
    assert [source.link_id for source in (await scene.lease("w")).sources] == [c], "a is given time"


async def test_links_are_offered_in_the_order_of_retry_whichever_was_known_first(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a", Quality.SD), link("b"), link("c")))
    await scene.imports(film("1", link("b"), link("c"), link("a")))
    await scene.store.operations.prioritise("CM_M000001_720P", 0)
    assert [source.url[-5:] for source in (await scene.lease("w")).sources] == ["b.mkv", "c.mkv", "a.mkv"]


async def test_in_a_later_round_what_was_never_tried_comes_first(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a")))
    await scene.fails("w", await scene.lease("w"), {1: Reason.STALLED})
    scene.clock.advance(20)
    await scene.imports(film("1", link("a"), link("b"), link("c")))
    assert [source.url[-5:] for source in (await scene.lease("w")).sources] == ["b.mkv", "c.mkv", "a.mkv"]


async def test_each_upload_is_as_long_as_its_own_film_or_episode(scene: Scene) -> None:
    await scene.enrol("w")
    lengths = [msgspec.structs.replace(episode(str(n), 1, n, link(f"l{n}")), runtime_s=1000 + n) for n in range(3)]
    await scene.imports(series("1", *lengths), film("2", link("f")))
    assert [(await scene.lease("w")).runtime_s for _ in range(4)] == [1000, 1001, 1002, 5400]


async def test_a_beat_keeps_a_lease_alive_and_its_progress(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a")))
    lease = await scene.lease("w")
    scene.clock.advance(50)
    (verdict,) = (await scene.beat("w", lease)).leases
    assert (verdict.lease, verdict.verdict, verdict.ttl_s) == (lease.lease, Verdict.GO_ON, 60.0)
    scene.clock.advance(50)
    assert (await scene.store.sweeper.sweep()).expired == 0
    (status,) = await scene.store.operations.workers()
    assert [held.code for held in status.leases] == [lease.code]
    assert status.leases[0].progress == Progress(lease.lease, Stage.UPLOADING, lease.sources[0].link_id, 7, 70)
    assert status.seen_ago_s == 50.0


async def test_a_beat_tells_each_lease_its_own_fate(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.enrol("x")
    await scene.imports(*(film(str(n), link(str(n))) for n in range(4)))
    kept, cancelled, settled = [await scene.lease("w") for _ in range(3)]
    foreign = await scene.lease("x")
    await scene.store.operations.cancel(cancelled.code)
    await scene.done("w", settled)
    garbage = msgspec.structs.replace(kept, lease="not-a-lease")
    stale = msgspec.structs.replace(kept, lease="0.1.1")
    answer = await scene.beat("w", kept, cancelled, settled, foreign, garbage, stale)
    verdicts = [verdict.verdict for verdict in answer.leases]
    assert verdicts == [Verdict.GO_ON, Verdict.CANCEL, *[Verdict.LOST] * 4]
    assert (await scene.store.catalogue.variant(foreign.code)).state is VariantState.LEASED


async def test_an_expired_lease_is_lost_to_its_worker(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a")))
    lease = await scene.lease("w")
    scene.clock.advance(60)
    await scene.store.sweeper.sweep()
    assert (await scene.beat("w", lease)).leases[0].verdict is Verdict.LOST
    with pytest.raises(LeaseLostError):
        await scene.done("w", lease)


async def test_the_beat_of_an_earlier_boot_is_not_believed(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a")))
    lease = await scene.lease("w")
    await scene.hello("w", boot="boot-2")
    assert (await scene.beat("w", lease, boot="boot-1")).leases[0].verdict is Verdict.LOST
    later = await scene.claim("w", boot="boot-2")
    assert later is not None
    scene.clock.advance(59)
    assert (await scene.beat("w", later, boot="boot-1")).leases[0].verdict is Verdict.LOST
    scene.clock.advance(1)
    assert (await scene.store.sweeper.sweep()).expired == 1, "nobody kept it alive who may"
    assert (await scene.store.queue.beat("nobody", BeatRequest("b"))).leases == ()


async def test_progress_about_a_foreign_link_keeps_the_lease_alive(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a")), film("2", link("b")))
    lease = await scene.lease("w")
    for link_id in (2, 999):
        progress = Progress(lease.lease, Stage.PROBING, link_id)
        answer = await scene.store.queue.beat("w", BeatRequest("boot-1", (progress,)))
        assert answer.leases[0].verdict is Verdict.GO_ON
    assert (await scene.store.operations.workers())[0].leases[0].progress.link_id is None


async def test_leases_from_before_a_restore_are_lost(path: Path, clock: HandClock) -> None:
    async with Store.open(path, clock=clock) as store:
        before = Scene(store, clock, path)
        await before.enrol("w")
        await before.imports(film("1", link("a")))
        lease = await before.lease("w")
    write_epoch(path, 2)
    async with Store.open(path, clock=clock) as store:
        after = Scene(store, clock, path)
        assert (await after.beat("w", lease)).leases[0].verdict is Verdict.LOST
        with pytest.raises(LeaseLostError, match="restored"):
            await after.done("w", lease)
        with pytest.raises(InputError):
            await store.queue.settle("w", "garbage", SettleReleased())
