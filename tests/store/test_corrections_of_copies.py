"""What a worker has measured, where a title is held by two accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.store.conftest import film, link, uploaded
from tests.store.correcting import COPY, HD, SD, changes, links, measured, settles, state

from telecine.core.events import VariantChanged
from telecine.core.leases import LinkFate, VariantState
from telecine.core.protocol import (
    SourceReport,
)
from telecine.core.reasons import Reason

if TYPE_CHECKING:
    from tests.store.conftest import Scene


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


async def test_a_link_that_is_being_read_for_the_copy_stays_until_that_is_over(copied: Scene) -> None:
    await copied.store.operations.requeue(HD)
    original, copy = await copied.lease("w"), await copied.lease("v")
    b = original.sources[1].link_id
    await settles(copied, "w", original, measured(b))
    assert await links(copied, HD) == [("a", 1, LinkFate.UNTRIED), ("b", 2, LinkFate.FAILED)]
    assert [cm_id for cm_id, *_ in await links(copied, COPY)] == ["a", "b"], "its worker may be reading it"
    await settles(copied, "v", copy, measured(b))
    assert [cm_id for cm_id, *_ in await links(copied, HD)] == ["a"]
    assert [cm_id for cm_id, *_ in await links(copied, COPY)] == ["a"]
    assert [cm_id for cm_id, *_ in await links(copied, SD)] == ["b"]


async def test_a_link_that_the_copy_was_made_of_stays(copied: Scene) -> None:
    await copied.done("v", await copied.lease("v"), 21)
    await copied.store.operations.requeue(HD)
    lease = await copied.lease("w")
    await settles(copied, "w", lease, measured(lease.sources[0].link_id))
    assert await links(copied, HD) == [("a", 1, LinkFate.FAILED), ("b", 2, LinkFate.UNTRIED)]
    assert await links(copied, COPY) == [("a", 1, LinkFate.USED), ("b", 2, LinkFate.UNTRIED)]


async def test_a_copy_that_gains_a_link_as_it_fails_is_told_of_once(copied: Scene) -> None:
    lease = await copied.lease("v")
    await copied.imports(film("1", link("a"), link("b"), link("c")))  # a copy follows when nobody reads for it
    before = copied.store.events.newest
    reports = [measured(source.link_id) for source in lease.sources]
    assert (await settles(copied, "v", lease, *reports)).state is VariantState.READY
    assert await changes(copied, before) == [
        VariantChanged(SD, VariantState.READY),
        VariantChanged(COPY, VariantState.READY, "v"),
    ]


async def test_a_copy_is_delivered_of_what_turns_out_to_have_no_link_of_its_quality(copied: Scene) -> None:
    copy = await copied.lease("v")
    adopted = msgspec.structs.replace(uploaded(copy, 21), sources=())  # sent before, by whichever link
    await copied.store.queue.settle("v", copy.lease, adopted)
    await copied.store.operations.requeue(HD)
    lease = await copied.lease("w")
    reports = [measured(source.link_id) for source in lease.sources]
    assert (await settles(copied, "w", lease, *reports)).state is VariantState.CANCELLED
    resolved = await copied.store.shelf.resolve(HD, bot_id=9)
    assert (resolved.code, [part.message_id for part in resolved.parts]) == (COPY, [21])
    assert await links(copied, HD) == []


async def test_an_original_that_is_dead_is_taken_out_when_its_copy_finds_all_links_to_be_of_another_quality(
    copied: Scene,
) -> None:
    await copied.store.operations.requeue(HD)
    original, copy = await copied.lease("w"), await copied.lease("v")
    failed = await copied.fails("w", original, {source.link_id: Reason.GONE for source in original.sources})
    assert failed.state is VariantState.DEAD
    before = copied.store.events.newest
    reports = [measured(source.link_id) for source in copy.sources]
    assert (await settles(copied, "v", copy, *reports)).state is VariantState.CANCELLED
    assert await state(copied, HD) is VariantState.CANCELLED
    assert VariantChanged(HD, VariantState.CANCELLED) in await changes(copied, before)
