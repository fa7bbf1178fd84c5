"""A source whose bytes are at hand, and that counts which of them are read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

BLOCK_BYTES = 64 * 1024  # what a real source rounds reading to, and keeps


class HeldSource:
    """Bytes, or a file of any size, as a media child reads them."""

    stamp: str | None = None
    duration_s: float | None = None
    content_type = "application/octet-stream"

    def __init__(self, content: bytes | Path, *, supports_ranges: bool = True, knows_size: bool = True) -> None:
        self._content = content
        self._length = len(content) if isinstance(content, bytes) else content.stat().st_size
        self._blocks: set[int] = set()
        self.size_bytes = self._length if knows_size else None
        self.supports_ranges = supports_ranges

    def replace(self, content: bytes) -> None:
        """Hold other bytes, of the same number."""
        assert len(content) == self._length
        self._content = content

    @property
    def bytes_read(self) -> int:
        return len(self._blocks) * BLOCK_BYTES

    async def read(self, offset: int, length: int) -> bytes:
        end = min(offset + length, self._length)
        self._blocks.update(range(offset // BLOCK_BYTES, -(-end // BLOCK_BYTES)))
        if isinstance(self._content, bytes):
            return self._content[offset:end]
        with self._content.open("rb") as file:
            file.seek(offset)
            return file.read(max(0, end - offset))

    async def chunks(self, start: int = 0) -> AsyncIterator[bytes]:
        while data := await self.read(start, BLOCK_BYTES):
            yield data
            start += len(data)

    def close(self) -> None:
        """Nothing is open."""
