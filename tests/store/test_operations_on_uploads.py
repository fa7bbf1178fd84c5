"""Operators take uploads out, bring them back, put them first and leave them to one account."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.store.conftest import Scene, episode, film, link, series

from telecine.core.errors import ConflictError, InputError, NotFoundError
from telecine.core.events import EventKind, VariantChanged
from telecine.core.leases import VariantState
from telecine.core.operator_protocol import Park, VariantMoved
from telecine.core.quality import Quality
from telecine.core.reasons import Reason
from telecine.store.sql import QUERIES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from telecine.store.operations import SqliteOperations

CODE = "CM_M000001_720P"
UNKNOWN = "CM_M000099_720P"


@pytest.fixture
async def queued(scene: Scene) -> Scene:
    """Two films that wait, and two workers with an account each."""
    for worker in ("w", "x"):
        await scene.enrol(worker)
    await scene.imports(film("1", link("a"), link("b")), film("2", link("c", url="http://a.example/c.mkv")))
    return scene


async def state(scene: Scene, code: str = CODE) -> VariantState:
    return (await scene.store.catalogue.variant(code)).state


async def told(scene: Scene) -> list[Any]:
    """What the log says of variants, the oldest first."""
    events = await scene.store.events.after(0, limit=100)
    return [msgspec.json.decode(event.data, type=VariantChanged) for event in events if event.kind is EventKind.VARIANT]


# ---- out of the queue and back ---------------------------------------------------------------------


async def test_what_is_withdrawn_is_not_delivered_but_not_forgotten(queued: Scene) -> None:
    await queued.done("w", await queued.lease("w"), 77)
    assert await queued.store.operations.withdraw(CODE) is VariantState.WITHDRAWN
    resolved = await queued.store.shelf.resolve(CODE, bot_id=1)
    assert (resolved.is_deliverable, resolved.parts) == (False, ())
    assert [stored.message_id for stored in (await queued.store.catalogue.variant(CODE)).objects] == [77]


async def test_only_what_is_done_is_withdrawn(queued: Scene) -> None:
    with pytest.raises(ConflictError, match="ready"):
        await queued.store.operations.withdraw(CODE)
    await queued.done("w", await queued.lease("w"))
    await queued.store.operations.withdraw(CODE)
    with pytest.raises(ConflictError, match="withdrawn"):
        await queued.store.operations.withdraw(CODE)


async def test_what_was_withdrawn_is_uploaded_anew_when_it_is_queued_again(queued: Scene) -> None:
    await queued.done("w", await queued.lease("w"), 77)
    await queued.store.operations.withdraw(CODE)
    assert await queued.store.operations.requeue(CODE) is VariantState.READY
    again = await queued.lease("w")
    assert (again.code, again.generation) == (CODE, 1)
    await queued.done("w", again, 78)
    assert [stored.message_id for stored in (await queued.store.catalogue.variant(CODE)).objects] == [78]


async def test_a_title_is_withdrawn_with_all_its_uploads_in_whatever_state(queued: Scene) -> None:
    episodes = [episode(f"e{number}", 1, number, link(f"l{number}")) for number in range(1, 6)]
    await queued.imports(series("3", *episodes))
    for code in (CODE, "CM_M000002_720P"):
        await queued.store.operations.prioritise(code, 9)
    done, leased, dead = [await queued.lease("w") for _ in range(3)]
    await queued.done("w", done)
    (link_id,) = (source.link_id for source in dead.sources)
    await queued.fails("w", dead, {link_id: Reason.GONE})
    delayed = await queued.lease("w")
    await queued.fails("w", delayed, {})

    moved = await queued.store.operations.withdraw_title(3)
    assert moved == (
        VariantMoved(done.code, VariantState.WITHDRAWN),
        VariantMoved(leased.code, VariantState.CANCELLED),
        VariantMoved(dead.code, VariantState.CANCELLED),
        VariantMoved(delayed.code, VariantState.CANCELLED),
        VariantMoved("CM_S000003_S01E05_720P", VariantState.CANCELLED),
    )
    assert await state(queued) is VariantState.READY, "another title's"
    assert await queued.store.operations.withdraw_title(3) == ()
    with pytest.raises(NotFoundError):
        await queued.store.operations.withdraw_title(99)


async def test_a_cancelled_lease_frees_its_host_for_who_waits(queued: Scene) -> None:
    await queued.store.operations.limit_host("a.example", 1)
    first = await queued.lease("w")
    assert await queued.claim("x") is None
    waiting = asyncio.create_task(queued.store.queue.wait_for_work(3600))
    await asyncio.sleep(0)
    await queued.store.operations.cancel(first.code)
    await asyncio.wait_for(waiting, 5)
    assert await queued.claim("x") is not None


# ---- order and lanes -------------------------------------------------------------------------------


async def test_the_lowest_priority_number_goes_first(queued: Scene) -> None:
    assert await queued.store.operations.prioritise("CM_M000002_720P", 0) is VariantState.READY
    assert (await queued.lease("w")).code == "CM_M000002_720P"
    assert (await queued.store.catalogue.variant("CM_M000002_720P")).priority == 0


async def test_a_priority_can_be_given_in_any_state(queued: Scene) -> None:
    lease = await queued.lease("w")
    assert await queued.store.operations.prioritise(CODE, 9) is VariantState.LEASED
    await queued.done("w", lease)
    assert await queued.store.operations.prioritise(CODE, 3) is VariantState.DONE
    with pytest.raises(InputError, match="between 0 and 9"):
        await queued.store.operations.prioritise(CODE, 10)


async def test_a_pinned_upload_is_left_to_its_account_until_it_is_unpinned(queued: Scene) -> None:
    assert await queued.store.operations.pin(CODE, "x") is VariantState.READY
    assert (await queued.store.catalogue.variant(CODE)).account == "x"
    assert (await queued.lease("w")).code == "CM_M000002_720P"
    assert await queued.claim("w") is None
    waiting = asyncio.create_task(queued.store.queue.wait_for_work(3600))
    await asyncio.sleep(0)
    await queued.store.operations.pin(CODE, None)
    await asyncio.wait_for(waiting, 5)
    assert (await queued.lease("w")).code == CODE


async def test_a_lease_under_way_outlives_its_pin_to_another_account(queued: Scene) -> None:
    lease = await queued.lease("w")
    assert await queued.store.operations.pin(lease.code, "x") is VariantState.LEASED
    assert (await queued.done("w", lease)).state is VariantState.DONE


async def test_what_is_pinned_to_an_account_is_listed_by_it(queued: Scene) -> None:
    await queued.imports(film("1", link("a"), link("b"), link("hi", Quality.FULL_HD)))
    await queued.store.operations.pin(CODE, "x")
    await queued.store.operations.pin("CM_M000001_1080P", "x")
    await queued.store.operations.cancel("CM_M000001_1080P")
    catalogue = queued.store.catalogue
    assert [one.code for one in await catalogue.variants(account="x")] == ["CM_M000001_1080P", CODE]
    assert [one.code for one in await catalogue.variants(account="x", limit=1)] == ["CM_M000001_1080P"]
    assert [one.code for one in await catalogue.variants(account="x", after="CM_M000001_1080P")] == [CODE]
    assert [one.code for one in await catalogue.variants(account="x", state=VariantState.READY)] == [CODE]
    assert await catalogue.variants(account="w") == ()
    with pytest.raises(NotFoundError, match="no account nobody"):
        await catalogue.variants(account="nobody")


async def test_no_account_holds_both_copies(queued: Scene) -> None:
    operations, copy = queued.store.operations, f"{CODE}_C02"
    await queued.done("w", await queued.lease("w"))
    await operations.set_copies(1, 2)
    await queued.store.sweeper.sweep()
    assert (await queued.store.catalogue.variant(copy)).account == "x"
    with pytest.raises(ConflictError, match="the account w holds CM_M000001_720P already"):
        await operations.pin(copy, "w")
    with pytest.raises(ConflictError, match="second copy"):
        await operations.pin(copy, None)
    with pytest.raises(ConflictError, match="the account x holds CM_M000001_720P_C02 already"):
        await operations.pin(CODE, "x")
    assert await operations.pin(CODE, None) is VariantState.DONE


async def test_the_copy_of_one_quality_keeps_no_other_quality_from_its_account(queued: Scene) -> None:
    await queued.imports(film("1", link("a"), link("b"), link("hi", Quality.FULL_HD)))
    await queued.done("w", await queued.lease("w"))
    await queued.store.operations.set_copies(1, 2)
    await queued.store.sweeper.sweep()
    assert (await queued.store.catalogue.variant(f"{CODE}_C02")).account == "x"
    assert await queued.store.operations.pin("CM_M000001_1080P", "x") is VariantState.READY


async def test_copies_are_of_titles_that_exist(queued: Scene) -> None:
    with pytest.raises(NotFoundError, match="no title 99"):
        await queued.store.operations.set_copies(99, 2)


# ---- what all of them have in common ---------------------------------------------------------------


async def test_every_move_is_told_once_and_only_where_something_moved(queued: Scene) -> None:
    operations = queued.store.operations
    await operations.prioritise(CODE, 2)  # as it was
    await operations.prioritise(CODE, 1)
    await operations.pin(CODE, None)  # as it was
    await operations.pin(CODE, "w")
    with pytest.raises(ConflictError):
        await operations.withdraw(CODE)
    await operations.cancel(CODE)
    await operations.requeue(CODE)
    assert await told(queued) == [
        VariantChanged(CODE, VariantState.READY),
        VariantChanged(CODE, VariantState.READY),
        VariantChanged(CODE, VariantState.CANCELLED),
        VariantChanged(CODE, VariantState.READY),
    ]


CALLS: list[Callable[[SqliteOperations, str], Awaitable[object]]] = [
    lambda operations, code: operations.cancel(code),
    lambda operations, code: operations.requeue(code),
    lambda operations, code: operations.withdraw(code),
    lambda operations, code: operations.prioritise(code, 1),
    lambda operations, code: operations.pin(code, "w"),
    lambda operations, code: operations.attempts(code=code),
]


@pytest.mark.parametrize("call", CALLS)
async def test_a_code_of_nothing_is_not_found_and_what_is_no_code_is_refused(queued: Scene, call: Any) -> None:
    with pytest.raises(NotFoundError, match=UNKNOWN):
        await call(queued.store.operations, UNKNOWN)
    with pytest.raises(InputError):
        await call(queued.store.operations, "cm_m000001_720p")
    assert await told(queued) == []


async def test_an_account_of_nobody_is_not_found(queued: Scene) -> None:
    operations = queued.store.operations
    for call in (
        operations.pin(CODE, "nobody"),
        operations.park("nobody", Park(60)),
        operations.unpark("nobody"),
        operations.plan_channel("nobody"),
        operations.channels(account="nobody"),
    ):
        with pytest.raises(NotFoundError, match="no account nobody"):
            await call


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("variants_page_of_account", "upload_variants_pinned (account_id=? AND code>?)"),
        ("other_copy_of_account", "upload_variants_of_title (title_id=?)"),
        ("uploads_of_title", "upload_variants_of_title (title_id=?)"),
        ("upload_by_code", "(code=?)"),
    ],
)
async def test_no_upload_is_read_that_is_not_asked_for(scene: Scene, query: str, index: str) -> None:
    statement = re.sub(r":\w+", "?", QUERIES[query])
    plan = [row[3] for row in scene.sql(f"EXPLAIN QUERY PLAN {statement}", *[None] * statement.count("?"))]
    assert any(index in step for step in plan), plan
    assert not any(step.startswith("SCAN") for step in plan), plan
