"""What not every worker can take waits for one that can: for an account that may send a file so large, or for a machine
with so much disk."""

from __future__ import annotations

import itertools

import pytest
from tests.store.conftest import Scene, film, link

from telecine.core.leases import VariantState
from telecine.core.plans import file_bytes_max
from telecine.core.protocol import ClaimRequest, Lease, SettleFailed, SettleReleased, SourceReport
from telecine.core.reasons import Reason

CODE, OTHER = "CM_M000001_720P", "CM_M000002_720P"
PLAIN, PREMIUM = file_bytes_max(premium=False), file_bytes_max(premium=True)
LARGE, HUGE = PLAIN + 1, PLAIN + 2  # more than a plain account may send

_numbers = itertools.count(1)


async def claims(scene: Scene, worker: str, *, account: int = 0, disk: int = 0) -> Lease | None:
    """Claim for an account that may send `account` bytes, and a machine with `disk` bytes free."""
    request = ClaimRequest("boot-1", f"demand-{next(_numbers)}", disk_free_bytes=disk, file_bytes_max=account)
    return await scene.store.queue.claim(worker, request)


async def code_for(scene: Scene, worker: str, *, account: int = 0, disk: int = 0) -> str | None:
    lease = await claims(scene, worker, account=account, disk=disk)
    return None if lease is None else lease.code


async def finds_too_large(scene: Scene, lease: Lease, sizes: dict[int, int | None]) -> VariantState:
    reports = tuple(SourceReport(link_id, Reason.TOO_LARGE, size_bytes=size) for link_id, size in sizes.items())
    return (await scene.store.queue.settle("w", lease.lease, SettleFailed(Reason.TOO_LARGE, reports))).state


async def lacks_disk(scene: Scene, lease: Lease, disk_bytes: int) -> None:
    await scene.store.queue.settle("w", lease.lease, SettleReleased(disk_bytes=disk_bytes))


@pytest.fixture
async def crew(scene: Scene) -> Scene:
    """Two workers, with an account each."""
    for worker in ("w", "x"):
        await scene.enrol(worker)
    return scene


@pytest.fixture
async def large(crew: Scene) -> Scene:
    """A film whose one link is too large for a plain account, as one has found."""
    await crew.imports(film("1", link("a")))
    lease = await crew.lease("w")
    assert await finds_too_large(crew, lease, {1: LARGE}) is VariantState.READY
    return crew


# ---- files too large for an account ----------------------------------------------------------------


async def test_a_file_too_large_for_one_account_is_left_to_one_that_may_send_just_so_much(large: Scene) -> None:
    assert await code_for(large, "w", account=PLAIN) is None
    assert await code_for(large, "x", account=LARGE - 1) is None
    lease = await claims(large, "x", account=LARGE)
    assert lease is not None
    assert (lease.code, [source.link_id for source in lease.sources]) == (CODE, [1])
    assert (await large.done("x", lease)).state is VariantState.DONE


async def test_a_file_that_no_account_may_send_is_a_lost_cause(crew: Scene) -> None:
    await crew.imports(film("1", link("a")), film("2", link("b")))
    assert await finds_too_large(crew, await crew.lease("w"), {1: PREMIUM + 1}) is VariantState.DEAD
    assert await finds_too_large(crew, await crew.lease("w"), {2: None}) is VariantState.DEAD, "of unknown size"


async def test_the_largest_file_that_any_account_may_send_is_kept_for_it(crew: Scene) -> None:
    await crew.imports(film("1", link("a")))
    assert await finds_too_large(crew, await crew.lease("w"), {1: PREMIUM}) is VariantState.READY
    assert await code_for(crew, "x", account=PREMIUM) == CODE


async def test_how_large_a_file_is_that_failed_otherwise_demands_nothing(crew: Scene) -> None:
    await crew.imports(film("1", link("a"), link("b")))
    lease = await crew.lease("w")
    report = SourceReport(1, Reason.GONE, size_bytes=LARGE)
    await crew.store.queue.settle("w", lease.lease, SettleFailed(Reason.GONE, (report,)))
    again = await crew.lease("w")
    assert [source.link_id for source in again.sources] == [2]
    await crew.fails("w", again, {2: Reason.GONE})
    assert (await crew.store.catalogue.variant(CODE)).state is VariantState.DEAD


async def test_what_anyone_may_send_is_tried_before_what_only_some_may(crew: Scene) -> None:
    await crew.imports(film("1", link("a"), link("b")))
    assert await finds_too_large(crew, await crew.lease("w"), {1: LARGE}) is VariantState.READY
    lease = await claims(crew, "x", account=PLAIN)
    assert lease is not None
    assert [source.link_id for source in lease.sources] == [2]


async def test_of_links_too_large_the_smallest_says_what_an_account_must_be_allowed(crew: Scene) -> None:
    await crew.imports(film("1", link("a"), link("b")))
    assert await finds_too_large(crew, await crew.lease("w"), {1: HUGE, 2: LARGE}) is VariantState.READY
    assert await code_for(crew, "x", account=PLAIN) is None
    lease = await claims(crew, "x", account=LARGE)
    assert lease is not None
    assert [source.link_id for source in lease.sources] == [2]


# ---- disk ------------------------------------------------------------------------------------------


async def test_what_lacked_disk_waits_for_a_machine_with_just_so_much(crew: Scene) -> None:
    await crew.imports(film("1", link("a")))
    await lacks_disk(crew, await crew.lease("w"), 500)
    assert await code_for(crew, "w", disk=499) is None
    assert await code_for(crew, "x", disk=500) == CODE


async def test_how_much_disk_an_upload_needs_is_not_forgotten_when_it_is_given_back(crew: Scene) -> None:
    await crew.imports(film("1", link("a")))
    await lacks_disk(crew, await crew.lease("w"), 500)
    lease = await claims(crew, "w", disk=500)
    assert lease is not None
    await crew.store.queue.settle("w", lease.lease, SettleReleased())
    assert await code_for(crew, "w", disk=499) is None
    assert await code_for(crew, "w", disk=500) == CODE


# ---- their place in the queue ----------------------------------------------------------------------


@pytest.mark.parametrize(("priority", "expected"), [(0, [OTHER, CODE]), (2, [CODE, OTHER]), (9, [CODE, OTHER])])
async def test_what_only_some_can_take_stands_in_the_queue_like_all_else(
    large: Scene, priority: int, expected: list[str]
) -> None:
    await large.imports(film("2", link("b")))
    await large.store.operations.prioritise(OTHER, priority)
    assert [await code_for(large, "x", account=PREMIUM) for _ in range(2)] == expected


@pytest.mark.parametrize(("priority", "expected"), [(0, [OTHER, CODE]), (2, [CODE, OTHER]), (9, [CODE, OTHER])])
@pytest.mark.parametrize("host", ["a.example", "another.example"])
async def test_of_what_only_some_can_take_the_most_urgent_goes_first_then_the_oldest(
    large: Scene, host: str, priority: int, expected: list[str]
) -> None:
    await large.imports(film("2", link("b", url=f"http://{host}/b.mkv")))
    await finds_too_large(large, await large.lease("w"), {2: LARGE})
    await large.store.operations.prioritise(OTHER, priority)
    assert [await code_for(large, "x", account=PREMIUM) for _ in range(2)] == expected


async def test_what_an_account_can_not_take_does_not_hold_up_what_it_can(large: Scene) -> None:
    await large.imports(film("2", link("b", url="http://a.example/b.mkv")))
    lease = await large.lease("w")
    assert lease.code == OTHER
    await finds_too_large(large, lease, {2: HUGE})
    await large.store.operations.prioritise(OTHER, 0)
    assert await code_for(large, "x", account=LARGE) == CODE


async def test_what_only_some_can_take_is_left_to_the_account_it_is_pinned_to(large: Scene) -> None:
    await large.store.operations.pin(CODE, "x")
    assert await code_for(large, "w", account=PREMIUM) is None
    assert await code_for(large, "x", account=PREMIUM) == CODE


async def test_what_only_some_can_take_waits_for_a_parked_host_to_the_moment(large: Scene) -> None:
    large.sql("UPDATE hosts SET parked_until_ms = ?", large.clock.ms + 1000)
    assert await code_for(large, "x", account=PREMIUM) is None
    large.clock.advance(1)
    assert await code_for(large, "x", account=PREMIUM) == CODE


async def test_what_only_some_can_take_counts_at_a_limited_host(large: Scene) -> None:
    await large.imports(film("2", link("b", url="http://a.example/b.mkv")))
    await finds_too_large(large, await large.lease("w"), {2: LARGE})
    await large.store.operations.limit_host("a.example", 1)
    assert await code_for(large, "w", account=PREMIUM) == CODE
    assert await code_for(large, "x", account=PREMIUM) is None
    await large.store.operations.limit_host("a.example", 2)
    assert await code_for(large, "x", account=PREMIUM) == OTHER


async def test_a_lease_at_another_host_does_not_count_for_what_only_some_can_take(large: Scene) -> None:
    await large.imports(film("2", link("b")))
    assert (await large.lease("w")).code == OTHER
    await large.store.operations.limit_host("a.example", 1)
    assert await code_for(large, "x", account=PREMIUM) == CODE
