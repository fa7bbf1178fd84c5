"""One coordinator a database."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from telecine.core.errors import ConfigError, ConflictError


@contextmanager
def alone_with(database: Path) -> Iterator[None]:
    """Keep a second coordinator away from the database: workers that wait at one would not hear of the other's work,
    and two bots of one token take each other's updates. `telecine token` and Litestream may come beside.

    The kernel lets go of the lock however the process ends. Raises ConflictError where another process holds it,
    ConfigError where the folder cannot be written.
    """
    lock = database.with_name(f"{database.name}.lock")
    try:
        descriptor = os.open(lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(f"coordinator.database: {lock} cannot be made: {error.strerror}") from error
    try:
        _take(descriptor, database)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, database: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConflictError(
            f"{database}: another coordinator is using this database", hint="a database has one `telecine serve`"
        ) from None
