from __future__ import annotations

import msgspec
import pytest
from tests.store.conftest import Scene, film, link, uploaded

from telecine.core.errors import ConflictError, InputError, LeaseLostError, NotFoundError
from telecine.core.leases import LinkFate, VariantState
from telecine.core.protocol import (
    BeatRequest,
    ObjectReport,
    Outcome,
    Progress,
    SettleDone,
    SettleFailed,
    SettleFloodWait,
    SettleReleased,
    SourceReport,
    Stage,
    Verdict,
)
from telecine.core.reasons import Reason

CODE = "CM_M000001_720P"


def history(scene: Scene) -> list[tuple[object, ...]]:
    return scene.sql("SELECT fence, link_id, outcome, reason FROM upload_attempts ORDER BY id")


async def test_an_upload_is_kept_with_all_its_parts(queued: Scene) -> None:
    lease = await queued.lease("w")
    settled = await queued.done("w", lease, 11, 12, 13)
    assert (settled.code, settled.state, settled.repeated) == (CODE, VariantState.DONE, False)
    detail = await queued.store.catalogue.variant(CODE)
    assert [(o.part_no, o.part_count, o.channel_id, o.message_id, o.account) for o in detail.objects] == [
        (1, 3, 501, 11, "w"),
        (2, 3, 501, 12, "w"),
        (3, 3, 501, 13, "w"),
    ]
    assert [source.fate for source in detail.sources] == [LinkFate.USED, LinkFate.UNTRIED, LinkFate.UNTRIED]
    assert detail.worker is None
    assert queued.sql("SELECT messages FROM channels") == [(3,)]
    assert history(queued) == [(1, 1, "done", None)]


async def test_the_links_that_failed_on_the_way_are_remembered(queued: Scene) -> None:
    lease = await queued.lease("w")
    a, b, _ = (source.link_id for source in lease.sources)
    queued.clock.advance(10)
    reports = (SourceReport(a, Reason.GONE, "404", 0, 0.5), SourceReport(b, None, None, 99, 2.0))
    await queued.store.queue.settle("w", lease.lease, msgspec.structs.replace(uploaded(lease), sources=reports))
    sources = (await queued.store.catalogue.variant(CODE)).sources
    assert [(s.fate, s.reason, s.detail) for s in sources[:2]] == [
        (LinkFate.FAILED, Reason.GONE, "404"),
        (LinkFate.USED, None, None),
    ]
    rows = queued.sql("SELECT outcome, plan, bytes_read, started_at_ms, finished_at_ms FROM upload_attempts")
    now_ms = queued.clock.ms
    assert rows == [
        ("failed", None, 0, now_ms - 2500, now_ms - 2000),
        ("done", "direct", 99, now_ms - 2000, now_ms),
    ]


async def test_the_history_tells_how_far_the_link_was_that_the_worker_last_told_of(queued: Scene) -> None:
    lease = await queued.lease("w")
    told = Progress(lease.lease, Stage.UPLOADING, 2, 7, 70)
    await queued.store.queue.beat("w", BeatRequest("boot-1", (told,)))
    await queued.fails("w", lease, {1: Reason.GONE, 2: Reason.GONE})
    assert queued.sql("SELECT link_id, stage FROM upload_attempts ORDER BY id") == [(1, None), (2, "uploading")]


async def test_a_file_that_was_found_in_the_channel_needs_no_link(queued: Scene) -> None:
    lease = await queued.lease("w")
    adopted = msgspec.structs.replace(uploaded(lease), sources=())
    assert (await queued.store.queue.settle("w", lease.lease, adopted)).state is VariantState.DONE
    assert history(queued) == [(1, None, "done", None)]


def _parts(*numbers: tuple[int, int], channel_id: int = 501) -> SettleDone:
    objects = tuple(ObjectReport(n, count, channel_id, 10 + n, 1, "0" * 64) for n, count in numbers)
    return SettleDone(objects, (), "split")


@pytest.mark.parametrize(
    "outcome",
    [
        _parts(),
        _parts((1, 2)),
        _parts((2, 2)),
        _parts((1, 2), (1, 2)),
        _parts((1, 2), (2, 3)),
        _parts((1, 1), channel_id=999),
        SettleDone((*_parts((1, 2)).objects, *_parts((2, 2), channel_id=502).objects), (), "split"),
        SettleFailed(Reason.GONE, (SourceReport(99, Reason.GONE),)),
        SettleFailed(Reason.GONE, (SourceReport(1, None),)),
        msgspec.structs.replace(_parts((1, 1)), sources=(SourceReport(4, None),)),
        msgspec.structs.replace(_parts((1, 1)), sources=(SourceReport(1, None), SourceReport(2, Reason.GONE))),
        msgspec.structs.replace(_parts((1, 1)), sources=(SourceReport(1, Reason.GONE), SourceReport(1, None))),
        SettleFailed(Reason.GONE, (SourceReport(1, Reason.GONE), SourceReport(1, Reason.STALLED))),
        SettleReleased((SourceReport(1, Reason.GONE), SourceReport(2, Reason.GONE), SourceReport(1, Reason.GONE))),
    ],
    ids=[
        "no parts",
        "a part short",
        "only the last",
        "one part twice",
        "two counts",
        "unknown channel",
        "two channels",
        "unknown link",
        "used but failed",
        "used a link of another upload",
        "used before the last",
        "failed and used",
        "failed twice",
        "failed twice on the way",
    ],
)
async def test_a_report_that_does_not_fit_changes_nothing(queued: Scene, outcome: Outcome) -> None:
    await queued.enrol("x")
    await queued.imports(film("2", link("z")))
    lease = await queued.lease("w")
    with pytest.raises(InputError):
        await queued.store.queue.settle("w", lease.lease, outcome)
    detail = await queued.store.catalogue.variant(CODE)
    assert (detail.state, detail.objects) == (VariantState.LEASED, ())
    assert {source.fate for source in detail.sources} == {LinkFate.UNTRIED}
    assert history(queued) == []
    assert (await queued.beat("w", lease)).leases[0].verdict is Verdict.GO_ON


async def test_parts_in_another_accounts_channel_are_refused(queued: Scene) -> None:
    await queued.enrol("x")
    lease = await queued.lease("w")
    with pytest.raises(InputError, match="not the account's"):
        await queued.store.queue.settle("w", lease.lease, _parts((1, 1), channel_id=502))


async def test_one_message_does_not_hold_two_uploads(queued: Scene) -> None:
    await queued.enrol("w", channels=2)
    await queued.imports(*(film(str(number), link(f"z{number}")) for number in range(2, 6)))
    for message_id in (70, 78, 78, 79):  # by turns in the one channel and in the other
        await queued.done("w", await queued.lease("w"), message_id)
    other = await queued.lease("w")
    with pytest.raises(ConflictError, match="CM_M000003_720P"):
        await queued.done("w", other, 78)
    assert (await queued.done("w", other, 77)).state is VariantState.DONE


async def test_repeating_a_settlement_is_harmless(queued: Scene) -> None:
    lease = await queued.lease("w")
    await queued.done("w", lease)
    before = (await queued.store.catalogue.counts(), queued.sql("SELECT messages FROM channels"))
    again = await queued.done("w", lease)
    assert (again.state, again.repeated) == (VariantState.DONE, True)
    assert (await queued.store.catalogue.counts(), queued.sql("SELECT messages FROM channels")) == before


async def test_repeating_a_failure_answers_with_the_present_state(queued: Scene) -> None:
    lease = await queued.lease("w")
    await queued.fails("w", lease, {1: Reason.GONE})
    await queued.done("w", await queued.lease("w"))
    again = await queued.fails("w", lease, {1: Reason.GONE})
    assert (again.state, again.repeated) == (VariantState.DONE, True)


async def test_an_upload_that_is_claimed_after_a_failure_was_reported_is_refused(queued: Scene) -> None:
    lease = await queued.lease("w")
    await queued.fails("w", lease, {1: Reason.GONE})
    with pytest.raises(LeaseLostError):
        await queued.done("w", lease)


async def test_a_lease_is_settled_by_its_own_worker_alone(queued: Scene) -> None:
    await queued.enrol("x")
    lease = await queued.lease("w")
    with pytest.raises(LeaseLostError):
        await queued.store.queue.settle("x", lease.lease, SettleReleased())
    await queued.done("w", lease)
    with pytest.raises(LeaseLostError):
        await queued.store.queue.settle("x", lease.lease, SettleReleased())


async def test_only_the_latest_lease_counts(queued: Scene) -> None:
    await queued.enrol("x")
    first = await queued.lease("w")
    queued.clock.advance(61)
    await queued.store.sweeper.sweep()
    second = await queued.lease("x")
    assert second.code == first.code
    with pytest.raises(LeaseLostError):
        await queued.done("w", first)
    assert (await queued.done("x", second)).state is VariantState.DONE


async def test_a_worker_that_has_claimed_again_ends_its_new_lease_by_the_new_token_alone(queued: Scene) -> None:
    first = await queued.lease("w")
    queued.clock.advance(61)
    await queued.store.sweeper.sweep()
    second = await queued.lease("w")
    assert second.code == first.code
    for outcome in (uploaded(first), SettleReleased(), SettleFailed(Reason.GONE, (SourceReport(1, Reason.GONE),))):
        with pytest.raises(LeaseLostError):
            await queued.store.queue.settle("w", first.lease, outcome)
    assert (await queued.beat("w", first)).leases[0].verdict is Verdict.LOST
    assert (await queued.beat("w", second)).leases[0].verdict is Verdict.GO_ON
    assert (await queued.done("w", second)).state is VariantState.DONE


async def test_a_lease_that_never_was_is_lost(queued: Scene) -> None:
    with pytest.raises(LeaseLostError):
        await queued.store.queue.settle("w", "1.1.9", SettleReleased())
    with pytest.raises(LeaseLostError):
        await queued.store.queue.settle("w", "1.999999999999999999.1", SettleReleased())


async def test_a_failure_leads_to_the_next_link_then_to_patience_then_to_the_end(queued: Scene) -> None:
    async def fail(reason: Reason) -> tuple[int, VariantState]:
        lease = await queued.lease("w")
        settled = await queued.fails("w", lease, {source.link_id: reason for source in lease.sources})
        return len(lease.sources), settled.state

    lease = await queued.lease("w")
    assert (await queued.fails("w", lease, {1: Reason.NETWORK})).state is VariantState.READY
    lease = await queued.lease("w")
    assert [source.link_id for source in lease.sources] == [2, 3]
    settled = await queued.fails("w", lease, {2: Reason.GONE, 3: Reason.STALLED})
    assert settled.state is VariantState.DELAYED
    assert await queued.claim("w") is None
    queued.clock.advance(30)
    await queued.store.sweeper.sweep()
    assert await fail(Reason.NETWORK) == (2, VariantState.DELAYED), "the second round has the two that may pass"
    queued.clock.advance(299)
    assert (await queued.store.sweeper.sweep()).promoted == 0
    queued.clock.advance(1)
    assert (await queued.store.sweeper.sweep()).promoted == 1
    assert await fail(Reason.NETWORK) == (2, VariantState.DEAD), "three rounds are the limit"


async def test_a_fault_of_ours_after_another_link_had_failed_is_kept_and_slows_the_account_down(queued: Scene) -> None:
    lease = await queued.lease("w")
    outcome = SettleFailed(Reason.INTERNAL, (SourceReport(1, Reason.GONE),), "ZeroDivisionError")
    await queued.store.queue.settle("w", lease.lease, outcome)
    assert history(queued) == [(1, 1, "failed", "gone"), (1, None, "failed", "internal")]
    assert (await queued.store.operations.accounts())[0].uploads_parked_s == 60.0


async def test_links_that_cannot_work_are_not_tried_again(queued: Scene) -> None:
    lease = await queued.lease("w")
    settled = await queued.fails("w", lease, {1: Reason.GONE, 2: Reason.NOT_MEDIA, 3: Reason.TRUNCATED})
    assert settled.state is VariantState.DEAD
    assert await queued.claim("w") is None


async def test_a_worker_that_fails_before_any_link_is_slowed_down_and_the_variant_set_aside(queued: Scene) -> None:
    lease = await queued.lease("w")
    assert (await queued.fails("w", lease, {})).state is VariantState.DELAYED
    assert history(queued) == [(1, None, "failed", "internal")]
    queued.clock.advance(30)
    await queued.store.sweeper.sweep()
    assert await queued.claim("w") is None, "the account is suspected, too"
    queued.clock.advance(30)
    lease = await queued.lease("w")
    assert len(lease.sources) == 3
    assert (await queued.fails("w", lease, {})).state is VariantState.DELAYED
    queued.clock.advance(600)
    await queued.store.sweeper.sweep()
    settled = await queued.fails("w", await queued.lease("w"), {})
    assert settled.state is VariantState.QUARANTINED, "no link is known to be bad: this is not dead"


@pytest.mark.parametrize("outcome", [SettleReleased(), SettleFloodWait(9.0, "upload.saveBigFilePart")])
@pytest.mark.parametrize(
    ("earlier", "state"),
    [
        ((), (VariantState.READY, 0)),
        ((Reason.GONE,), (VariantState.READY, 0)),
        ((Reason.STALLED,), (VariantState.DELAYED, 1)),  # the other host may be read from in the next round
    ],
    ids=["", "gone", "stalled"],
)
async def test_what_is_given_back_spends_no_attempt_though_its_host_was_closed_meanwhile(
    scene: Scene, outcome: Outcome, earlier: tuple[Reason, ...], state: tuple[VariantState, int]
) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", *(link(f"l{n}", url=f"http://{n}.example/") for n in range(len(earlier) + 1))))
    last = f"{len(earlier)}.example"
    await scene.store.operations.limit_host(last, 9)  # left to a lease that counts there
    for reason in earlier:
        lease = await scene.lease("w")
        await scene.fails("w", lease, {lease.sources[0].link_id: reason})
    lease = await scene.lease("w")
    await scene.store.operations.limit_host(last, 0)
    settled = await scene.store.queue.settle("w", lease.lease, outcome)
    assert settled.state is state[0]
    assert scene.sql("SELECT attempts, state, rounds FROM upload_variants") == [(len(earlier), *state)]


async def test_a_released_lease_gives_the_attempt_back_and_keeps_what_was_learnt(queued: Scene) -> None:
    lease = await queued.lease("w")
    outcome = SettleReleased((SourceReport(1, Reason.GONE),))
    assert (await queued.store.queue.settle("w", lease.lease, outcome)).state is VariantState.READY
    assert (await queued.store.catalogue.variant(CODE)).attempts == 0
    assert history(queued) == [(1, 1, "failed", "gone"), (1, None, "released", None)]
    assert [source.link_id for source in (await queued.lease("w")).sources] == [2, 3]


async def test_a_release_that_leaves_no_link_to_try_is_the_end(queued: Scene) -> None:
    lease = await queued.lease("w")
    outcome = SettleReleased(tuple(SourceReport(n, Reason.GONE) for n in (1, 2, 3)))
    assert (await queued.store.queue.settle("w", lease.lease, outcome)).state is VariantState.DEAD


async def test_cancelling_a_lease_stops_its_worker(queued: Scene) -> None:
    lease = await queued.lease("w")
    assert await queued.store.operations.cancel(CODE) is VariantState.CANCELLED
    assert (await queued.beat("w", lease)).leases[0].verdict is Verdict.CANCEL
    with pytest.raises(LeaseLostError):
        await queued.done("w", lease)
    released = await queued.store.queue.settle("w", lease.lease, SettleReleased())
    assert (released.state, released.repeated) == (VariantState.CANCELLED, True)
    assert history(queued) == [(1, None, "cancelled", None)]


async def test_a_worker_whose_lease_was_cancelled_stops_even_if_it_is_queued_again(queued: Scene) -> None:
    lease = await queued.lease("w")
    await queued.store.operations.cancel(CODE)
    await queued.store.operations.requeue(CODE)
    assert (await queued.beat("w", lease)).leases[0].verdict is Verdict.CANCEL
    assert (await queued.lease("w")).lease != lease.lease


async def test_what_is_finished_cannot_be_cancelled(queued: Scene) -> None:
    await queued.done("w", await queued.lease("w"))
    with pytest.raises(ConflictError):
        await queued.store.operations.cancel(CODE)


async def test_a_requeued_upload_starts_over_as_a_new_generation(queued: Scene) -> None:
    await queued.done("w", await queued.lease("w"), 11, 12)
    assert await queued.store.operations.requeue(CODE) is VariantState.READY
    detail = await queued.store.catalogue.variant(CODE)
    assert detail.objects == ()
    assert {source.fate for source in detail.sources} == {LinkFate.UNTRIED}
    again = await queued.lease("w")
    assert (again.generation, len(again.sources)) == (1, 3)
    await queued.done("w", again, 11)  # found in the channel again
    assert [o.message_id for o in (await queued.store.catalogue.variant(CODE)).objects] == [11]
    assert queued.sql("SELECT count(*) FROM telegram_objects") == [(3,)], "what was there before is remembered"


async def test_a_dead_variant_that_is_requeued_has_all_rounds_before_it(queued: Scene) -> None:
    lease = await queued.lease("w")
    await queued.fails("w", lease, dict.fromkeys((1, 2, 3), Reason.GONE))
    await queued.store.operations.requeue(CODE)
    again = await queued.lease("w")
    assert (again.generation, len(again.sources)) == (0, 3)
    settled = await queued.fails("w", again, dict.fromkeys((1, 2, 3), Reason.NETWORK))
    assert settled.state is VariantState.DELAYED


async def test_a_leased_variant_is_not_requeued_under_its_worker(queued: Scene) -> None:
    lease = await queued.lease("w")
    with pytest.raises(ConflictError):
        await queued.store.operations.requeue(CODE)
    assert (await queued.done("w", lease)).state is VariantState.DONE


async def test_operators_are_told_what_does_not_exist(queued: Scene) -> None:
    for call in (queued.store.operations.cancel, queued.store.operations.requeue):
        with pytest.raises(NotFoundError):
            await call("CM_M000009_720P")
        with pytest.raises(InputError):
            await call("nonsense")
