"""The epoch: a number beside the database, raised at each restore, that fences the leases from before.

It stands outside the database because a restore takes the database back: lease tokens would repeat.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from telecine.core.errors import StoreError

FIRST_EPOCH = 1
EPOCH_MAX = 10**18 - 1  # what the name of a lease has room for


def epoch_path(database: Path) -> Path:
    """Where the epoch of a database is kept."""
    return database.with_name(f"{database.name}.epoch")


def read_epoch(database: Path) -> int | None:
    """The epoch of a database; None where none is written down. Raises StoreError for another content."""
    path = epoch_path(database)
    try:
        text = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        text = ""
    if not text.isdigit() or len(text) > len(str(EPOCH_MAX)) or int(text) < FIRST_EPOCH:
        raise StoreError(
            f"{path}: expected a whole number from {FIRST_EPOCH} to {EPOCH_MAX}",
            hint="write one larger than ever before, such as the time of day in seconds",
        )
    return int(text)


def begin_epoch(database: Path, epoch: int) -> int:
    """Write down the epoch of a database that has none; what another process has written meanwhile counts. Raises
    StoreError."""
    path = epoch_path(database)
    try:
        with _written_beside(path, epoch) as fresh, contextlib.suppress(FileExistsError):
            path.hardlink_to(fresh)
    except OSError as error:
        raise _not_writable(path, error) from error
    return read_epoch(database) or epoch


def raise_epoch(database: Path, now_ms: int) -> int:
    """A new epoch, larger than ever before if the clock was right: the time of day in seconds. Raises StoreError."""
    epoch = max((read_epoch(database) or 0) + 1, epoch_of_day(now_ms))
    write_epoch(database, epoch)
    return epoch


def epoch_of_day(now_ms: int) -> int:
    """Larger than what was written down at any earlier time of day: in seconds."""
    return max(FIRST_EPOCH, now_ms // 1000)


def write_epoch(database: Path, epoch: int) -> None:
    """Replace the epoch; it is on the disk when this returns. Raises StoreError."""
    path = epoch_path(database)
    try:
        with _written_beside(path, epoch) as fresh:
            fresh.replace(path)
    except OSError as error:
        raise _not_writable(path, error) from error


@contextmanager
def _written_beside(path: Path, epoch: int) -> Iterator[Path]:
    """A file with the epoch that is to take its place; it is gone afterwards, and what took place is on the disk."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")  # two processes may open a new database at once
    try:
        with fresh.open("w", encoding="ascii") as file:
            file.write(f"{epoch}\n")
            file.flush()
            os.fsync(file.fileno())
        yield fresh
    finally:
        fresh.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _not_writable(path: Path, error: OSError) -> StoreError:
    return StoreError(f"{path}: cannot be written: {error.strerror}")
