"""The files of the database, seen from outside."""

from __future__ import annotations

from pathlib import Path

from telecine.core.coordinator.backup import FileSizes
from telecine.core.errors import StoreError


class SqliteFiles:
    """Implements `DatabaseFiles`. Only looks: opening the files would drop the locks of the connections."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._wal = database.with_name(f"{database.name}-wal")

    @property
    def path(self) -> Path:
        return self._database

    def measure(self) -> FileSizes:
        try:
            database = self._database.stat()
        except OSError as error:
            raise StoreError(f"{self._database}: cannot be seen: {error}") from error
        try:
            wal = self._wal.stat()
        except FileNotFoundError:  # the last connection has closed
            return FileSizes(database.st_size, 0, None)
        except OSError as error:
            raise StoreError(f"{self._wal}: cannot be seen: {error}") from error
        return FileSizes(database.st_size, wal.st_size, wal.st_mtime_ns // 1_000_000)
