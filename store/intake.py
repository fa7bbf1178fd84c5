"""Where an import is written: what is new is added, what differs is changed, what is gone is marked."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from telecine.core.catalogue import ImportCounts, ImportedTitle, ImportRun, ImportState
from telecine.core.errors import ConflictError, NotFoundError
from telecine.core.policy import QueuePolicy
from telecine.store.readers import Readers
from telecine.store.signal import WorkSignal
from telecine.store.title_import import SourceHosts, TitleImport
from telecine.store.transaction import Row, Transaction
from telecine.store.writer import Writer


class SqliteIntake:
    """Implements `CatalogueIntake`."""

    def __init__(self, writer: Writer, readers: Readers, signal: WorkSignal, policy: QueuePolicy) -> None:
        self._writer = writer
        self._readers = readers
        self._signal = signal
        self._policy = policy

    async def begin_import(self) -> ImportRun:
        return await self._writer.run(begin_import)

    async def import_titles(self, import_id: int, titles: Sequence[ImportedTitle]) -> ImportCounts:
        return await self._writer.run(
            lambda tx: import_titles(tx, self._policy, import_id, titles), then=self._signal.notify
        )

    async def finish_import(
        self, import_id: int, *, rejected: int, refused: int = 0, error: str | None = None
    ) -> ImportRun:
        return await self._writer.run(lambda tx: finish_import(tx, import_id, rejected, refused, error))

    async def import_run(self, import_id: int) -> ImportRun:
        return await self._readers.run(lambda tx: import_run(tx, import_id))


def begin_import(tx: Transaction) -> ImportRun:
    for row in tx.all("interrupt_imports", {"now_ms": tx.now_ms, "error": "interrupted: the coordinator stopped"}):
        tx.tell(_run(row))
    run = _run(tx.get("insert_import", {"now_ms": tx.now_ms}))
    tx.tell(run)
    return run


def import_titles(
    tx: Transaction, policy: QueuePolicy, import_id: int, titles: Sequence[ImportedTitle]
) -> ImportCounts:
    """Raises NotFoundError or ConflictError for a run that is not under way, InputError for a plan with gaps."""
    counts = ImportCounts()
    hosts = SourceHosts(tx)
    for title in titles:
        counts += TitleImport(tx, policy, title, hosts).write()
    if not tx.execute("count_import", {"import_id": import_id, **msgspec.structs.asdict(counts)}):
        raise _not_running(tx, import_id)
    return counts


def finish_import(tx: Transaction, import_id: int, rejected: int, refused: int, error: str | None) -> ImportRun:
    left_out = {"rejected": rejected, "refused": refused}
    row = tx.one("finish_import", {"import_id": import_id, "error": error, "now_ms": tx.now_ms, **left_out})
    if row is None:
        raise _not_running(tx, import_id)
    run = _run(row)
    tx.tell(run)
    return run


def import_run(tx: Transaction, import_id: int) -> ImportRun:
    row = tx.one("import_by_id", {"import_id": import_id})
    if row is None:
        raise NotFoundError(f"there is no import {import_id}")
    return _run(row)


def _not_running(tx: Transaction, import_id: int) -> ConflictError:
    return ConflictError(f"import {import_id} is {import_run(tx, import_id).state.value}, not running")


def _run(row: Row) -> ImportRun:
    return ImportRun(
        id=row["id"],
        state=ImportState(row["state"]),
        started_at_ms=row["started_at_ms"],
        finished_at_ms=row["finished_at_ms"],
        counts=ImportCounts(**{name: row[name] for name in ImportCounts.__struct_fields__}),
        rejected=row["rejected"],
        refused=row["refused"],
        error=row["error"],
    )
