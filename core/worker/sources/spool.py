"""Copies of sources on the disk, for what cannot be done while they stream."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

from telecine.core.config import WorkerSettings
from telecine.core.errors import TelecineError
from telecine.core.worker.sources.source import Source

PIECE_BYTES = 1024 * 1024


class SpoolFullError(TelecineError):
    """A source does not fit on the disk beside what the other jobs keep there. `bytes_needed`: what it takes."""

    code = "spool_full"

    def __init__(self, bytes_needed: int, bytes_max: int) -> None:
        super().__init__(
            f"{bytes_needed} bytes do not fit into the spool of {bytes_max} bytes",
            hint="worker.spool_bytes_max is what all jobs may use together",
        )
        self.bytes_needed = bytes_needed


class Spool:
    """The folder of the copies and its quota. The files have no names, so that a crash leaves nothing behind."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.folder = settings.spool or settings.session.with_suffix(".spool")
        self._bytes_max = settings.spool_bytes_max
        self._bytes_used = 0

    @property
    def free_bytes(self) -> int:
        """What may still be copied: by the quota, and by what is free on the disk."""
        folder = next(there for there in (self.folder, *self.folder.absolute().parents) if there.exists())
        return max(0, min(self._bytes_max - self._bytes_used, shutil.disk_usage(folder).free))

    @asynccontextmanager
    async def copy(self, source: Source) -> AsyncIterator[Source]:
        """All of `source`. Raises SpoolFullError, before anything is read where the size is known; SourceError."""
        copy = SpooledSource(source, await asyncio.to_thread(_unnamed_file, self.folder))
        try:
            self._take(copy, source.size_bytes or 0)
            async for piece in source.chunks():
                self._take(copy, copy.size_bytes + len(piece) - copy.bytes_taken)
                try:
                    await copy.append(piece)
                except OSError as error:
                    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                        raise
                    raise SpoolFullError(copy.bytes_taken, self._bytes_max) from error
            yield copy
        finally:
            copy.close()
            self._bytes_used -= copy.bytes_taken

    def _take(self, copy: SpooledSource, more_bytes: int) -> None:
        if more_bytes <= 0:
            return
        if self._bytes_used + more_bytes > self._bytes_max:
            raise SpoolFullError(copy.bytes_taken + more_bytes, self._bytes_max)
        self._bytes_used += more_bytes
        copy.bytes_taken += more_bytes


class SpooledSource:
    """A source that has been read to its end. Its own bytes are not counted again."""

    supports_ranges = True

    def __init__(self, original: Source, file: BinaryIO) -> None:
        self._original = original
        self._file = file
        self.size_bytes = 0
        self.bytes_taken = 0  # of the quota

    @property
    def content_type(self) -> str:
        return self._original.content_type

    @property
    def stamp(self) -> str | None:
        return self._original.stamp

    @property
    def duration_s(self) -> float | None:
        return self._original.duration_s

    @property
    def bytes_read(self) -> int:
        return self._original.bytes_read

    async def append(self, data: bytes) -> None:
        """Add to the end."""
        writing = asyncio.ensure_future(asyncio.to_thread(_write_all, self._file.fileno(), data))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait([writing])  # a descriptor that is closed meanwhile is soon another file's
            raise
        self.size_bytes += len(data)

    async def read(self, offset: int, length: int) -> bytes:
        """`length` bytes at `offset`; fewer only where the file ends."""
        return await asyncio.to_thread(os.pread, self._file.fileno(), length, offset)

    async def chunks(self, start: int = 0) -> AsyncIterator[bytes]:
        """The file from `start` to its end."""
        position = start
        while piece := await self.read(position, PIECE_BYTES):
            yield piece
            position += len(piece)

    def close(self) -> None:
        """Free the disk."""
        self._file.close()


def _unnamed_file(folder: Path) -> BinaryIO:
    """A file without a name in `folder`, which is made if need be; writes are not buffered."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return tempfile.TemporaryFile(dir=folder, buffering=0)  # O_TMPFILE, or unlinked at once


def _write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
