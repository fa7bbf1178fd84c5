"""The writer: many callers, one connection, one commit for all who are waiting.

A commit costs a flush to the disk and a hop to the connection's thread, whatever it holds. So whoever comes while a
commit is under way waits for the next one, and all of them share it; those who ask for the same kind of thing share its
statements too. An operation that fails is undone alone. It may run twice, the first time without effect, so it must
depend on nothing but the transaction that it is given. Nobody is answered before the commit.

What is asked for together takes microseconds, and runs where it is asked for, on the event loop: a thread that has to
take the interpreter back from the loop after each statement needs longer than the statements, and holds up the loop all
the while. What waits, for the disk or for another process that writes, waits in the connection's thread; so does
whatever may take long.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from telecine.core.clock import Clock
from telecine.core.errors import StoreError
from telecine.core.events import Recorded
from telecine.store.connection import Connection, DatabaseError, begin_at_once
from telecine.store.events import record
from telecine.store.files import OpenFiles
from telecine.store.transaction import Operation, SpoiltError, Together, Transaction, each

A = TypeVar("A")
T = TypeVar("T")

BATCH_MAX = 256  # operations in one transaction: bounds how long the first of them waits

OnTold = Callable[[Sequence[Recorded]], None]
Then = Callable[[T], None]  # what follows from an answer, whether its caller is still there or not


class _Waiting:
    """What is asked for, and whoever waits for the answer."""

    __slots__ = ("answer", "asked", "reply", "then", "together")

    def __init__(
        self, together: Together[Any, Any], asked: Any, reply: asyncio.Future[Any], then: Then[Any] | None
    ) -> None:
        self.together = together
        self.asked = asked
        self.reply = reply
        self.then = then
        self.answer: Any = None  # an error is raised where it was asked for

    def tell(self) -> None:
        if self.then is not None and not isinstance(self.answer, Exception):
            self.then(self.answer)
        if self.reply.done():  # the caller was cancelled; what it asked for stands
            return
        if isinstance(self.answer, Exception):
            self.reply.set_exception(_translated(self.answer))
        else:
            self.reply.set_result(self.answer)


class Writer:
    """Runs operations in the order they came, grouped into transactions, and in these by what they have in common.
    Nobody else may use its connection.

    `files` are those of the connection: nothing is committed where they are not in their places any more. `on_told`
    hears of the events of each commit, in their order, before the next one begins.
    """

    def __init__(self, connection: Connection, files: OpenFiles, clock: Clock, *, on_told: OnTold) -> None:
        self._connection = connection
        self._files = files
        self._clock = clock
        self._on_told = on_told
        self._waiting: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._closing = False
        self._task = asyncio.create_task(self._work(), name="store-writer")

    async def run(self, operation: Operation[T], *, then: Then[T] | None = None) -> T:
        """The operation's result once it is committed, or its error once it is undone. It may take long.

        A caller that is cancelled before its operation began leaves no trace; later, it takes effect all the same, and
        so does `then`, which is given the result. Raises StoreError where the database fails, or the writer is closed.
        """
        return await self.run_together(each, operation, then=then)

    async def run_together(self, together: Together[A, T], asked: A, *, then: Then[T] | None = None) -> T:
        """The answer to what is asked for together with others of the kind, as of an operation by itself. It must be
        brief: the event loop waits for it."""
        if self._closing:
            raise StoreError("the database is closed")
        reply: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(together, asked, reply, then))
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
        batch: list[_Waiting] = []
        while self._waiting and len(batch) < BATCH_MAX:
            waiting = self._waiting.popleft()
            if not waiting.reply.done():
                batch.append(waiting)
        now_ms = self._clock.now_ms()
        commit = self._commit if any(waiting.together is each for waiting in batch) else self._commit_briefly
        try:
            self._files.require()
            told = await commit(now_ms, batch)
        except Exception as error:  # noqa: BLE001 - handed to every caller of the batch
            failure = StoreError(f"the database cannot be written: {error}")
            failure.__cause__ = error
            for waiting in batch:
                waiting.answer = failure
                waiting.tell()
            return
        for waiting in batch:
            waiting.tell()
        if told:
            self._on_told(told)

    async def _commit(self, now_ms: int, batch: list[_Waiting]) -> list[Recorded]:
        """Run a batch in one transaction, and say what it recorded. Raises where nothing of it was kept."""
        return await self._connection.run(lambda raw: _transact(raw, now_ms, batch))

    async def _commit_briefly(self, now_ms: int, batch: list[_Waiting]) -> list[Recorded]:
        """As `_commit`, with nothing in the connection's thread but what waits."""
        raw = self._connection.raw
        if not begin_at_once(raw):
            return await self._commit(now_ms, batch)
        try:
            recorded = _change(raw, now_ms, batch, _run_together)
        except SpoiltError:
            return await self._connection.run(lambda raw: _transact_alone(raw, now_ms, batch))
        await self._connection.run(_end)
        return recorded


_Run = Callable[[Any, int, list[_Waiting]], Transaction]


def _transact(raw: Any, now_ms: int, batch: list[_Waiting]) -> list[Recorded]:
    """Savepoints cost a third of a claim, and what fails has nearly always changed nothing: so a batch goes without
    them, and is undone and run again, each by itself, in the rare case that it should have had them."""
    raw.execute("BEGIN IMMEDIATE")
    try:
        recorded = _change(raw, now_ms, batch, _run_together)
    except SpoiltError:
        return _transact_alone(raw, now_ms, batch)
    _end(raw)
    return recorded


def _transact_alone(raw: Any, now_ms: int, batch: list[_Waiting]) -> list[Recorded]:
    raw.execute("BEGIN IMMEDIATE")
    recorded = _change(raw, now_ms, batch, _run_alone)
    _end(raw)
    return recorded


def _change(raw: Any, now_ms: int, batch: list[_Waiting], run: _Run) -> list[Recorded]:
    """What a transaction holds. Where this raises, it has been undone."""
    try:
        return record(run(raw, now_ms, batch))
    except BaseException:
        _undo(raw)
        raise


def _end(raw: Any) -> None:
    try:
        raw.execute("COMMIT")
    except BaseException:
        _undo(raw)
        raise


def _undo(raw: Any) -> None:
    if raw.in_transaction:  # a full disk or an I/O error has undone it
        raw.execute("ROLLBACK")


def _run_together(raw: Any, now_ms: int, batch: list[_Waiting]) -> Transaction:
    transaction = Transaction(raw, now_ms, defers=True)
    groups: dict[Together[Any, Any], list[_Waiting]] = {}
    for waiting in batch:
        groups.setdefault(waiting.together, []).append(waiting)
    for together, group in groups.items():
        try:
            answers = together(transaction, [waiting.asked for waiting in group])
        except Exception as error:
            if not raw.in_transaction or isinstance(error, SpoiltError):
                raise
            raise SpoiltError from error
        for waiting, answer in zip(group, answers, strict=True):
            waiting.answer = answer
    transaction.flush()
    return transaction


def _run_alone(raw: Any, now_ms: int, batch: list[_Waiting]) -> Transaction:
    transaction = Transaction(raw, now_ms)
    for waiting in batch:
        raw.execute("SAVEPOINT operation")
        told_before = len(transaction.told)
        try:
            (waiting.answer,) = waiting.together(transaction, [waiting.asked])
        except Exception as error:
            if not raw.in_transaction:  # a full disk or an I/O error has undone the whole transaction
                raise
            raw.execute("ROLLBACK TO operation")
            del transaction.told[told_before:]
            waiting.answer = error.__cause__ if isinstance(error, SpoiltError) else error
        raw.execute("RELEASE operation")
    return transaction


def _translated(error: Exception) -> Exception:
    if not isinstance(error, DatabaseError):
        return error
    failure = StoreError(f"the database refused a change: {error}")
    failure.__cause__ = error
    return failure
