"""The state of a world as one file, replaced whole."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from telecine.core.emulator.telegram.entities import WorldState
from telecine.core.errors import StoreError

STATE_FILE = "world.msgpack"


def load(folder: Path) -> WorldState | None:
    """The state kept in a folder; None if there is none yet. StoreError if the file cannot be read."""
    path = folder / STATE_FILE
    if not path.exists():
        return None
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=WorldState)
    except (msgspec.DecodeError, OSError) as error:
        raise StoreError(f"{path} is not a state of the emulator: {error}") from error


def save(folder: Path, state: WorldState) -> None:
    """Replace the kept state; a reader, or a crash, sees the old one or the new one."""
    folder.mkdir(parents=True, exist_ok=True)
    scratch = folder / (STATE_FILE + ".new")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)  # it holds auth keys
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.msgpack.encode(state))
    scratch.replace(folder / STATE_FILE)
