"""The store as a whole: opened once by the coordinator, closed on every path."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from telecine.core.clock import Clock
from telecine.core.errors import StoreError
from telecine.core.policy import STANDARD, QueuePolicy
from telecine.store import schema
from telecine.store.catalogue import SqliteCatalogue
from telecine.store.claims import LeaseTerms
from telecine.store.connection import Connection, DatabaseError, open_reader, open_writer, require_sqlite
from telecine.store.epoch import FIRST_EPOCH, begin_epoch, epoch_of_day, epoch_path, read_epoch
from telecine.store.events import SqliteEvents, newest_event
from telecine.store.files import OpenFiles, SqliteFiles
from telecine.store.intake import SqliteIntake
from telecine.store.operations import SqliteOperations
from telecine.store.queue import SqliteQueue
from telecine.store.readers import Readers
from telecine.store.rebuild import SqliteRebuild
from telecine.store.retention import SqliteRetention
from telecine.store.shelf import SqliteShelf
from telecine.store.signal import WorkSignal
from telecine.store.sweeps import SqliteSweeper
from telecine.store.tokens import SqliteTokens
from telecine.store.writer import Writer

READERS = 2


class Store:
    """Every Protocol of the domain, on one database. Use `async with Store.open(path, clock=...)`."""

    def __init__(
        self,
        writer: Writer,
        readers: Readers,
        events: SqliteEvents,
        clock: Clock,
        terms: LeaseTerms,
        files: SqliteFiles,
    ) -> None:
        self._signal = WorkSignal(clock)
        self._readers = readers
        self.epoch = terms.epoch
        self.files = files
        self.events = events
        self.catalogue = SqliteCatalogue(readers)
        self.intake = SqliteIntake(writer, readers, self._signal, terms.policy)
        self.queue = SqliteQueue(writer, self._signal, terms)
        self.operations = SqliteOperations(writer, readers, self._signal, clock, terms)
        self.sweeper = SqliteSweeper(writer, self._signal, terms.policy)
        self.retention = SqliteRetention(writer)
        self.shelf = SqliteShelf(writer, readers)
        self.tokens = SqliteTokens(writer, readers)
        self.rebuild = SqliteRebuild(writer)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        path: Path,
        *,
        clock: Clock,
        policy: QueuePolicy = STANDARD,
        replicated: bool = False,
        readers: int = READERS,
    ) -> AsyncIterator[Store]:
        """Open a database, made if it is not there, and bring its schema up to date.

        `replicated`: Litestream replicates it and does the checkpoints. Raises StoreError for a SQLite that is too
        old, a file that is no database, a database of a later version, and one of which only the epoch is left.
        """
        require_sqlite()
        epoch = _epoch_before(path)
        async with AsyncExitStack() as stack:
            connection = await open_writer(path, replicated=replicated, check=schema.is_new)
            stack.push_async_callback(connection.close)  # the last to go: it alone can empty the WAL
            terms = LeaseTerms(await _begin(connection, path, clock, epoch), policy, clock.now_ms())
            pool = await Readers.open(path, count=readers, clock=clock)
            stack.push_async_callback(pool.close)
            events = SqliteEvents(pool, terms.epoch, await pool.run(newest_event))
            writer = Writer(connection, OpenFiles(path), clock, on_told=events.announce)
            stack.push_async_callback(writer.close)
            store = cls(writer, pool, events, clock, terms, SqliteFiles(path))
            await store._remember_parks(policy)
            yield store

    @staticmethod
    async def is_current(path: Path) -> bool:
        """Whether a database is there that has the schema of this program, so that opening it does not change it.
        Raises StoreError for a file that is no database."""
        if not _is_there(path):
            return False
        known, connection = schema.load(), await open_reader(path)
        try:
            return await connection.run(lambda raw: schema.is_current(raw, known))
        except DatabaseError as error:
            raise StoreError(f"{path}: cannot be read as a database: {error}") from error
        finally:
            await connection.close()

    async def _remember_parks(self, policy: QueuePolicy) -> None:
        """Accounts and hosts that were parked before a restart wake those who wait, all the same."""
        for row in await self._readers.run(lambda tx: tx.all("parked_accounts", {"now_ms": tx.now_ms})):
            self._signal.unpark_at(policy.claims_from_ms(row["uploads_parked_until_ms"], row["sends_parked_until_ms"]))
        for row in await self._readers.run(lambda tx: tx.all("parked_hosts", {"at_ms": tx.now_ms})):
            self._signal.unpark_at(row["parked_until_ms"])


def _is_there(path: Path) -> bool:
    return path.exists()


def _epoch_before(path: Path) -> int | None:
    """The epoch of a database that is there already."""
    epoch = read_epoch(path)
    if epoch is not None and not path.exists():
        raise _gone(path)
    return epoch


async def _begin(connection: Connection, path: Path, clock: Clock, epoch: int | None) -> int:
    """Bring the schema up to date; the epoch, which is the last thing to be made of a new database: one that has an
    epoch has been whole."""
    known, now_ms = schema.load(), clock.now_ms()
    try:
        is_new = await connection.run(schema.is_new)
        if is_new and epoch is not None:
            raise _gone(path)
        await connection.run(lambda raw: schema.migrate(raw, known, now_ms))
    except DatabaseError as error:
        raise StoreError(f"{path}: the schema cannot be read or brought up to date: {error}") from error
    if epoch is not None:
        return epoch
    return begin_epoch(path, FIRST_EPOCH if is_new else epoch_of_day(now_ms))


def _gone(path: Path) -> StoreError:
    return StoreError(
        f"{path}: what the database held is gone, and its epoch is left",
        hint=f"restore the database; to begin with an empty one, move {epoch_path(path).name} away as well",
    )
