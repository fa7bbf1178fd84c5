"""A link comes to point to another file while a worker reads the former one, which it then reports of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.store.conftest import film, link, uploaded
from tests.store.correcting import COPY, HD, SD, links, measured, settles, state

from telecine.core.errors import InputError
from telecine.core.leases import LinkFate, VariantState
from telecine.core.protocol import Lease, Outcome, SettleFailed, SettleFloodWait, SettleReleased, SourceReport
from telecine.core.reasons import Reason

if TYPE_CHECKING:
    from tests.store.conftest import Scene

    from telecine.core.catalogue import ImportedTitle

OLD, NEW = "http://old.example/a.mkv", "http://new.example/a.mkv"


def pointing_to(url: str) -> ImportedTitle:
    return film("1", link("a", url=url))


@pytest.fixture
async def read(scene: Scene) -> Scene:
    """A film of one link, and a worker to read it."""
    await scene.enrol("w")
    await scene.imports(pointing_to(OLD))
    return scene


def rungs(scene: Scene) -> dict[str, int]:
    return dict(scene.sql("SELECT name, rung FROM hosts"))


async def ends(scene: Scene, lease: Lease, outcome: Outcome) -> VariantState:
    return (await scene.store.queue.settle("w", lease.lease, outcome)).state


@pytest.mark.parametrize("reason", Reason)
async def test_no_failure_of_the_former_file_counts_for_the_link_or_its_host(read: Scene, reason: Reason) -> None:
    lease = await read.lease("w")
    await read.imports(pointing_to(NEW))
    report = SourceReport(1, reason, size_bytes=1 << 40, retry_after_s=60.0)
    assert await ends(read, lease, SettleFailed(reason, (report,))) is VariantState.READY
    assert await links(read, HD) == [("a", 1, LinkFate.UNTRIED)]
    assert not any(rungs(read).values())
    [attempt] = await read.store.operations.attempts(code=HD)
    assert (attempt.link_id, attempt.reason) == (1, reason), "the history tells of it"
    await read.store.operations.unpark("w")
    assert [source.url for source in (await read.lease("w")).sources] == [NEW]


async def test_a_measurement_of_the_former_file_does_not_move_the_link(read: Scene) -> None:
    lease = await read.lease("w")
    await read.imports(pointing_to(NEW))
    assert (await settles(read, "w", lease, measured(1))).state is VariantState.READY
    assert await links(read, HD) == [("a", 1, LinkFate.UNTRIED)]
    assert read.sql("SELECT quality, evidence FROM source_links") == [("720P", "field")]
    await settles(read, "w", await read.lease("w"), measured(1))
    assert await links(read, SD) == [("a", 1, LinkFate.UNTRIED)], "one of the new file does"


GONE = (SourceReport(1, Reason.GONE),)


@pytest.mark.parametrize("outcome", [SettleReleased(GONE), SettleFloodWait(9.0, "upload.saveBigFilePart", GONE)])
async def test_what_is_given_back_for_the_former_file_spends_no_attempt(read: Scene, outcome: Outcome) -> None:
    lease = await read.lease("w")
    await read.imports(pointing_to(NEW))
    await ends(read, lease, outcome)
    assert read.sql("SELECT state, attempts, rounds FROM upload_variants") == [("ready", 0, 0)]


async def test_what_was_made_of_the_former_file_is_done(read: Scene) -> None:
    stalled = await read.lease("w")
    await read.fails("w", stalled, {1: Reason.STALLED})
    read.clock.advance(30)
    await read.store.sweeper.sweep()
    lease = await read.lease("w")
    await read.imports(pointing_to("http://old.example/b.mkv"))
    assert await ends(read, lease, uploaded(lease)) is VariantState.DONE
    assert await links(read, HD) == [("a", 1, LinkFate.USED)]
    assert rungs(read) == {"old.example": 1}, "what the new file is like nobody knows"


async def test_other_links_of_the_lease_are_what_they_are_reported_to_be(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a", url=OLD), link("b")))
    lease = await scene.lease("w")
    await scene.imports(film("1", link("a", url=NEW), link("b")))
    reports = (SourceReport(1, Reason.GONE), SourceReport(2, None))
    done = msgspec.structs.replace(uploaded(lease), sources=reports)
    assert await ends(scene, lease, done) is VariantState.DONE
    assert await links(scene, HD) == [("a", 1, LinkFate.UNTRIED), ("b", 2, LinkFate.USED)]


@pytest.mark.parametrize("url", [f"{OLD}?key=2", f"{OLD}#t=1", OLD.replace("//", "//reader:secret@")])
async def test_a_link_with_a_new_key_points_to_the_same_file(read: Scene, url: str) -> None:
    lease = await read.lease("w")
    await read.imports(pointing_to(url))
    assert await ends(read, lease, SettleFailed(Reason.GONE, (SourceReport(1, Reason.GONE),))) is VariantState.DEAD


async def test_the_next_lease_reads_the_new_file(read: Scene) -> None:
    lease = await read.lease("w")
    await read.imports(pointing_to(NEW))
    await ends(read, lease, SettleReleased())
    lease = await read.lease("w")
    assert await ends(read, lease, SettleFailed(Reason.GONE, (SourceReport(1, Reason.GONE),))) is VariantState.DEAD


async def test_each_copy_is_read_by_a_lease_of_its_own(read: Scene) -> None:
    await read.done("w", await read.lease("w"))
    await read.enrol("v")
    await read.store.operations.set_copies(1, 2)
    await read.store.sweeper.sweep()
    lease = await read.lease("v")
    assert lease.code == COPY
    await read.imports(pointing_to(NEW))
    await read.store.operations.requeue(HD)
    original = await read.lease("w")
    assert [source.url for source in original.sources] == [NEW]
    await read.fails("v", lease, {1: Reason.GONE})
    assert await state(read, COPY) is VariantState.READY
    await read.fails("w", original, {1: Reason.GONE})
    assert await state(read, HD) is VariantState.DEAD


async def test_a_link_of_another_upload_is_refused_still(read: Scene) -> None:
    await read.imports(film("2", link("b")))
    lease = await read.lease("w")
    await read.imports(pointing_to(NEW))
    with pytest.raises(InputError, match="link 2"):
        await ends(read, lease, SettleFailed(Reason.GONE, (SourceReport(2, Reason.GONE),)))
