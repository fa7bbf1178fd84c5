from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from pysqlite3 import dbapi2
from tests.store.desk import Desk, note, noting

from telecine.core.errors import NotFoundError, StoreError
from telecine.core.events import QueueSwept, Recorded
from telecine.store.events import events_after
from telecine.store.transaction import Operation, Transaction

if TYPE_CHECKING:
    from tests.clocks import HandClock


def noting_all(tx: Transaction, users: Sequence[int]) -> list[int]:
    return [note(tx, user) for user in users]


def refuse(tx: Transaction, user_id: int) -> int:
    note(tx, user_id)
    raise NotFoundError("written, then regretted")


async def test_whoever_waits_shares_a_commit(desk: Desk) -> None:
    await asyncio.gather(*(desk.writing.run(noting(n)) for n in range(600)))
    assert desk.commits == [256, 256, 88]
    assert await desk.users() == 600


async def test_an_error_undoes_its_own_operation_alone(desk: Desk) -> None:
    results = await asyncio.gather(
        desk.writing.run(lambda tx: note(tx, 1)),
        desk.writing.run(lambda tx: refuse(tx, 2)),
        desk.writing.run(lambda tx: tx.execute("finish_import")),  # parameters are missing
        desk.writing.run(lambda tx: note(tx, 3)),
        return_exceptions=True,
    )
    assert desk.commits == [4]
    assert [type(result) for result in results] == [int, NotFoundError, StoreError, int]
    assert await desk.users() == 2


async def test_nobody_is_answered_before_the_commit(desk: Desk) -> None:
    await desk.writing.run(lambda tx: note(tx, 1))
    assert await desk.users() == 1, "what was answered is there for others to see"


async def test_time_stands_still_in_a_transaction(desk: Desk, clock: HandClock) -> None:
    def late(tx: Transaction) -> int:
        clock.ms += 5
        return tx.now_ms

    first, second = await asyncio.gather(desk.writing.run(late), desk.writing.run(late))
    assert first == second
    assert await desk.writing.run(late) == first + 10


async def test_operations_run_in_the_order_they_came(desk: Desk) -> None:
    order: list[int] = []

    def appending(number: int) -> Operation[None]:
        return lambda tx: order.append(number)

    await asyncio.gather(*(desk.writing.run(appending(n)) for n in range(300)))
    assert order == list(range(300))


async def test_a_caller_that_left_before_its_turn_leaves_no_trace(desk: Desk) -> None:
    calls = [asyncio.create_task(desk.writing.run(noting(n))) for n in range(2)]
    await asyncio.sleep(0)
    calls[0].cancel()
    await calls[1]
    assert calls[0].cancelled()
    assert desk.commits == [1]
    assert await desk.users() == 1


async def test_a_caller_that_leaves_in_the_middle_spoils_nothing(desk: Desk) -> None:
    leaving: asyncio.Task[int]
    loop = asyncio.get_running_loop()
    begun = asyncio.Event()

    def slow(tx: Transaction) -> int:
        loop.call_soon_threadsafe(begun.set)
        return note(tx, 1)

    leaving = asyncio.create_task(desk.writing.run(slow))
    await begun.wait()
    leaving.cancel()
    assert await desk.writing.run(lambda tx: note(tx, 2)) == 1
    assert await desk.users() == 2


async def test_closing_finishes_what_is_waiting(desk: Desk) -> None:
    calls = [asyncio.create_task(desk.writing.run(noting(n))) for n in range(300)]
    await asyncio.sleep(0)
    await desk.writing.close()
    assert sum([await call for call in calls]) == 300
    with pytest.raises(StoreError, match="closed"):
        await desk.writing.run(lambda tx: note(tx, 1))
    assert await desk.users() == 300


async def test_a_failed_commit_is_told_to_everyone(desk: Desk) -> None:
    # A deferred foreign key is checked at the commit, after every operation has gone well.
    def orphan(tx: Transaction) -> None:
        tx._cursor.execute("PRAGMA defer_foreign_keys=ON")
        tx._cursor.execute("INSERT INTO requests (user_id, wish, asked_at_ms) VALUES (999, 'x', 0)")

    results = await asyncio.gather(
        desk.writing.run(lambda tx: note(tx, 1)), desk.writing.run(orphan), return_exceptions=True
    )
    assert [type(result) for result in results] == [StoreError, StoreError]
    assert await desk.users() == 0
    assert await desk.writing.run(lambda tx: note(tx, 1)) == 1, "the next transaction begins afresh"


async def test_a_full_disk_is_told_and_passes(desk: Desk) -> None:
    def fill(tx: Transaction) -> None:
        for n in range(10_000):
            note(tx, n)

    def pages(limit: int) -> Operation[None]:
        return lambda tx: tx._cursor.execute(f"PRAGMA max_page_count={limit}").fetchall()

    await desk.writing.run(pages(1))  # as many as there are
    results = await asyncio.gather(*(desk.writing.run(fill) for _ in range(2)), return_exceptions=True)
    assert [str(result) for result in results if isinstance(result, StoreError) and "full" in str(result)][1:]
    assert await desk.users() == 0
    await desk.writing.run(pages(1_000_000))
    assert await desk.writing.run(noting(1)) == 1


# ---- what is brief ---------------------------------------------------------------------------------


async def test_what_is_asked_for_together_runs_on_the_event_loop_and_nothing_else_does(desk: Desk) -> None:
    ran: list[int] = []

    def noting_where(tx: Transaction, users: Sequence[int]) -> list[int]:
        ran.append(threading.get_ident())
        return [note(tx, user) for user in users]

    await asyncio.gather(*(desk.writing.run_together(noting_where, n) for n in range(3)))
    assert ran == [threading.get_ident()], "three that asked, and one run for all"
    await asyncio.gather(desk.writing.run_together(noting_where, 3), desk.writing.run(noting(4)))
    assert ran[1] != threading.get_ident(), "what comes with something that may take long waits for it elsewhere"
    assert desk.commits == [3, 2]
    assert await desk.users() == 5


async def test_the_event_loop_goes_on_while_another_process_writes(desk: Desk, path: Path) -> None:
    other = dbapi2.connect(str(path), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    asked = asyncio.create_task(desk.writing.run_together(noting_all, 1))
    assert [await desk.users() for _ in range(20)] == [0] * 20
    assert not asked.done()
    other.execute("INSERT INTO users (id, first_seen_at_ms, seen_at_ms) VALUES (2, 0, 0)")
    other.execute("COMMIT")
    other.close()
    assert await asked == 1
    assert await desk.users() == 2


async def test_what_is_brief_and_has_to_be_undone_is_undone_alone(desk: Desk) -> None:
    def note_or_refuse(tx: Transaction, users: Sequence[int]) -> list[int | Exception]:
        return [tx.attempt(refuse if user == 1 else note, tx, user) for user in users]

    calls = (desk.writing.run_together(note_or_refuse, n) for n in range(3))
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [int, NotFoundError, int]
    assert await desk.users() == 2


async def test_a_failed_commit_of_what_is_brief_is_told_to_everyone(desk: Desk) -> None:
    def orphan(tx: Transaction, asked: Sequence[int]) -> list[int]:
        tx._cursor.execute("PRAGMA defer_foreign_keys=ON")
        tx._cursor.execute("INSERT INTO requests (user_id, wish, asked_at_ms) VALUES (999, 'x', 0)")
        return [0 for _ in asked]

    calls = (desk.writing.run_together(together, 1) for together in (noting_all, orphan))
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [StoreError, StoreError]
    assert await desk.users() == 0
    assert await desk.writing.run_together(noting_all, 1) == 1, "the next transaction begins afresh"


async def test_a_full_disk_is_told_to_who_asks_briefly_and_passes(desk: Desk) -> None:
    def fill(tx: Transaction, asked: Sequence[int]) -> list[int]:
        return [sum(note(tx, n) for n in range(10_000)) for _ in asked]

    def pages(limit: int) -> Operation[None]:
        return lambda tx: tx._cursor.execute(f"PRAGMA max_page_count={limit}").fetchall()

    await desk.writing.run(pages(1))
    with pytest.raises(StoreError, match="full"):
        await desk.writing.run_together(fill, 1)
    await desk.writing.run(pages(1_000_000))
    assert await desk.writing.run_together(noting_all, 1) == 1
    assert await desk.users() == 1


# ---- what is told --------------------------------------------------------------------------------


def telling(*swept: int) -> Operation[None]:
    """Tells one event for each number, by which it is known again."""

    def tell(tx: Transaction) -> None:
        for number in swept:
            tx.tell(QueueSwept(number, 0))

    return tell


def numbers(told: list[Recorded]) -> list[tuple[int, int]]:
    return [(one.number, msgspec.json.decode(one.data, type=QueueSwept).expired) for one in told]


async def test_what_is_told_is_known_in_its_order_once_it_is_committed(desk: Desk) -> None:
    known_inside: list[int] = []

    def tell(tx: Transaction) -> None:
        tx.tell(QueueSwept(3, 0))
        known_inside.append(len(desk.told))

    await asyncio.gather(desk.writing.run(telling(1, 2)), desk.writing.run(tell))
    await desk.writing.run(telling(4))
    assert known_inside == [0]
    assert numbers(desk.told) == [(1, 1), (2, 2), (3, 3), (4, 4)]


@pytest.mark.parametrize("changes", [True, False])
async def test_what_is_undone_tells_nothing_and_takes_no_number(desk: Desk, changes: bool) -> None:
    def refuse_and_tell(tx: Transaction) -> None:
        tx.tell(QueueSwept(99, 0))
        if changes:
            note(tx, 1)
        raise NotFoundError("told, then regretted")

    calls = (desk.writing.run(telling(1)), desk.writing.run(refuse_and_tell), desk.writing.run(telling(2)))
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(results[1], NotFoundError)
    assert len(desk.commits) == 1
    assert numbers(desk.told) == [(1, 1), (2, 2)]
    assert numbers(list(await desk.readers.run(lambda tx: events_after(tx, 0, 10)))) == [(1, 1), (2, 2)]


async def test_a_failed_commit_tells_nothing(desk: Desk) -> None:
    def orphan(tx: Transaction) -> None:
        tx.tell(QueueSwept(99, 0))
        tx._cursor.execute("PRAGMA defer_foreign_keys=ON")
        tx._cursor.execute("INSERT INTO requests (user_id, wish, asked_at_ms) VALUES (999, 'x', 0)")

    with pytest.raises(StoreError):
        await desk.writing.run(orphan)
    assert desk.told == []
    await desk.writing.run(telling(1))
    assert numbers(desk.told) == [(1, 1)]
