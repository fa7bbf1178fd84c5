"""How a connection to the database is made: which library, which pragmas, one thread each.

The library is pysqlite3, which bundles its own SQLite: releases before 3.51.3 can corrupt a database when two
connections write and checkpoint a WAL at the same moment (https://sqlite.org/wal.html#walresetbug), which is what
an application and Litestream do. No second SQLite library may open the same file in one process: closing one's
file drops the other's POSIX locks (https://sqlite.org/howtocorrupt.html, 2.2.1).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import aiosqlite
from pysqlite3 import dbapi2

from telecine.core.errors import StoreError

T = TypeVar("T")

SQLITE_VERSION_MIN = (3, 51, 3)
BUSY_TIMEOUT_MS = 5000
CACHED_STATEMENTS = 256
ITER_CHUNK_ROWS = 64
WRITER_CACHE_KIB = 64 * 1024  # of a table of a million rows, what claims and settlements touch
WAL_BYTES_MAX = 64 * 1024 * 1024  # of the file once all in it is checkpointed; while a reader is stuck it grows

DatabaseError = dbapi2.Error
IntegrityError = dbapi2.IntegrityError


class Connection(aiosqlite.Connection):
    """A connection with a thread of its own, in which whole functions run: one hop, however many statements."""

    @property
    def raw(self) -> Any:
        """The library's own connection, for what neither waits nor takes long. For whoever has it to himself, and only
        while nothing runs in its thread."""
        return self._conn

    stopped: asyncio.Future[Any] | None = None  # done when the thread ends

    def stop(self) -> asyncio.Future[Any] | None:
        self.stopped = super().stop()
        return self.stopped

    async def run(self, function: Callable[[Any], T]) -> T:
        """Call `function` with the raw connection in the connection's thread."""
        result: T = await self._execute(function, self._conn)  # type: ignore[no-untyped-call]
        return result


def begin_at_once(raw: Any) -> bool:
    """Begin to write, unless somebody else does at the moment. Raises DatabaseError."""
    raw.execute("PRAGMA busy_timeout=0")
    try:
        raw.execute("BEGIN IMMEDIATE")
    except DatabaseError as error:
        if error.sqlite_errorcode & 0xFF != dbapi2.SQLITE_BUSY:  # the rest tells why it is busy
            raise
        return False
    finally:
        raw.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    return True


def require_sqlite(version: tuple[int, ...] = dbapi2.sqlite_version_info) -> None:
    """Raises StoreError for a SQLite that can lose data under replication."""
    if version < SQLITE_VERSION_MIN:
        found, needed = (".".join(map(str, v)) for v in (version, SQLITE_VERSION_MIN))
        raise StoreError(
            f"SQLite {found} can corrupt a replicated database; {needed} or later is needed",
            hint="install pysqlite3 0.6.1 or later, which brings its own SQLite",
        )


async def open_writer(path: Path, *, replicated: bool, check: Callable[[Any], object] | None = None) -> Connection:
    """The one connection that writes; creates the file, for its owner alone: links may carry credentials.

    `replicated`: Litestream checkpoints, so SQLite must not. `check` sees the database before anything is changed, and
    may refuse it with a StoreError.
    A reply to a caller means that its data survive a power cut: `synchronous` is FULL.
    """
    pragmas = ["journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"cache_size={-WRITER_CACHE_KIB}"]
    if replicated:
        pragmas.append("wal_autocheckpoint=0")
    else:
        pragmas.append(f"journal_size_limit={WAL_BYTES_MAX}")
    return await _open(path, mode="rwc", pragmas=pragmas, check=check)


async def open_reader(path: Path) -> Connection:
    """A connection that cannot write. The writer must have been opened before."""
    return await _open(path, mode="ro", pragmas=["query_only=ON"])


async def _open(
    path: Path, *, mode: str, pragmas: list[str], check: Callable[[Any], object] | None = None
) -> Connection:
    def connect() -> Any:
        if mode == "rwc":
            with contextlib.suppress(OSError):  # what is wrong with the path is told by SQLite, in its own words
                path.touch(mode=0o600)  # SQLite gives the same mode to the files beside it
        raw = dbapi2.connect(
            f"file:{quote(str(path.absolute()))}?mode={mode}",
            uri=True,
            isolation_level=None,  # transactions begin and end where the code says so
            cached_statements=CACHED_STATEMENTS,
            check_same_thread=False,  # see `Connection.raw`
        )
        try:
            raw.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}").fetchall()
            if check is not None:
                check(raw)
            for pragma in pragmas:
                raw.execute(f"PRAGMA {pragma}").fetchall()
        except BaseException:
            raw.close()
            raise
        return raw

    connection = Connection(connect, iter_chunk_size=ITER_CHUNK_ROWS)
    try:
        await connection
    except BaseException as error:  # of whom it is cancelled by, too
        if connection.stopped is not None:  # aiosqlite does not wait for its thread where the connection was never made
            await connection.stopped
        if isinstance(error, DatabaseError):
            raise StoreError(f"{path}: cannot be opened as a database: {error}") from error
        raise
    return connection
