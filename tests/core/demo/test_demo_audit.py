"""The audit finds what it is there to find: a demonstration that cannot fail shows nothing."""

import shutil
from pathlib import Path

import msgspec
import pytest

from telecine.core import codes
from telecine.core.captions import Caption, Origin, write
from telecine.core.catalogue import CatalogueCounts, StoredObject, VariantDetail, VariantSource
from telecine.core.demo import audit
from telecine.core.demo.audit import ChannelAudit, Post
from telecine.core.demo.files import make_files
from telecine.core.demo.report import Delivery, Mismatch, Viewing, compose
from telecine.core.demo.titles import Clip, Link, Packing, Trouble
from telecine.core.emulator.control.messages import Stats
from telecine.core.leases import LinkFate, VariantState
from telecine.core.operator_protocol import Status
from telecine.core.quality import Quality

CODE = "CM_M000001_360P"
CLIP = Clip(seed=77, height_px=240, seconds=0.5)
GOOD = Link(CLIP, Packing.MP4, "good.mp4")
BAD = Link(CLIP, Packing.MP4, "gone.mp4", trouble=Trouble.GONE)


def source(link_id: int, fate: LinkFate = LinkFate.UNTRIED) -> VariantSource:
    return VariantSource(link_id, str(link_id), "http://host/x", 0, fate, None, None, listed=True)


def variant(*sources: VariantSource, messages: tuple[int, ...] = (1,)) -> VariantDetail:
    objects = tuple(StoredObject(1, 1, 500, message, "cm-ember", 10, None, "") for message in messages)
    return VariantDetail(CODE, 1, None, Quality.LOW, VariantState.DONE, 0, 1, 0, None, sources, objects)


def test_one_post_for_one_object_is_clean() -> None:
    found = audit.audit_channels([Post(500, 1, CODE)], [variant()])
    assert found == ChannelAudit(posts=1, duplicates=0, orphans=0)


def test_a_second_post_of_a_code_is_a_duplicate_and_an_orphan() -> None:
    found = audit.audit_channels([Post(500, 1, CODE), Post(501, 9, CODE)], [variant()])
    assert (found.duplicates, found.orphans) == (1, 1)


def test_a_post_that_no_variant_knows_is_an_orphan() -> None:
    assert audit.audit_channels([Post(500, 2, CODE)], [variant()]).orphans == 1


def test_a_caption_tells_what_its_variant_does_or_is_mute() -> None:
    known = msgspec.structs.replace(
        variant(),
        origin=Origin("cm-1"),
        objects=(StoredObject(1, 1, 500, 1, "cm-ember", 10, None, "ab" * 32),),
    )
    told = write(Caption(codes.parse(CODE), Origin("cm-1"), "ab" * 32))
    assert audit.audit_channels([Post(500, 1, told)], [known]).mute == 0
    for caption in (CODE, told.replace(" d=", " x="), write(Caption(codes.parse(CODE), Origin("cm-2"), "ab" * 32))):
        assert audit.audit_channels([Post(500, 1, caption)], [known]).mute == 1


def test_what_is_not_coded_is_not_counted() -> None:
    assert audit.audit_channels([Post(500, 3, "channel created")], [variant()]).posts == 0


def test_a_link_in_no_variant_is_lost() -> None:
    assert audit.links_lost([1, 2, 3], [variant(source(1), source(3))]) == 1


def test_a_variant_is_deliverable_with_one_good_link() -> None:
    links = {1: BAD, 2: GOOD}
    assert audit.is_deliverable(variant(source(1), source(2)), links)
    assert not audit.is_deliverable(variant(source(1)), links)
    assert audit.used_link(variant(source(1), source(2, LinkFate.USED)), links) is GOOD


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("media")


async def test_the_same_pictures_in_another_container_are_the_same_film(media: Path) -> None:
    mkv = Link(CLIP, Packing.MKV, "good.mkv")
    other = Link(msgspec.structs.replace(CLIP, seed=78), Packing.MP4, "other.mp4")
    await make_files([GOOD, mkv, other], media, on_made=lambda done, total: None)

    frames, why = audit.compare(media / "good.mp4", media / "good.mkv")
    assert (frames, why) == (12, None)
    assert audit.compare(media / "good.mp4", media / "other.mp4")[1] == "the pictures differ"

    shorter = Link(msgspec.structs.replace(CLIP, seconds=0.25), Packing.MP4, "short.mp4")
    await make_files([shorter], media / "short", on_made=lambda done, total: None)
    shutil.copy(media / "short" / "short.mp4", media / "short.mp4")
    assert audit.compare(media / "good.mp4", media / "short.mp4")[1] == "6 pictures instead of 12"


COUNTS = CatalogueCounts(
    titles=1, movies=1, series=0, episodes=0, links=1, links_planned=1, variants=1, variants_by_state={"done": 1},
    links_by_fate={"used": 1}, objects=1, attempts=2, attempts_by_outcome={"done": 1, "flood_wait": 1}, bot_files=1,
    deliveries=1,
)  # fmt: skip
STATUS = Status("1", COUNTS, (), (), 1)
STATS = Stats(
    requests={"bot.sendVideo": 1}, events={}, faults_taken={"flood": 1, "lost_reply": 1},
    part_bytes=0, part_duplicates=0, in_flight_max=0, cm_requests={}, sources={},
)  # fmt: skip
CLEAN = ChannelAudit(posts=1, duplicates=0, orphans=0)
ARRIVED = Delivery(CODE, arrived=True, frames=12)


def test_a_clean_run_is_good() -> None:
    report = compose(
        STATUS, STATS, CLEAN, Viewing(1, (ARRIVED,), ()), links_lost=0, workers_killed=1, workers_to_kill=1
    )
    assert report.ok
    assert (report.deliveries, report.frames_compared, report.retries, report.sent_by_file_id) == (1, 12, 1, 1)


@pytest.mark.parametrize(
    ("channels", "viewing", "lost"),
    [
        (ChannelAudit(2, 1, 0), Viewing(1, (ARRIVED,), ()), 0),
        (ChannelAudit(2, 0, 1), Viewing(1, (ARRIVED,), ()), 0),
        (CLEAN, Viewing(1, (ARRIVED,), ()), 1),
        (CLEAN, Viewing(1, (Delivery(CODE, arrived=True, frames=12, why="the pictures differ"),), ()), 0),
        (CLEAN, Viewing(2, (ARRIVED,), ()), 0),
        (CLEAN, Viewing(1, (), (Mismatch(CODE, "is dead"),)), 0),
        (CLEAN, Viewing(0, (), ()), 0),
    ],
)
def test_anything_wrong_makes_the_run_bad(channels: ChannelAudit, viewing: Viewing, lost: int) -> None:
    assert not compose(STATUS, STATS, channels, viewing, links_lost=lost, workers_killed=0, workers_to_kill=0).ok


def test_a_run_in_which_nothing_went_wrong_shows_nothing() -> None:
    calm = msgspec.structs.replace(
        STATUS, counts=msgspec.structs.replace(COUNTS, attempts_by_outcome={"done": 1, "failed": 1})
    )
    quiet = msgspec.structs.replace(STATS, faults_taken={})
    evening = Viewing(1, (ARRIVED,), ())
    report = compose(calm, quiet, CLEAN, evening, links_lost=0, workers_killed=0, workers_to_kill=1)
    assert not report.ok
    assert [what.split()[1] for what in report.not_met] == ["worker", "flood", "reply"]
    assert not compose(STATUS, STATS, CLEAN, evening, links_lost=0, workers_killed=0, workers_to_kill=1).ok
