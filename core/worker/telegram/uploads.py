"""What is with Telegram already of the files that are under way, kept on disk so that a restarted worker goes on.

One small file each beside the session: a line that names the upload, then a record for each part that got through.
A record is written after Telegram has taken the part, with one `write` and no flush: what a killed process has
written stays, and a power cut costs some parts sent again, for damaged records are told by their checksums.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import struct
import zlib
from collections.abc import Collection
from pathlib import Path

import msgspec

from telecine.core.clock import Clock
from telecine.core.worker.telegram.sessions import SECRET_MODE

KEPT_MS_MAX = 6 * 3600 * 1000  # Telegram keeps the parts of a file that no message is made of for hours at most
SUFFIX = ".upload"
FOLDER_MODE = 0o700
_RECORD = struct.Struct("<II32s32sI")  # index, size in bytes, SHA-256, BLAKE3, CRC-32 of what is before
_NO_DIGEST = bytes(32)

logger = logging.getLogger(__name__)


class StoredPart(msgspec.Struct, frozen=True):
    """A part that is with Telegram: its size in bytes, SHA-256, and BLAKE3 where that is asked for."""

    size_bytes: int
    sha256: bytes
    blake3: bytes | None = None


class _Heading(msgspec.Struct, frozen=True):
    """The first line of a file. `file_id` is what the parts were sent under."""

    key: str
    file_id: int
    started_at_ms: int


class UploadRecord:
    """One file under way. Made by `Uploads.open`; one user at a time."""

    def __init__(self, path: Path, key: str, clock: Clock) -> None:
        self._path = path
        self.key = key
        self._clock = clock
        self._parts: dict[int, StoredPart] = {}
        self.file_id: int | None = None
        self._is_kept = True  # on disk
        self._end = 0  # of the last record that is whole
        self._read()

    @property
    def known(self) -> Collection[int]:
        """Indexes of the parts that are with Telegram."""
        return self._parts.keys()

    def part(self, index: int) -> StoredPart:
        """Raises KeyError for a part that is not known."""
        return self._parts[index]

    def begin(self, file_id: int) -> None:
        """Start over: parts are sent under `file_id` from now on.

        Where the disk does not take the note, the file is sent once more after a crash, and nothing else is lost.
        """
        self._parts.clear()
        self.file_id = file_id
        heading = _Heading(self.key, file_id, self._clock.now_ms())
        self._end = 0
        try:
            self._write(msgspec.json.encode(heading) + b"\n", os.O_CREAT | os.O_TRUNC)
        except OSError as error:
            logger.warning("an upload is not noted: %s", error)
            self._is_kept = False
        else:
            self._is_kept = True

    def add(self, index: int, part: StoredPart) -> None:
        """Note a part that Telegram has taken; a later note of the same part replaces it.

        Where the disk does not take the note, the part is sent once more after a crash, and nothing else is lost.
        """
        self._parts[index] = part
        if not self._is_kept:
            return
        body = _RECORD.pack(index, part.size_bytes, part.sha256, part.blake3 or _NO_DIGEST, 0)[:-4]
        try:
            self._write(body + zlib.crc32(body).to_bytes(4, "little"))
        except OSError as error:
            logger.warning("part %d of an upload is not noted: %s", index, error)

    def discard(self) -> None:
        """Forget the file: a message is made of it, or Telegram has lost it. Idempotent."""
        self._parts.clear()
        self.file_id = None
        self._path.unlink(missing_ok=True)

    def _write(self, data: bytes, flags: int = 0) -> None:
        """Over what a crash or a full disk has cut short, which would hide all that is behind it. Raises OSError."""
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC | flags, SECRET_MODE)
        try:
            if os.pwrite(descriptor, data, self._end) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(descriptor)
        self._end += len(data)

    def _read(self) -> None:
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return
        line, newline, records = content.partition(b"\n")
        heading = _heading(line) if newline else None
        if heading is None or heading.key != self.key:
            return
        self.file_id = heading.file_id
        self._end = len(line) + 1 + len(records) // _RECORD.size * _RECORD.size
        for at in range(0, len(records) - _RECORD.size + 1, _RECORD.size):
            body = records[at : at + _RECORD.size]
            index, size_bytes, sha256, blake3, checksum = _RECORD.unpack(body)
            if zlib.crc32(body[:-4]) == checksum:
                self._parts[index] = StoredPart(size_bytes, sha256, None if blake3 == _NO_DIGEST else blake3)


class Uploads:
    """All files under way of one account, in a folder that only its owner reads."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        """Make the folder, and forget what is too old to be with Telegram still. Raises OSError."""
        self._folder = folder
        self._clock = clock
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        folder.chmod(FOLDER_MODE)
        self.prune()

    def open(self, key: str) -> UploadRecord:
        """What is known of the upload that `key` names; an empty record for one that is new."""
        name = hashlib.sha256(key.encode()).hexdigest()[:32] + SUFFIX
        return UploadRecord(self._folder / name, key, self._clock)

    def prune(self) -> int:
        """Forget uploads that began too long ago; how many."""
        oldest_ms = self._clock.now_ms() - KEPT_MS_MAX
        old = [path for path in self._folder.glob(f"*{SUFFIX}") if _started_at_ms(path) < oldest_ms]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)


def _started_at_ms(path: Path) -> int:
    with path.open("rb") as file:
        heading = _heading(file.readline().rstrip(b"\n"))
    return 0 if heading is None else heading.started_at_ms


def _heading(line: bytes) -> _Heading | None:
    try:
        return msgspec.json.decode(line, type=_Heading)
    except msgspec.MsgspecError:
        return None
