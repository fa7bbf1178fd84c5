"""The writer: many callers, one connection, one commit for all who are waiting.

A commit costs a flush to the disk and a hop to the connection's thread, whatever it holds. So whoever comes while a
commit is under way waits for the next one, and all of them share it. An operation that fails is undone alone. It may
run twice, the first time without effect, so it must depend on nothing but the transaction that it is given. Nobody is
answered before the commit.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from telecine.core.clock import Clock
from telecine.core.errors import StoreError
from telecine.core.events import Recorded
from telecine.store.connection import Connection, DatabaseError
from telecine.store.events import record
from telecine.store.transaction import Operation, Transaction

T = TypeVar("T")

BATCH_MAX = 256  # operations in one transaction: bounds how long the first of them waits

OnTold = Callable[[Sequence[Recorded]], None]
_Run = Callable[[Any, Transaction, "_Waiting[Any]"], None]


class _Waiting(Generic[T]):
    """An operation and whoever waits for its result."""

    __slots__ = ("error", "operation", "reply", "result")

    def __init__(self, operation: Operation[T], reply: asyncio.Future[T]) -> None:
        self.operation = operation
        self.reply = reply
        self.result: T | None = None
        self.error: BaseException | None = None

    def answer(self) -> None:
        if self.reply.done():  # the caller was cancelled; what it asked for stands
            return
        if self.error is not None:
            self.reply.set_exception(self.error)
        else:
            self.reply.set_result(self.result)  # type: ignore[arg-type]  # T itself may be None

    def refuse(self, error: BaseException) -> None:
        self.error = error
        self.answer()


class Writer:
    """Runs operations in the order they came, grouped into transactions. Nobody else may use its connection.

    `on_told` hears of the events of each commit, in their order, before the next one begins.
    """

    def __init__(self, connection: Connection, clock: Clock, *, on_told: OnTold) -> None:
        self._connection = connection
        self._clock = clock
        self._on_told = on_told
        self._waiting: deque[_Waiting[Any]] = deque()
        self._arrived = asyncio.Event()
        self._closing = False
        self._task = asyncio.create_task(self._work(), name="store-writer")

    async def run(self, operation: Operation[T]) -> T:
        """The operation's result once it is committed, or its error once it is undone.

        A caller that is cancelled before its operation began leaves no trace; later, it takes effect all the same.
        Raises StoreError where the database fails, or the writer is closed.
        """
        if self._closing:
            raise StoreError("the database is closed")
        reply: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(operation, reply))
        self._arrived.set()
        return await reply

    async def close(self) -> None:
        """Finish what is waiting."""
        self._closing = True
        self._arrived.set()
        await self._task

    async def _work(self) -> None:
        while self._waiting or not self._closing:
            if not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
                continue
            await self._commit_next()

    async def _commit_next(self) -> None:
        batch: list[_Waiting[Any]] = []
        while self._waiting and len(batch) < BATCH_MAX:
            waiting = self._waiting.popleft()
            if not waiting.reply.done():
                batch.append(waiting)
        now_ms = self._clock.now_ms()
        try:
            told = await self._connection.run(lambda raw: _commit(raw, now_ms, batch))
        except Exception as error:  # noqa: BLE001 - handed to every caller of the batch
            failure = StoreError(f"the database cannot be written: {error}")
            failure.__cause__ = error
            for waiting in batch:
                waiting.refuse(failure)
            return
        for waiting in batch:
            waiting.answer()
        if told:
            self._on_told(told)


class _SpoiltError(Exception):
    """An operation failed after it had changed something, and cannot be undone alone."""


def _commit(raw: Any, now_ms: int, batch: list[_Waiting[Any]]) -> list[Recorded]:
    """Run a batch in one transaction, and say what it recorded. Runs in the connection's thread; raises where nothing
    of it was kept.

    Savepoints cost a third of a claim, and what fails has nearly always changed nothing: so a batch goes without them,
    and is undone and run again with them in the rare case that it should have had them.
    """
    try:
        return _transact(raw, now_ms, batch, _run)
    except _SpoiltError:
        return _transact(raw, now_ms, batch, _run_in_savepoint)


def _transact(raw: Any, now_ms: int, batch: list[_Waiting[Any]], run: _Run) -> list[Recorded]:
    raw.execute("BEGIN IMMEDIATE")
    try:
        transaction = Transaction(raw, now_ms)
        for waiting in batch:
            run(raw, transaction, waiting)
        recorded = record(transaction)
        raw.execute("COMMIT")
    except BaseException:
        if raw.in_transaction:
            raw.execute("ROLLBACK")
        raise
    return recorded


def _run(raw: Any, transaction: Transaction, waiting: _Waiting[Any]) -> None:
    changed_before, told_before = raw.total_changes, len(transaction.told)
    try:
        waiting.result = waiting.operation(transaction)
    except Exception as error:
        if not raw.in_transaction:  # a full disk or an I/O error has undone the whole transaction
            raise
        if raw.total_changes != changed_before:
            raise _SpoiltError from error
        del transaction.told[told_before:]
        waiting.error = _translated(error)


def _run_in_savepoint(raw: Any, transaction: Transaction, waiting: _Waiting[Any]) -> None:
    raw.execute("SAVEPOINT operation")
    told_before = len(transaction.told)
    waiting.error = None
    try:
        waiting.result = waiting.operation(transaction)
    except Exception as error:
        if not raw.in_transaction:  # a full disk or an I/O error has undone the whole transaction
            raise
        raw.execute("ROLLBACK TO operation")
        del transaction.told[told_before:]
        waiting.error = _translated(error)
    raw.execute("RELEASE operation")


def _translated(error: Exception) -> Exception:
    if not isinstance(error, DatabaseError):
        return error
    failure = StoreError(f"the database refused a change: {error}")
    failure.__cause__ = error
    return failure
