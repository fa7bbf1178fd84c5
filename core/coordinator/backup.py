"""Whether what is committed is safe elsewhere: the state of the database's replication, as Litestream tells it.

Its /metrics name the last transaction that it has taken over from the WAL (`litestream_txid`), and count what a replica
refused. A replica in a folder refuses without being counted: only a restore proves a replica.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import aiohttp
import msgspec

from telecine.core.clock import Clock
from telecine.core.errors import StoreError
from telecine.core.operator_protocol import BackupState, BackupStatus

STALLED_AFTER_S = 10.0  # Litestream takes over each second; a busy disk may make it late
ASK_WAIT_S = 2.0
METRICS_BYTES_MAX = 1024 * 1024

_SAMPLE = re.compile(r"(?P<name>\w+)\{(?P<labels>[^}]*)\} (?P<value>\S+)(?: \d+)?")
_DB = re.compile(r'(?:^|,)db="(?P<db>[^"]*)"')
_TXID = "litestream_txid"
_ERRORS = frozenset({"litestream_sync_error_count", "litestream_replica_operation_errors_total"})


class FileSizes(msgspec.Struct, frozen=True):
    """How large the database and its WAL are, and when something was last committed (None: no WAL is there)."""

    database_bytes: int
    wal_bytes: int
    written_at_ms: int | None


NOTHING = FileSizes(0, 0, None)


class DatabaseFiles(Protocol):
    """The files of the database."""

    @property
    def path(self) -> Path:
        """Of the database itself."""
        ...

    def measure(self) -> FileSizes:
        """As they are now. Raises StoreError."""
        ...


class Backup(Protocol):
    """What knows how the replication of the database is."""

    async def status(self) -> BackupStatus:
        """As it is now."""
        ...


class Replicated(msgspec.Struct, frozen=True):
    """What Litestream says of one database: the last transaction it took over, and how often something went wrong."""

    txid: int
    errors: int


class UnreadableError(Exception):
    """Litestream's answer says nothing about the database."""


class ReplicaWatch:
    """Implements `Backup`. Whether replication moves is told by comparing with the looks before.

    `litestream_url`: of its /metrics.
    """

    def __init__(
        self, files: DatabaseFiles, clock: Clock, *, replicated: bool = False, litestream_url: str | None = None
    ) -> None:
        self._files = files
        self._clock = clock
        self._replicated = replicated
        self._url = litestream_url
        self._last: Replicated | None = None
        self._written_at_ms: int | None = None
        self._behind_since_s: float | None = None

    async def status(self) -> BackupStatus:
        try:
            sizes = self._files.measure()
        except StoreError as error:  # nothing that is committed can be replicated then
            return self._status(BackupState.STALLED if self._replicated else BackupState.OFF, NOTHING, error.message)
        if not self._replicated:
            return self._status(BackupState.OFF, sizes, "coordinator.replicated is not set")
        if self._url is None:
            return self._status(BackupState.UNREACHABLE, sizes, "coordinator.litestream_url is not set")
        try:
            found = replicated(await _ask(self._url), self._files.path)
        except (aiohttp.ClientError, TimeoutError, UnreadableError) as error:
            why = f"{self._url} does not tell: {str(error) or type(error).__name__}"
            return self._status(BackupState.UNREACHABLE, sizes, why)
        stall = self._stall(found, sizes.written_at_ms)
        return self._status(BackupState.STALLED if stall else BackupState.REPLICATING, sizes, stall, found.txid)

    def _stall(self, found: Replicated, written_at_ms: int | None) -> str | None:
        """Why replication does not move; None where it does, or has nothing to do."""
        last, self._last = self._last, found
        if last is None or found.txid != last.txid:
            self._written_at_ms, self._behind_since_s = written_at_ms, None
        elif written_at_ms != self._written_at_ms and self._behind_since_s is None:
            self._behind_since_s = self._clock.monotonic_s()
        if last is not None and found.errors > last.errors:
            return "Litestream has met errors since the last look; its log says more"
        behind_s = 0.0 if self._behind_since_s is None else self._clock.monotonic_s() - self._behind_since_s
        if behind_s >= STALLED_AFTER_S:
            return f"commits have waited for Litestream for {behind_s:.0f} s or more"
        return None

    def _status(
        self, state: BackupState, sizes: FileSizes, detail: str | None, txid: int | None = None
    ) -> BackupStatus:
        written_at_ms = sizes.written_at_ms
        return BackupStatus(
            state=state,
            detail=detail,
            database_bytes=sizes.database_bytes,
            wal_bytes=sizes.wal_bytes,
            written_ago_s=None if written_at_ms is None else max(0, self._clock.now_ms() - written_at_ms) / 1000,
            txid=txid,
        )


def replicated(metrics: str, database: Path) -> Replicated:
    """What Litestream's metrics say of a database: the one at that path, or the only one that there is.

    Raises UnreadableError.
    """
    samples = tuple(_samples(metrics))
    txids = {db: value for name, db, value in samples if name == _TXID}
    path = str(database.absolute())
    if path not in txids and len(txids) != 1:
        raise UnreadableError(f"it replicates {len(txids)} databases, and none at {path}")
    known = path if path in txids else next(iter(txids))
    errors = sum(value for name, db, value in samples if name in _ERRORS and db in {known, ""})
    return Replicated(int(txids[known]), int(errors))


def _samples(metrics: str) -> Iterator[tuple[str, str, float]]:
    """Names, databases ("" where none is named) and values of the metrics that matter, in Prometheus' text format."""
    for line in metrics.splitlines():
        match = _SAMPLE.fullmatch(line)
        if match is None or match["name"] not in {_TXID, *_ERRORS}:
            continue
        db = _DB.search(match["labels"])
        try:
            value = float(match["value"])
        except ValueError as error:
            raise UnreadableError(f"it answers {line[:80]!r}") from error
        if not math.isfinite(value):
            raise UnreadableError(f"it answers {line[:80]!r}")
        yield match["name"], db["db"] if db else "", value


async def _ask(url: str) -> str:
    async with asyncio.timeout(ASK_WAIT_S), aiohttp.ClientSession() as session, session.get(url) as response:
        if response.status != 200:
            raise UnreadableError(f"it answers with HTTP status {response.status}")
        text = bytearray()
        async for chunk in response.content.iter_any():
            text += chunk
            if len(text) > METRICS_BYTES_MAX:
                raise UnreadableError("it answers at too great length")
    return text.decode(errors="replace")
