"""Sources on the worker's own disks."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from telecine.core.reasons import Reason
from telecine.core.worker.sources.bandwidth import Bandwidth
from telecine.core.worker.sources.errors import SourceError
from telecine.core.worker.sources.meter import Meter

PIECE_BYTES = 1024 * 1024


class FileSource:
    """A `Source` that is a regular file under one of the allowed folders. Raises SourceError."""

    supports_ranges = True
    content_type = "application/octet-stream"
    duration_s: float | None = None

    def __init__(self, descriptor: int, meter: Meter, bandwidth: Bandwidth) -> None:
        self._descriptor = descriptor
        self._meter = meter
        self._bandwidth = bandwidth
        self._version = _version(descriptor)

    @classmethod
    async def open(cls, url: str, roots: Sequence[Path], meter: Meter, bandwidth: Bandwidth) -> FileSource:
        """The file that a `file:` URL names."""
        path = _path(url)
        if not roots:
            raise SourceError(Reason.FORBIDDEN, "file: links are not allowed here: worker.file_roots names no folder")
        return cls(await asyncio.to_thread(_open_within, path, roots), meter, bandwidth)

    @property
    def size_bytes(self) -> int:
        """Length of the file when it was opened."""
        return self._version[0]

    @property
    def stamp(self) -> str | None:
        """Size, time of the last change, and number of the file."""
        return " ".join(str(number) for number in self._version)

    @property
    def bytes_read(self) -> int:
        """Bytes that were read, those read twice counted twice."""
        return self._meter.bytes_read

    async def read(self, offset: int, length: int) -> bytes:
        """`length` bytes at `offset`; fewer only where the file ends."""
        length = max(0, min(length, self.size_bytes - offset))
        data = await self._meter.wait(lambda: asyncio.to_thread(self._read_at, offset, length)) if length else b""
        await self._bandwidth.take(len(data))
        return data

    async def chunks(self, start: int = 0) -> AsyncIterator[bytes]:
        """The file from `start` to its end."""
        position = start
        while piece := await self.read(position, PIECE_BYTES):
            yield piece
            position += len(piece)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _read_at(self, offset: int, length: int) -> bytes:
        try:
            data = os.pread(self._descriptor, length, offset)
            changed = _version(self._descriptor) != self._version
        except OSError as error:
            raise SourceError(Reason.NETWORK, f"the file cannot be read: {error.strerror}") from error
        if changed:
            raise SourceError(Reason.WRONG_CONTENT, "the file changed while it was read")
        return data


def _path(url: str) -> Path:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise SourceError(Reason.GONE, "is not a URL") from error
    if parts.netloc not in ("", "localhost"):
        raise SourceError(Reason.FORBIDDEN, "a file: link to another machine")
    path = unquote(parts.path)
    if not path.startswith("/") or "\0" in path:
        raise SourceError(Reason.GONE, "a file: link needs an absolute path")
    return Path(path)


def _open_within(path: Path, roots: Sequence[Path]) -> int:
    """A descriptor of the regular file that `path` leads to, which is within a root once all links are followed."""
    try:
        real = path.resolve()
        for root in roots:
            real_root = root.resolve()
            if real.is_relative_to(real_root) and real != real_root:
                return _regular(_descend(real_root, real.relative_to(real_root).parts))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SourceError(Reason.GONE, "there is no such file") from error
    except PermissionError as error:
        raise SourceError(Reason.FORBIDDEN, "the file may not be read by this worker") from error
    except (OSError, RuntimeError) as error:  # RuntimeError: symbolic links that lead in a circle
        raise SourceError(Reason.GONE, "the file cannot be opened") from error
    raise SourceError(Reason.FORBIDDEN, "lies under none of the folders of worker.file_roots")


def _descend(root: Path, names: Sequence[str]) -> int:
    """Opens name by name and follows no link, so that none that appears after the check leads out of the root."""
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for name in names[:-1]:
        try:
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        finally:
            os.close(folder)
        folder = inner
    try:  # O_NONBLOCK: a pipe that nobody writes to does not hold the worker up
        return os.open(names[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    finally:
        os.close(folder)


def _regular(descriptor: int) -> int:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise SourceError(Reason.NOT_MEDIA, "is no regular file")
    return descriptor


def _version(descriptor: int) -> tuple[int, int, int]:
    found = os.fstat(descriptor)
    return found.st_size, found.st_mtime_ns, found.st_ino
