"""Read-only connections: reads neither wait for the writer nor hold it up."""

from __future__ import annotations

import asyncio
from collections import deque
from pathlib import Path
from typing import Any, Generic, TypeVar

from telecine.core.clock import Clock
from telecine.core.errors import StoreError
from telecine.store.connection import Connection, DatabaseError, open_reader
from telecine.store.transaction import Operation, Transaction

T = TypeVar("T")

BATCH_MAX = 64  # reads in one transaction: bounds how long the first of them waits, and how long the WAL is kept


class _Read(Generic[T]):
    """A read, and whoever waits for its result."""

    __slots__ = ("error", "operation", "reply", "result")

    def __init__(self, operation: Operation[T], reply: asyncio.Future[T]) -> None:
        self.operation = operation
        self.reply = reply
        self.result: T | None = None
        self.error: Exception | None = None

    def answer(self) -> None:
        if self.reply.done():  # the caller was cancelled
            return
        if self.error is None:
            self.reply.set_result(self.result)  # type: ignore[arg-type]  # T itself may be None
        else:
            self.reply.set_exception(self.error)


class Readers:
    """A few connections, each with a thread. Reads that wait go through together: a hop to a thread and back takes
    longer than most reads. A read sees one state of the database from start to end."""

    def __init__(self, connections: list[Connection], clock: Clock) -> None:
        self._connections = connections
        self._clock = clock
        self._waiting: deque[_Read[Any]] = deque()
        self._arrived = asyncio.Event()
        self._closed = False
        self._tasks = [asyncio.create_task(self._serve(one), name="store-reader") for one in connections]

    @classmethod
    async def open(cls, path: Path, *, count: int, clock: Clock) -> Readers:
        """Open `count` connections to a database whose writer is open."""
        connections: list[Connection] = []
        try:
            for _ in range(count):
                connections.append(await open_reader(path))  # noqa: PERF401 - those before a failure are closed
        except BaseException:
            await _close_all(connections)
            raise
        return cls(connections, clock)

    async def run(self, operation: Operation[T]) -> T:
        """The operation's result, or what it raised. Keep it short: a read that lasts keeps the WAL from being reset.

        Raises StoreError where the database fails, or is closed.
        """
        if self._closed:
            raise StoreError("the database is closed")
        reply: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Read(operation, reply))
        self._arrived.set()
        return await reply

    async def close(self) -> None:
        """Finish what is waiting, then close every connection."""
        self._closed = True
        self._arrived.set()
        await asyncio.gather(*self._tasks)
        await _close_all(self._connections)

    async def _serve(self, connection: Connection) -> None:
        while self._waiting or not self._closed:
            if self._waiting:
                await self._read_next(connection)
            else:
                self._arrived.clear()
                await self._arrived.wait()

    async def _read_next(self, connection: Connection) -> None:
        batch = [self._waiting.popleft() for _ in range(min(BATCH_MAX, len(self._waiting)))]
        batch = [read for read in batch if not read.reply.done()]
        now_ms = self._clock.now_ms()
        try:
            await connection.run(lambda raw: _read_all(raw, now_ms, batch))
        except Exception as error:  # noqa: BLE001 - handed to every caller of the batch
            for read in batch:
                read.error = _translated(error)
        for read in batch:
            read.answer()


def _read_all(raw: Any, now_ms: int, batch: list[_Read[Any]]) -> None:
    """Run in the connection's thread."""
    transaction = Transaction(raw, now_ms)
    try:
        for read in batch:
            if not raw.in_transaction:  # for the first; and where a full disk or an I/O error has ended it
                raw.execute("BEGIN")
            _read(transaction, read)
    finally:
        if raw.in_transaction:
            raw.execute("ROLLBACK")


def _read(transaction: Transaction, read: _Read[Any]) -> None:
    try:
        read.result = read.operation(transaction)
    except Exception as error:  # noqa: BLE001 - handed to the caller
        read.error = _translated(error)


def _translated(error: Exception) -> Exception:
    if not isinstance(error, DatabaseError):
        return error
    failure = StoreError(f"the database cannot be read: {error}")
    failure.__cause__ = error
    return failure


async def _close_all(connections: list[Connection]) -> None:
    for connection in connections:
        await connection.close()
