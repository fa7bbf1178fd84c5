"""A writer with a reader beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from telecine.core.events import Recorded
from telecine.store import schema
from telecine.store.connection import open_writer
from telecine.store.files import OpenFiles
from telecine.store.readers import Readers
from telecine.store.transaction import Operation, Transaction
from telecine.store.writer import Writer

if TYPE_CHECKING:
    from tests.clocks import HandClock


def note(tx: Transaction, user_id: int) -> int:
    """Any write will do."""
    return tx.execute("note_user", {"user_id": user_id, "language": None, "now_ms": tx.now_ms})


def noting(user_id: int) -> Operation[int]:
    return lambda tx: note(tx, user_id)


class Desk:
    """A writer with a reader beside it, and a count of its commits."""

    def __init__(self, writing: Writer, readers: Readers, commits: list[int], told: list[Recorded]) -> None:
        self.writing = writing
        self.readers = readers
        self.commits = commits
        self.told = told

    async def users(self) -> int:
        def count(tx: Transaction) -> int:
            return len(tx._cursor.execute("SELECT id FROM users").fetchall())

        return await self.readers.run(count)


Commit = Callable[[Writer, int, list[Any]], Awaitable[list[Recorded]]]


def counted(commit: Commit, commits: list[int]) -> Commit:
    async def count_and_commit(writing: Writer, now_ms: int, batch: list[Any]) -> list[Recorded]:
        commits.append(len(batch))
        return await commit(writing, now_ms, batch)

    return count_and_commit


@asynccontextmanager
async def opened(path: Path, clock: HandClock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    """A desk over a new database."""
    connection = await open_writer(path, replicated=False)
    await connection.run(lambda raw: schema.migrate(raw, schema.load(), 0))
    commits: list[int] = []
    for name in ("_commit", "_commit_briefly"):
        monkeypatch.setattr(Writer, name, counted(getattr(Writer, name), commits))
    told: list[Recorded] = []
    writing = Writer(connection, OpenFiles(path), clock, on_told=told.extend)
    readers = await Readers.open(path, count=1, clock=clock)
    yield Desk(writing, readers, commits, told)
    await writing.close()
    await readers.close()
    await connection.close()
