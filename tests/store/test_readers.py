"""Reads, and what they give."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from pysqlite3 import dbapi2
from tests.store.desk import Desk, note, noting

from telecine.core.errors import StoreError
from telecine.store.transaction import Transaction


async def test_an_operation_that_gives_no_row_where_one_must_be_is_an_error(desk: Desk) -> None:
    with pytest.raises(StoreError, match="title_by_id gave no row"):
        await desk.readers.run(lambda tx: tx.get("title_by_id", {"title_id": 1}))


class Named(msgspec.Struct):
    id: int
    name: str


async def test_rows_are_of_the_kind_that_their_columns_make_them(desk: Desk) -> None:
    await desk.writing.run(noting(7))

    class Newest(msgspec.Struct):
        id: int

    assert await desk.readers.run(lambda tx: tx.rows("newest_event", Newest)) == [Newest(0)]
    with pytest.raises(StoreError, match="newest_event gives id, which is no Named"):
        await desk.readers.run(lambda tx: tx.rows("newest_event", Named))


async def test_a_reader_cannot_write(desk: Desk) -> None:
    with pytest.raises(StoreError, match="readonly"):
        await desk.readers.run(lambda tx: note(tx, 1))
    assert await desk.users() == 0


async def test_a_read_sees_one_state_from_start_to_end(desk: Desk) -> None:
    loop = asyncio.get_running_loop()

    def count_twice(tx: Transaction) -> tuple[int, int]:
        first = len(tx._cursor.execute("SELECT id FROM users").fetchall())
        asyncio.run_coroutine_threadsafe(desk.writing.run(lambda tx: note(tx, 1)), loop).result(5)
        return first, len(tx._cursor.execute("SELECT id FROM users").fetchall())

    assert await desk.readers.run(count_twice) == (0, 0)
    assert await desk.users() == 1


async def test_more_reads_than_connections_take_turns(desk: Desk) -> None:
    assert await asyncio.gather(*(desk.users() for _ in range(10))) == [0] * 10


async def test_closed_readers_say_so(desk: Desk) -> None:
    await desk.readers.close()
    with pytest.raises(StoreError, match="closed"):
        await desk.users()


async def test_a_read_that_ends_the_transaction_fails_alone_and_says_why(desk: Desk) -> None:
    def fail(tx: Transaction) -> int:
        tx._cursor.execute("ROLLBACK")  # as SQLite does by itself, where a large sort fills the disk
        raise dbapi2.OperationalError("database or disk is full")

    before, failed, after = await asyncio.gather(
        desk.users(), desk.readers.run(fail), desk.readers.run(in_transaction), return_exceptions=True
    )
    assert (before, after) == (0, True)
    assert isinstance(failed, StoreError)
    assert str(failed) == "the database cannot be read: database or disk is full"


def in_transaction(tx: Transaction) -> bool:
    return bool(tx._connection.in_transaction)
