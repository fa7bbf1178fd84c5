"""A link that a worker has measured goes to the upload of the quality that it has, and stays there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

import pytest
from tests.store.conftest import episode, film, link, series, uploaded
from tests.store.correcting import HD, SD, changes, corrects, links, measured, settles, state

from telecine.core.catalogue import PROBED
from telecine.core.errors import ConflictError
from telecine.core.events import VariantChanged
from telecine.core.leases import AttemptOutcome, LinkFate, VariantState
from telecine.core.protocol import (
    Lease,
    Outcome,
    SettleDone,
    SettleFailed,
    SettleFloodWait,
    SettleReleased,
    SourceReport,
)
from telecine.core.quality import Quality
from telecine.core.reasons import Reason
from telecine.store.corrections import STEADY_MS

if TYPE_CHECKING:
    from tests.store.conftest import Scene

# ---- where the link goes -------------------------------------------------------------------------


async def test_a_link_goes_to_a_new_upload_of_the_quality_that_it_has(queued: Scene) -> None:
    settled = await corrects(queued, "w")
    assert settled.state is VariantState.READY, "there are other links to try"
    assert await links(queued, HD) == [("b", 1, LinkFate.UNTRIED), ("c", 2, LinkFate.UNTRIED)]
    assert await links(queued, SD) == [("a", 1, LinkFate.UNTRIED)]
    corrected = await queued.store.catalogue.variant(SD)
    assert (corrected.state, corrected.quality, corrected.priority) == (VariantState.READY, Quality.SD, 2)
    assert (corrected.host, corrected.account) == ("a.example", None)
    assert [(one.quality, one.evidence) for one in corrected.sources] == [(Quality.SD, PROBED)]


async def test_what_was_corrected_is_uploaded_as_what_it_is(queued: Scene) -> None:
    await corrects(queued, "w")
    first, second = await queued.lease("w"), await queued.lease("w")
    assert (first.code, [source.url for source in first.sources]) == (
        HD,
        ["http://b.example/b.mkv", "http://c.example/c.mkv"],
    )
    assert (second.code, second.quality, [source.url for source in second.sources]) == (
        SD,
        Quality.SD,
        ["http://a.example/a.mkv"],
    )
    for number, lease in enumerate((first, second), start=1):
        assert (await queued.done("w", lease, number)).state is VariantState.DONE


async def test_an_episode_keeps_the_numbers_of_its_codes(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(series("1", episode("e", 1, 3, link("a")), episode("f", 1, 3, link("b"))))
    lease = await scene.lease("w")
    await scene.done("w", lease)
    await corrects(scene, "w")
    assert await links(scene, "CM_S000001_S01E10000_480P") == [("b", 1, LinkFate.UNTRIED)]
    episodes = (await scene.store.catalogue.title(1)).episodes
    assert {variant.code for variant in episodes[1].variants} == {
        "CM_S000001_S01E10000_720P",
        "CM_S000001_S01E10000_480P",
    }


async def test_a_link_becomes_the_last_fallback_of_an_upload_that_waits(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a"), link("b", Quality.SD)))
    await corrects(scene, "w")
    assert await links(scene, SD) == [("b", 1, LinkFate.UNTRIED), ("a", 2, LinkFate.UNTRIED)]
    assert (await scene.lease("w")).code == SD


async def test_a_link_of_an_upload_that_is_done_is_kept_for_later(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("b", Quality.SD), link("a")))
    await scene.done("w", await scene.lease("w"))
    await corrects(scene, "w")
    assert await state(scene, SD) is VariantState.DONE
    assert await links(scene, SD) == [("b", 1, LinkFate.USED), ("a", 2, LinkFate.UNTRIED)]
    assert await scene.claim("w") is None, "nothing is queued for it"
    await scene.store.operations.requeue(SD)
    assert len((await scene.lease("w")).sources) == 2


async def test_a_link_brings_a_dead_upload_back(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("b", Quality.SD), link("a")))
    dead = await scene.lease("w")
    await scene.fails("w", dead, {dead.sources[0].link_id: Reason.GONE})
    before = scene.store.events.newest
    await corrects(scene, "w")
    assert await links(scene, SD) == [("b", 1, LinkFate.FAILED), ("a", 2, LinkFate.UNTRIED)]
    lease = await scene.lease("w")
    assert (lease.code, [source.url for source in lease.sources]) == (SD, ["http://a.example/a.mkv"])
    assert VariantChanged(SD, VariantState.READY) in await changes(scene, before)


async def test_a_link_brings_a_delayed_upload_forward(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("b", Quality.SD), link("a")))
    late = await scene.lease("w")
    settled = await scene.fails("w", late, {late.sources[0].link_id: Reason.STALLED})
    assert settled.state is VariantState.DELAYED
    await corrects(scene, "w")
    assert [source.url for source in (await scene.lease("w")).sources] == ["http://a.example/a.mkv"]


@pytest.mark.parametrize("how", ["cancel", "quarantine"])
async def test_what_people_are_to_look_at_stays_where_it_is(scene: Scene, how: str) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("b", Quality.SD), link("a")))
    if how == "cancel":
        await scene.store.operations.cancel(SD)
    else:
        for boot in ("boot-2", "boot-1"):
            assert (await scene.lease("w")).code == SD if boot == "boot-2" else await scene.claim("w", boot="boot-2")
            await scene.hello("w", boot=boot)
    stands = await state(scene, SD)
    assert stands in {VariantState.CANCELLED, VariantState.QUARANTINED}
    await corrects(scene, "w")
    assert await state(scene, SD) is stands
    assert [cm_id for cm_id, *_ in await links(scene, SD)] == ["b", "a"]


async def test_a_lease_that_is_under_way_gets_the_link_when_it_ends(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.enrol("v")
    await scene.imports(film("1", link("b", Quality.SD), link("a")))
    reading = await scene.lease("v")
    await corrects(scene, "w")
    failed = await scene.fails("v", reading, {reading.sources[0].link_id: Reason.GONE})
    assert failed.state is VariantState.READY
    assert [source.url for source in (await scene.lease("v")).sources] == ["http://a.example/a.mkv"]


async def test_several_links_of_one_report_go_each_its_own_way(queued: Scene) -> None:
    lease = await queued.lease("w")
    a, b, c = (source.link_id for source in lease.sources)
    await settles(queued, "w", lease, measured(a), measured(b, Quality.UHD), measured(c))
    assert [cm_id for cm_id, *_ in await links(queued, SD)] == ["a", "c"]
    assert [cm_id for cm_id, *_ in await links(queued, "CM_M000001_2160P")] == ["b"]


def outcomes(lease: Lease) -> Iterable[tuple[Outcome, VariantState]]:
    """Each way to end a lease of links a, b and c of which the first was measured."""
    wrong = (measured(lease.sources[0].link_id),)
    used = uploaded(lease).objects, (*wrong, SourceReport(lease.sources[1].link_id, None)), "direct"
    yield SettleDone(*used), VariantState.DONE
    yield SettleFailed(Reason.WRONG_CONTENT, wrong), VariantState.READY
    yield SettleFloodWait(30.0, "upload.saveBigFilePart", wrong), VariantState.READY
    yield SettleReleased(wrong), VariantState.READY


@pytest.mark.parametrize("ending", range(4))
async def test_whatever_ends_the_lease_the_link_moves(queued: Scene, ending: int) -> None:
    lease = await queued.lease("w")
    outcome, expected = list(outcomes(lease))[ending]
    assert (await queued.store.queue.settle("w", lease.lease, outcome)).state is expected
    assert [cm_id for cm_id, *_ in await links(queued, SD)] == ["a"]
    assert [cm_id for cm_id, *_ in await links(queued, HD)] == ["b", "c"]


async def test_a_report_that_comes_again_moves_nothing_more(queued: Scene) -> None:
    lease = await queued.lease("w")
    report = measured(lease.sources[0].link_id)
    await settles(queued, "w", lease, report)
    rows = queued.sql("SELECT * FROM variant_sources"), queued.sql("SELECT * FROM source_links")
    queued.clock.advance(1)
    assert (await settles(queued, "w", lease, report)).repeated
    assert (queued.sql("SELECT * FROM variant_sources"), queued.sql("SELECT * FROM source_links")) == rows


async def test_history_tells_where_the_link_was_tried(queued: Scene) -> None:
    await corrects(queued, "w")
    [attempt] = await queued.store.operations.attempts(code=HD)
    assert (attempt.outcome, attempt.reason, attempt.link_id) == (AttemptOutcome.FAILED, Reason.WRONG_CONTENT, 1)
    assert await queued.store.operations.attempts(code=SD) == ()


async def test_those_who_look_hear_of_both_uploads(queued: Scene) -> None:
    before = queued.store.events.newest
    await corrects(queued, "w")
    assert await changes(queued, before) == [
        VariantChanged(SD, VariantState.READY),
        VariantChanged(HD, VariantState.READY, "w"),
    ]


async def test_a_new_upload_wakes_who_waits_for_work(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a")))
    lease = await scene.lease("w")
    waiting = asyncio.create_task(scene.store.queue.wait_for_work(3600.0))
    await asyncio.sleep(0)  # let it begin to wait
    await settles(scene, "w", lease, measured(lease.sources[0].link_id))
    async with asyncio.timeout(5):
        await waiting


# ---- what is left behind -------------------------------------------------------------------------


async def test_an_upload_without_a_link_of_its_quality_is_offered_no_more(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a")))
    before = scene.store.events.newest
    assert (await corrects(scene, "w")).state is VariantState.CANCELLED
    assert await links(scene, HD) == []
    assert VariantChanged(HD, VariantState.CANCELLED, "w") in await changes(scene, before)
    assert (await scene.lease("w")).code == SD
    assert await scene.claim("w") is None


async def test_it_comes_back_with_the_next_link_of_its_quality(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a")))
    await corrects(scene, "w")
    await scene.imports(film("1", link("a"), link("b")))
    assert await state(scene, HD) is VariantState.READY
    assert await links(scene, HD) == [("b", 1, LinkFate.UNTRIED)]


async def test_it_cannot_be_queued_again_without_one(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a")))
    await corrects(scene, "w")
    with pytest.raises(ConflictError, match="no link"):
        await scene.store.operations.requeue(HD)
    assert await state(scene, HD) is VariantState.CANCELLED


async def test_an_upload_whose_other_links_failed_is_dead(queued: Scene) -> None:
    lease = await queued.lease("w")
    a, b, c = (source.link_id for source in lease.sources)
    gone = [SourceReport(link_id, Reason.GONE) for link_id in (b, c)]
    assert (await settles(queued, "w", lease, measured(a), *gone)).state is VariantState.DEAD
    assert [cm_id for cm_id, *_ in await links(queued, HD)] == ["b", "c"]


async def test_an_upload_whose_other_links_may_work_later_is_delayed(queued: Scene) -> None:
    lease = await queued.lease("w")
    a, b, c = (source.link_id for source in lease.sources)
    late = [SourceReport(link_id, Reason.STALLED) for link_id in (b, c)]
    assert (await settles(queued, "w", lease, *late, measured(a))).state is VariantState.DELAYED
    queued.clock.advance(3600)
    await queued.store.sweeper.sweep()
    codes = {(await queued.lease("w")).code, (await queued.lease("w")).code}
    assert codes == {HD, SD}


# ---- what does not move --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "report",
    [
        measured(1, None),
        measured(1, Quality.HD),
        SourceReport(1, Reason.GONE, quality=Quality.SD),
        SourceReport(1, Reason.TRUNCATED, quality=Quality.SD),
    ],
    ids=["not measured", "as expected", "gone", "truncated"],
)
async def test_a_link_that_is_not_known_to_be_another_stays(queued: Scene, report: SourceReport) -> None:
    lease = await queued.lease("w")
    await settles(queued, "w", lease, report)
    assert (await links(queued, HD))[0] == ("a", 1, LinkFate.FAILED)
    assert len((await queued.store.catalogue.title(1)).variants) == 1


async def test_a_link_that_is_measured_otherwise_soon_after_is_followed_no_further(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a")))
    await corrects(scene, "w", Quality.SD)
    assert (await corrects(scene, "w", Quality.HD)).state is VariantState.DEAD
    assert await links(scene, SD) == [("a", 1, LinkFate.FAILED)]
    assert await scene.claim("w") is None
    scene.clock.advance(STEADY_MS / 1000)
    await scene.store.operations.requeue(SD)
    assert (await corrects(scene, "w", Quality.HD)).state is VariantState.CANCELLED
    assert (await scene.lease("w")).code == HD


async def test_new_keys_of_a_link_do_not_keep_it_where_it_was_measured_long_ago(scene: Scene) -> None:
    """Its URL changes with every import; a measurement of a day later counts all the same."""
    await scene.enrol("w")
    await scene.imports(film("1", link("a", url="http://a.example/a.mkv?key=0")))
    await corrects(scene, "w", Quality.SD)
    scene.clock.advance(STEADY_MS / 1000)
    await scene.imports(film("1", link("a", url="http://a.example/a.mkv?key=1")))
    assert (await corrects(scene, "w", Quality.HD)).state is VariantState.CANCELLED
    assert await links(scene, HD) == [("a", 1, LinkFate.UNTRIED)]
