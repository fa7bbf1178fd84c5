"""The folder in which one emulator keeps its state, and no other at the same time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from telecine.core.errors import ConfigError


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Make the folder and keep it for this process: two that write the same state would each undo the other's.

    Raises ConfigError when it cannot be made or another emulator holds it. A killed process holds nothing.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise ConfigError(f"{folder} cannot hold the emulator's state: {error.strerror}") from error
    try:
        _lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigError(
            f"{folder}: another emulator keeps its state there", hint="give each a folder of its own"
        ) from None
