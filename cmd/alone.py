"""One coordinator a database."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from telecine.core.errors import ConfigError, ConflictError

LOOK_S = 0.05  # far longer than `in_use` holds the lock to find out


@contextmanager
def alone_with(database: Path) -> Iterator[None]:
    """Keep a second coordinator away from the database: workers that wait at one would not hear of the other's work,
    and two bots of one token take each other's updates. `telecine token` and Litestream may come beside.

    The kernel lets go of the lock however the process ends. Raises ConflictError where another process holds it,
    ConfigError where the folder cannot be written.
    """
    with _lock_file(database) as descriptor:
        _take(descriptor, database)
        yield


@contextmanager
def _lock_file(database: Path) -> Iterator[int]:
    lock = database.with_name(f"{database.name}.lock")
    try:
        descriptor = os.open(lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"coordinator.database: {lock} cannot be made: {error.strerror}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def in_use(database: Path) -> bool:
    """Whether a coordinator uses the database at the moment. Raises ConfigError as `alone_with` does."""
    with _lock_file(database) as descriptor:
        return _is_taken(descriptor)


def _take(descriptor: int, database: Path) -> None:
    if _is_taken(descriptor):
        time.sleep(LOOK_S)
        if _is_taken(descriptor):
            raise ConflictError(
                f"{database}: another coordinator is using this database", hint="a database has one `telecine serve`"
            )


def _is_taken(descriptor: int) -> bool:
    """Whether somebody else has the lock; it is ours if not."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
