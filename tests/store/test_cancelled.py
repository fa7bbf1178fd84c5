"""Who took an upload out of the queue decides whether its next link brings it back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.store.conftest import POLICY, film, link
from tests.store.correcting import HD, SD, changes, links, measured, settles, state

from telecine.core.errors import ConflictError
from telecine.core.events import VariantChanged
from telecine.core.leases import LinkFate, VariantState
from telecine.core.operator_protocol import VariantMoved
from telecine.core.protocol import SettleReleased
from telecine.core.quality import Quality
from telecine.core.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.store.conftest import Scene

    from telecine.store.operations import SqliteOperations

    TakeOut = Callable[[SqliteOperations], Awaitable[object]]

AS_HD, AS_SD = film("1", link("a")), film("1", link("a", Quality.SD))
TAKE_OUT: list[TakeOut] = [
    lambda operations: operations.cancel(HD),
    lambda operations: operations.withdraw_title(1),
]
by_either_call = pytest.mark.parametrize("take_out", TAKE_OUT, ids=["cancel", "withdraw title"])


@by_either_call
async def test_what_an_operator_cancelled_stays_so_when_its_links_go_and_come_back(
    scene: Scene, take_out: TakeOut
) -> None:
    await scene.imports(AS_HD)
    await take_out(scene.store.operations)
    await scene.imports(AS_SD)
    await scene.imports(AS_HD)
    assert await state(scene, HD) is VariantState.CANCELLED
    assert await links(scene, HD) == [("a", 1, LinkFate.UNTRIED)]


async def test_what_an_operator_cancelled_stays_so_when_a_worker_brings_it_a_link(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a"), link("s", Quality.SD)))
    await scene.store.operations.cancel(SD)
    await scene.imports(film("1", link("a"), link("s", Quality.UHD)))
    assert await links(scene, SD) == []
    lease = await scene.lease("w")
    assert lease.code == HD
    await settles(scene, "w", lease, measured(lease.sources[0].link_id, Quality.SD))
    assert await links(scene, SD) == [("a", 1, LinkFate.UNTRIED)]
    assert await state(scene, SD) is VariantState.CANCELLED


@by_either_call
async def test_an_operator_keeps_out_what_only_waits_for_a_link(scene: Scene, take_out: TakeOut) -> None:
    await scene.imports(AS_HD)
    await scene.imports(AS_SD)
    assert await state(scene, HD) is VariantState.CANCELLED
    before = scene.store.events.newest
    await take_out(scene.store.operations)
    assert VariantChanged(HD, VariantState.CANCELLED) in await changes(scene, before)
    await scene.imports(AS_HD)
    assert await state(scene, HD) is VariantState.CANCELLED


async def test_what_is_kept_out_with_its_title_is_told_with_what_moved(scene: Scene) -> None:
    await scene.imports(AS_HD)
    await scene.imports(AS_SD)
    moved = (VariantMoved(HD, VariantState.CANCELLED), VariantMoved(SD, VariantState.CANCELLED))
    assert await scene.store.operations.withdraw_title(1) == moved
    assert await scene.store.operations.withdraw_title(1) == ()


async def test_what_an_operator_cancelled_cannot_be_cancelled_again(scene: Scene) -> None:
    await scene.imports(AS_HD)
    await scene.store.operations.cancel(HD)
    with pytest.raises(ConflictError, match="cancelled"):
        await scene.store.operations.cancel(HD)


async def test_who_queues_again_what_has_no_link_is_told_what_brings_it_back(scene: Scene) -> None:
    async def hint() -> str | None:
        with pytest.raises(ConflictError, match="no link to be uploaded from") as refusal:
            await scene.store.operations.requeue(HD)
        return refusal.value.hint

    await scene.imports(AS_HD)
    await scene.imports(AS_SD)
    assert await hint() == "an import that lists one queues it"
    await scene.store.operations.cancel(HD)
    assert await hint() == "try again when an import has listed one"


async def test_what_was_cancelled_and_queued_again_may_wait_for_a_link_once_more(scene: Scene) -> None:
    await scene.imports(AS_HD)
    await scene.store.operations.cancel(HD)
    assert await scene.store.operations.requeue(HD) is VariantState.READY
    await scene.imports(AS_SD)
    assert await state(scene, HD) is VariantState.CANCELLED
    await scene.imports(AS_HD)
    assert await state(scene, HD) is VariantState.READY


async def test_what_is_dead_and_loses_its_links_is_taken_out_until_the_next(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(AS_HD)
    lease = await scene.lease("w")
    assert (await scene.fails("w", lease, {1: Reason.GONE})).state is VariantState.DEAD
    await scene.imports(AS_SD)
    assert await state(scene, HD) is VariantState.CANCELLED
    await scene.imports(AS_HD)
    assert await state(scene, HD) is VariantState.READY


# ---- what comes back -----------------------------------------------------------------------------


async def gone_and_back(scene: Scene) -> None:
    """The film of one link is of another quality, and a new link of the former one is listed."""
    await scene.imports(AS_SD)
    await scene.imports(film("1", link("a", Quality.SD), link("z")))
    assert await links(scene, HD) == [("z", 1, LinkFate.UNTRIED)]


async def test_a_new_link_has_all_rounds_before_it(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(AS_HD)
    for _ in range(POLICY.rounds_max - 1):
        await scene.fails("w", await scene.lease("w"), {1: Reason.STALLED})
        scene.clock.advance(300)
        await scene.store.sweeper.sweep()
    await gone_and_back(scene)
    await scene.store.operations.cancel(SD)
    lease = await scene.lease("w")
    assert (await scene.fails("w", lease, {lease.sources[0].link_id: Reason.STALLED})).state is VariantState.DELAYED


async def test_a_new_link_demands_nothing_of_what_the_former_ones_did(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(AS_HD)
    lease = await scene.lease("w")
    await scene.store.queue.settle("w", lease.lease, SettleReleased(disk_bytes=1 << 40))
    await gone_and_back(scene)
    assert {(await scene.lease("w")).code for _ in range(2)} == {HD, SD}
