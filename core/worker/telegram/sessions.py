"""The file that holds an account's session: whoever has it is the account.

Telegram destroys a session that is used from two places at once, so the file is locked for as long as it is in use.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from telecine.core.errors import ConfigError

SUFFIX = ".session"
SECRET_MODE = 0o600

logger = logging.getLogger(__name__)


def session_file(path: Path) -> Path:
    """The file that a configured session names; Telethon adds the suffix where it is missing."""
    return path if path.suffix == SUFFIX else path.with_name(path.name + SUFFIX)


@contextmanager
def locked_session(path: Path) -> Iterator[Path]:
    """Hold the session `path` names: the file exists, is readable by its owner only, and no second process has it.

    Raises ConfigError, naming the file, where another process holds it or it cannot be used.
    """
    session = session_file(path)
    lock = session.with_name(session.name + ".lock")
    try:
        session.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, SECRET_MODE)
    except OSError as error:
        raise ConfigError(f"{session}: the session cannot be used: {error}") from error
    try:
        _take(descriptor, session)
        make_secret(session)
        yield session
    finally:
        os.close(descriptor)


def make_secret(path: Path) -> None:
    """Create the file, or narrow one that is there, so that only its owner reads it; before a secret is written."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, SECRET_MODE))
        if path.stat().st_mode & 0o077:
            logger.warning("%s was open to others; it is 0600 now", path)
            path.chmod(SECRET_MODE)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be used: {error}") from error


def _take(descriptor: int, session: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigError(
            f"{session}: another process is using this session",
            hint="a session used twice at once is destroyed by Telegram; give each worker one of its own",
        ) from None
