"""The files of the database, seen from outside."""

from __future__ import annotations

from pathlib import Path

from telecine.core.coordinator.backup import FileSizes
from telecine.core.errors import StoreError


class OpenFiles:
    """The database, its WAL and the `-shm` with its locks as a connection has them open. SQLite does not notice where
    they are deleted or others take their place: it goes on to write what nobody will ever find, or others overwrite."""

    def __init__(self, database: Path) -> None:
        files = (database, _beside(database, "-wal"), _beside(database, "-shm"))
        self._opened = {file: _identity(file) for file in files}

    def require(self) -> None:
        """Raises StoreError where they are not in their places any more."""
        for file, opened in self._opened.items():
            found = _identity(file)
            if found != opened:
                raise StoreError(f"{file} {'is gone' if found is None else 'is another file now'}")


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{file}: cannot be seen: {error}") from error
    return found.st_dev, found.st_ino


def _beside(database: Path, suffix: str) -> Path:
    """A file of SQLite's own: it stands where the database does, not where a symbolic link to that is."""
    real = database.resolve()
    return real.with_name(f"{real.name}{suffix}")


class SqliteFiles:
    """Implements `DatabaseFiles`. Only looks: opening the files would drop the locks of the connections."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._wal = _beside(database, "-wal")

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
