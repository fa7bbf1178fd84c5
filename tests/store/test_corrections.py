"""A link that a worker has measured goes to the upload of the quality that it has, and stays there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.store.conftest import episode, film, link, series, uploaded

from telecine.core.catalogue import PROBED
from telecine.core.errors import ConflictError
from telecine.core.events import VariantChanged
from telecine.core.leases import AttemptOutcome, LinkFate, VariantState
from telecine.core.protocol import (
    Lease,
    Outcome,
    Settled,
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

HD, SD, COPY = "CM_M000001_720P", "CM_M000001_480P", "CM_M000001_720P_C02"


def measured(link_id: int, quality: Quality | None = Quality.SD) -> SourceReport:
    return SourceReport(link_id, Reason.WRONG_CONTENT, "the picture is 854x480", 10, 1.0, quality=quality)


async def settles(scene: Scene, worker: str, lease: Lease, *reports: SourceReport) -> Settled:
    return await scene.store.queue.settle(worker, lease.lease, SettleFailed(Reason.WRONG_CONTENT, reports))


async def corrects(scene: Scene, worker: str, quality: Quality = Quality.SD) -> Settled:
    """A worker leases, and measures the first link."""
    lease = await scene.lease(worker)
    return await settles(scene, worker, lease, measured(lease.sources[0].link_id, quality))


async def state(scene: Scene, code: str) -> VariantState:
    return (await scene.store.catalogue.variant(code)).state


async def links(scene: Scene, code: str) -> list[tuple[str, int, LinkFate]]:
    sources = (await scene.store.catalogue.variant(code)).sources
    return [(source.cm_id, source.position, source.fate) for source in sources]


async def changes(scene: Scene, before: int) -> list[VariantChanged]:
    told = await scene.store.events.after(before, limit=50)
    return [msgspec.json.decode(one.data, type=VariantChanged) for one in told if one.kind == "variant"]


@pytest.fixture
async def queued(scene: Scene) -> Scene:
    """A film of three links that are said to be 720p, and somebody to upload it."""
    await scene.enrol("w")
    await scene.imports(film("1", link("a"), link("b"), link("c")))
    return scene


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


# ---- imports -------------------------------------------------------------------------------------


@pytest.mark.parametrize("declared", [Quality.HD, Quality.UHD, Quality.AUTO, Quality.SD])
async def test_what_was_measured_goes_before_whatever_is_declared(queued: Scene, declared: Quality) -> None:
    await corrects(queued, "w")
    again = film("1", link("a", declared), link("b"), link("c"))
    await queued.imports(again)
    assert [cm_id for cm_id, *_ in await links(queued, SD)] == ["a"]
    assert [cm_id for cm_id, *_ in await links(queued, HD)] == ["b", "c"]
    assert queued.sql("SELECT quality, evidence FROM source_links WHERE cm_id = 'a'") == [("480P", PROBED)]
    assert len((await queued.store.catalogue.title(1)).variants) == 2
    rows = queued.sql("SELECT * FROM source_links")
    queued.clock.advance(10)
    await queued.imports(again)
    assert queued.sql("SELECT * FROM source_links") == rows, "an import of what is there changes nothing"


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://a.example/a.mkv?key=2", SD),
        ("http://a.example/a.mkv#t=1", SD),
        ("http://a.example/other.mkv", HD),
        ("http://b.example/a.mkv", HD),
    ],
)
async def test_another_file_is_taken_for_what_it_is_declared(scene: Scene, url: str, code: str) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a", url="http://a.example/a.mkv?key=1")))
    await corrects(scene, "w")
    await scene.imports(film("1", link("a", url=url)))
    assert [cm_id for cm_id, *_ in await links(scene, code)] == ["a"]
    assert (await scene.lease("w")).sources[0].url == url
    assert await scene.claim("w") is None, "the other one has no link"


async def test_a_measured_link_that_was_unlisted_comes_back_as_measured(queued: Scene) -> None:
    await corrects(queued, "w")
    await queued.imports(film("1", link("b")))
    await queued.imports(film("1", link("a"), link("b")))
    listed = {source.cm_id: source.listed for source in (await queued.store.catalogue.variant(SD)).sources}
    assert listed == {"a": True}


# ---- second copies -------------------------------------------------------------------------------


@pytest.fixture
async def copied(scene: Scene) -> Scene:
    """A film made of its link `a`, with `b` to fall back to, of which `v` is to make the copy."""
    await scene.enrol("w")
    await scene.imports(film("1", link("a"), link("b")))
    await scene.done("w", await scene.lease("w"), 11)
    await scene.enrol("v")
    await scene.store.operations.set_copies(1, 2)
    await scene.store.sweeper.sweep()
    return scene


async def test_a_link_that_a_copy_found_out_leaves_the_original_too(copied: Scene) -> None:
    lease = await copied.lease("v")
    _, b = (source.link_id for source in lease.sources)
    failed = (SourceReport(lease.sources[0].link_id, Reason.GONE), measured(b))
    await settles(copied, "v", lease, *failed)
    assert await links(copied, HD) == [("a", 1, LinkFate.USED)]
    assert await links(copied, COPY) == [("a", 1, LinkFate.FAILED)]
    assert await links(copied, SD) == [("b", 1, LinkFate.UNTRIED)]
    assert await state(copied, HD) is VariantState.DONE


async def test_a_link_that_the_original_was_made_of_stays(copied: Scene) -> None:
    lease = await copied.lease("v")
    await settles(copied, "v", lease, measured(lease.sources[0].link_id))
    assert await links(copied, HD) == [("a", 1, LinkFate.USED), ("b", 2, LinkFate.UNTRIED)]
    assert await links(copied, COPY) == [("a", 1, LinkFate.FAILED), ("b", 2, LinkFate.UNTRIED)]


async def test_a_link_that_somebody_reads_elsewhere_stays_until_that_is_over(copied: Scene) -> None:
    await copied.store.operations.requeue(HD)
    reading = await copied.lease("w")
    lease = await copied.lease("v")
    assert (reading.code, lease.code) == (HD, COPY)
    _, b = (source.link_id for source in lease.sources)
    await settles(copied, "v", lease, measured(b))
    assert [cm_id for cm_id, *_ in await links(copied, HD)] == ["a", "b"]
    report = SourceReport(reading.sources[0].link_id, Reason.GONE)
    settled = await settles(copied, "w", reading, report, measured(b))
    assert settled.state is VariantState.DEAD
    assert [cm_id for cm_id, *_ in await links(copied, SD)] == ["b"]
    assert [cm_id for cm_id, *_ in await links(copied, COPY)] == ["a"]


async def test_a_copy_that_is_being_read_drops_the_link_when_it_has_found_out_itself(copied: Scene) -> None:
    await copied.store.operations.requeue(HD)
    original, copy = await copied.lease("w"), await copied.lease("v")
    b = original.sources[1].link_id
    await settles(copied, "w", original, measured(b))
    assert [cm_id for cm_id, *_ in await links(copied, COPY)] == ["a", "b"], "its worker may be reading it"
    await settles(copied, "v", copy, measured(b))
    assert [cm_id for cm_id, *_ in await links(copied, COPY)] == ["a"]
    assert [cm_id for cm_id, *_ in await links(copied, SD)] == ["b"]


async def test_what_is_delivered_from_a_copy_is_not_taken_out(copied: Scene) -> None:
    await copied.done("v", await copied.lease("v"), 21)
    await copied.store.operations.requeue(HD)
    lease = await copied.lease("w")
    reports = [measured(source.link_id) for source in lease.sources]
    assert (await settles(copied, "w", lease, *reports)).state is VariantState.DEAD
    resolved = await copied.store.shelf.resolve(HD, bot_id=9)
    assert (resolved.code, [part.message_id for part in resolved.parts]) == (COPY, [21])
    assert await links(copied, HD) == []
