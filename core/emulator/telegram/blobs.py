"""The bytes of files, in memory or in a folder, written part by part in any order. Parts of zeros take no room."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Protocol

from telecine.core.emulator.telegram.limits import PART_BYTES_MAX

_ZEROS = bytes(PART_BYTES_MAX)


class Blobs(Protocol):
    """Bytes by name. A file in the making is a set of numbered parts; all but the last are equally long."""

    def write_part(self, name: str, index: int, part: bytes) -> None:
        """Keep one part, replacing an earlier one of the same number."""
        ...

    def read(self, name: str, part_bytes: int, offset: int, limit: int) -> bytes:
        """Up to `limit` bytes from `offset`, for a file whose parts have `part_bytes`. Short only at the end."""
        ...

    def drop_part(self, name: str, index: int) -> None:
        """Forget one part."""
        ...

    def drop(self, name: str) -> None:
        """Forget a file, whole or in the making; nothing happens if there is none."""
        ...

    def names(self) -> frozenset[str]:
        """All files, whole or in the making."""
        ...


class MemoryBlobs:
    """Blobs that live as long as the process."""

    def __init__(self) -> None:
        self._files: dict[str, dict[int, bytes]] = {}

    def write_part(self, name: str, index: int, part: bytes) -> None:
        self._files.setdefault(name, {})[index] = _ZEROS if part == _ZEROS else part

    def read(self, name: str, part_bytes: int, offset: int, limit: int) -> bytes:
        parts = self._files.get(name, {})
        pieces: list[bytes] = []
        index, skip = divmod(offset, part_bytes)
        while limit > 0 and index in parts:
            piece = parts[index][skip : skip + limit]
            if not piece:
                break
            pieces.append(piece)
            limit -= len(piece)
            index, skip = index + 1, 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def drop_part(self, name: str, index: int) -> None:
        self._files.get(name, {}).pop(index, None)

    def drop(self, name: str) -> None:
        self._files.pop(name, None)

    def names(self) -> frozenset[str]:
        return frozenset(self._files)


class FolderBlobs:
    """Blobs that survive a restart, one file each.

    Every part has a slot of `PART_BYTES_MAX`, because the first to arrive may be the short last one, which does
    not tell how long the others are. With parts of that very size the file is the content itself.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def write_part(self, name: str, index: int, part: bytes) -> None:
        offset = index * PART_BYTES_MAX
        descriptor = os.open(self._folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if part and _ZEROS.startswith(part) and _is_hole(descriptor, offset, len(part)):
                os.truncate(descriptor, max(os.fstat(descriptor).st_size, offset + len(part)))
            else:
                os.pwrite(descriptor, part, offset)
        finally:
            os.close(descriptor)

    def read(self, name: str, part_bytes: int, offset: int, limit: int) -> bytes:
        path = self._folder / name
        if not path.exists():
            return b""
        if part_bytes == PART_BYTES_MAX:
            with path.open("rb", buffering=0) as file:
                file.seek(offset)
                return file.read(limit)
        return self._read_slots(path, part_bytes, offset, limit)

    def _read_slots(self, path: Path, part_bytes: int, offset: int, limit: int) -> bytes:
        pieces: list[bytes] = []
        index, skip = divmod(offset, part_bytes)
        with path.open("rb", buffering=0) as file:
            while limit > 0:
                file.seek(index * PART_BYTES_MAX + skip)
                piece = file.read(min(limit, part_bytes - skip))
                if not piece:
                    break
                pieces.append(piece)
                limit -= len(piece)
                index, skip = index + 1, 0
        return b"".join(pieces)

    def drop_part(self, name: str, index: int) -> None:
        """The slot keeps its stale bytes: who tracks the parts knows that it is empty."""

    def drop(self, name: str) -> None:
        (self._folder / name).unlink(missing_ok=True)

    def names(self) -> frozenset[str]:
        return frozenset(path.name for path in self._folder.iterdir())


def _is_hole(descriptor: int, offset: int, length: int) -> bool:
    """Whether nothing has been written to a stretch of a file; it reads as zeros then."""
    try:
        return os.lseek(descriptor, offset, os.SEEK_DATA) >= offset + length
    except OSError as error:
        if error.errno == errno.ENXIO:  # no data behind the offset
            return True
        raise
