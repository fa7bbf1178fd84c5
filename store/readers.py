"""Read-only connections: reads neither wait for the writer nor hold it up."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, TypeVar

from telecine.core.clock import Clock
from telecine.core.errors import StoreError
from telecine.store.connection import Connection, DatabaseError, open_reader
from telecine.store.transaction import Operation, Transaction

T = TypeVar("T")


class Readers:
    """A few connections, one for each read under way. A read sees one state of the database from start to end."""

    def __init__(self, connections: list[Connection], clock: Clock) -> None:
        self._connections = connections
        self._clock = clock
        self._idle: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
        for connection in connections:
            self._idle.put_nowait(connection)
        self._closed = False

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
        """The operation's result. Keep it short: a read that lasts keeps the WAL from being reset."""
        connection = await self._idle.get()
        now_ms = self._clock.now_ms()
        try:
            if self._closed:
                raise StoreError("the database is closed")
            return await connection.run(lambda raw: _read(raw, now_ms, operation))
        except DatabaseError as error:
            raise StoreError(f"the database cannot be read: {error}") from error
        finally:
            self._idle.put_nowait(connection)  # after a cancellation, the next read queues behind this one

    async def close(self) -> None:
        """Close every connection, each after the read it is busy with."""
        self._closed = True
        await _close_all(self._connections)


def _read(raw: Any, now_ms: int, operation: Operation[T]) -> T:
    raw.execute("BEGIN")
    try:
        return operation(Transaction(raw, now_ms))
    finally:
        raw.execute("ROLLBACK")


async def _close_all(connections: list[Connection]) -> None:
    for connection in connections:
        await connection.close()
