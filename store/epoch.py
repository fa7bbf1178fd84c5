"""The epoch: a number beside the database, raised at each restore, that fences the leases from before.

It stands outside the database because a restore takes the database back: lease tokens would repeat.
"""

from __future__ import annotations

import os
from pathlib import Path

from telecine.core.errors import StoreError

FIRST_EPOCH = 1


def epoch_path(database: Path) -> Path:
    """Where the epoch of a database is kept."""
    return database.with_name(f"{database.name}.epoch")


def read_epoch(database: Path) -> int:
    """The epoch of a database; a database without one begins with the first. Raises StoreError for another content."""
    path = epoch_path(database)
    try:
        text = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        write_epoch(database, FIRST_EPOCH)
        return FIRST_EPOCH
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        text = ""
    if not text.isdigit() or int(text) < FIRST_EPOCH:
        raise StoreError(
            f"{path}: expected a whole number, {FIRST_EPOCH} or more", hint="write one larger than ever before"
        )
    return int(text)


def raise_epoch(database: Path, now_ms: int) -> int:
    """A new epoch, larger than ever before if the clock was right: the time of day in seconds. Raises StoreError."""
    epoch = max(read_epoch(database) + 1, now_ms // 1000)
    write_epoch(database, epoch)
    return epoch


def write_epoch(database: Path, epoch: int) -> None:
    """Replace the epoch; it is on the disk when this returns. Raises StoreError."""
    path = epoch_path(database)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")  # two processes may open a new database at once
    try:
        with fresh.open("w", encoding="ascii") as file:
            file.write(f"{epoch}\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from error
