"""An upload that demands more of its worker than some have is tried by the others for as long as they may succeed."""

from __future__ import annotations

import itertools

from tests.store.conftest import Scene, film, link, uploaded

from telecine.core.leases import VariantState
from telecine.core.plans import file_bytes_max
from telecine.core.protocol import ClaimRequest, Lease, Settled, SettleFailed, SettleReleased, SourceReport
from telecine.core.reasons import Reason

PLAIN, PREMIUM = file_bytes_max(premium=False), file_bytes_max(premium=True)
CODE = "CM_M000001_720P"
_numbers = itertools.count(1)


async def claims(scene: Scene, *, file_bytes_max: int = PLAIN, disk_free_bytes: int = 0) -> Lease | None:
    request = ClaimRequest(
        "boot-1", f"r{next(_numbers)}", disk_free_bytes=disk_free_bytes, file_bytes_max=file_bytes_max
    )
    return await scene.store.queue.claim("w", request)


async def names(scene: Scene, lease: Lease | None) -> list[str]:
    """What CM calls the links of a lease, in the order to try them."""
    sources = (await scene.store.catalogue.variant(CODE)).sources
    known = {source.link_id: source.cm_id for source in sources}
    return [known[source.link_id] for source in lease.sources] if lease else []


async def fails(scene: Scene, lease: Lease | None, *reasons: Reason) -> Settled:
    """Each link for a reason of its own; one that is too large is so for plain accounts."""
    assert lease is not None
    reports = tuple(
        SourceReport(source.link_id, reason, size_bytes=PLAIN + 1 if reason is Reason.TOO_LARGE else None)
        for source, reason in zip(lease.sources, reasons, strict=True)
    )
    return await scene.store.queue.settle("w", lease.lease, SettleFailed(reasons[-1], reports))


async def lacks_disk(scene: Scene, lease: Lease | None, **failed: Reason) -> Settled:
    """Some links fail, and for the others ten bytes of disk are missing."""
    assert lease is not None
    known = {source.cm_id: source.link_id for source in (await scene.store.catalogue.variant(CODE)).sources}
    reports = tuple(SourceReport(known[name], reason) for name, reason in failed.items())
    return await scene.store.queue.settle("w", lease.lease, SettleReleased(reports, disk_bytes=10))


async def a_round_later(scene: Scene) -> None:
    scene.clock.advance(300)
    await scene.store.sweeper.sweep()


async def test_a_link_that_may_work_later_does_not_wait_for_a_larger_account(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a"), link("b")))
    settled = await fails(scene, await claims(scene), Reason.STALLED, Reason.TOO_LARGE)
    assert settled.state is VariantState.DELAYED
    await a_round_later(scene)
    lease = await claims(scene)
    assert lease is not None
    assert await names(scene, lease) == ["a"]
    assert (await scene.store.queue.settle("w", lease.lease, uploaded(lease))).state is VariantState.DONE


async def test_after_a_pause_a_larger_account_gets_all_that_is_left(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a"), link("b")))
    await fails(scene, await claims(scene), Reason.STALLED, Reason.TOO_LARGE)
    await a_round_later(scene)
    assert sorted(await names(scene, await claims(scene, file_bytes_max=PREMIUM))) == ["a", "b"]


async def test_what_has_failed_in_every_round_is_left_to_a_larger_account(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a"), link("b")))
    await fails(scene, await claims(scene), Reason.STALLED, Reason.TOO_LARGE)
    await a_round_later(scene)
    assert (await fails(scene, await claims(scene), Reason.STALLED)).state is VariantState.DELAYED
    await a_round_later(scene)
    assert (await fails(scene, await claims(scene), Reason.STALLED)).state is VariantState.READY
    assert await claims(scene) is None
    assert "b" in await names(scene, await claims(scene, file_bytes_max=PREMIUM))


async def test_what_takes_more_disk_goes_to_a_worker_that_has_it(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a"), link("b")))
    assert (await lacks_disk(scene, await claims(scene), a=Reason.GONE)).state is VariantState.READY
    assert await claims(scene) is None
    assert await names(scene, await claims(scene, disk_free_bytes=10)) == ["b"]


async def test_a_link_that_may_work_later_does_not_wait_for_more_disk(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a"), link("b")))
    for _ in range(2):
        assert (await lacks_disk(scene, await claims(scene), a=Reason.STALLED)).state is VariantState.DELAYED
        await a_round_later(scene)
    assert (await lacks_disk(scene, await claims(scene), a=Reason.STALLED)).state is VariantState.READY
    assert await claims(scene) is None, "after the last round it does"
    assert await names(scene, await claims(scene, disk_free_bytes=10)) == ["b"]


async def test_a_new_link_does_not_wait_for_the_disk_that_others_take(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a")))
    await lacks_disk(scene, await claims(scene))
    await scene.imports(film("1", link("a"), link("b")))
    assert await names(scene, await claims(scene)) == ["a", "b"]


async def test_once_it_has_failed_nothing_is_left_of_what_it_demanded(scene: Scene) -> None:
    await scene.enrol("w")
    await scene.imports(film("1", link("a"), link("b")))
    await lacks_disk(scene, await claims(scene))
    lease = await claims(scene, disk_free_bytes=10)
    assert lease is not None
    settled = await scene.fails("w", lease, {lease.sources[0].link_id: Reason.GONE})
    assert settled.state is VariantState.READY
    assert await names(scene, await claims(scene)) == ["b"]
