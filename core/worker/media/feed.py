"""The worker's side of the child's reads: a jump is a read of its own, what goes straight on comes as one stream.

A source streamed from start to end may be read over several connections and ahead of need, which single reads are not.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

from telecine.core.worker.sources.source import Source

STREAM_AFTER_BYTES = 2 * 1024 * 1024  # read without a jump; poorly interleaved files jump all the time
SKIP_BYTES_MAX = 1024 * 1024  # a jump ahead by less is read through


class Feed:
    """Reads `source` for one who mostly reads straight on. All methods raise SourceError."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._stream: AsyncIterator[bytes] | None = None
        self._held = bytearray()  # taken from the stream beyond the last read
        self._position = 0  # where the last read ended
        self._straight_bytes = 0

    async def read(self, offset: int, length: int) -> bytes:
        """`length` bytes at `offset`; fewer only where the file ends."""
        ahead = offset - self._position
        if ahead:
            self._straight_bytes = 0
        if self._stream is not None and not 0 <= ahead <= SKIP_BYTES_MAX:
            await self.aclose()
        if self._stream is None and self._straight_bytes >= STREAM_AFTER_BYTES and self._source.supports_ranges:
            self._stream = self._source.chunks(offset)
        if self._stream is None:
            data = await self._source.read(offset, length)
        else:
            data = await self._streamed(self._stream, ahead, length)
        self._position = offset + len(data)
        self._straight_bytes += len(data)
        return data

    async def aclose(self) -> None:
        """Give up what has not been read."""
        stream, self._stream = self._stream, None
        self._held.clear()
        if isinstance(stream, AsyncGenerator):
            await stream.aclose()

    async def _streamed(self, stream: AsyncIterator[bytes], ahead: int, length: int) -> bytes:
        while len(self._held) < ahead + length and (piece := await anext(stream, b"")):
            if not self._held and not ahead and len(piece) == length:
                return piece
            self._held += piece
        data = bytes(memoryview(self._held)[ahead : ahead + length])
        del self._held[: ahead + length]
        return data
