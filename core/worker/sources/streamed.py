"""Sources that come as streams: read anywhere by reading on, or by asking for another stream."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import Protocol

from telecine.core.worker.sources.bandwidth import Bandwidth
from telecine.core.worker.sources.errors import OrderError
from telecine.core.worker.sources.meter import Meter

BLOCK_BYTES = 64 * 1024  # what reads are rounded to
CACHED_BLOCKS_MAX = 64  # 4 MiB: head and tail of a probe are still there when the real reading begins
READ_THROUGH_BYTES_MAX = 8 * BLOCK_BYTES  # a jump ahead by less costs less than another request
SPAN_BYTES_MIN = 2 * BLOCK_BYTES  # asked for after a jump; doubles while reading goes on from there
SPAN_BYTES_MAX = 8 * 1024 * 1024  # beyond this, the rest of the file is asked for
SKIPPED_BYTES_MAX = 64 * 1024 * 1024  # read and thrown away to get at what lies behind, of a source without ranges
RESTARTS_MAX = 3  # times that a source without ranges is read from its start again


class Stream(Protocol):
    """Bytes that come in order. Raises SourceError."""

    async def take(self) -> bytes:
        """The next bytes; empty at the end."""
        ...

    def close(self) -> None:
        """Give up the rest."""
        ...


class Origin(Protocol):
    """What streams come from."""

    @property
    def size_bytes(self) -> int | None: ...
    @property
    def supports_ranges(self) -> bool: ...
    @property
    def content_type(self) -> str: ...
    @property
    def stamp(self) -> str | None: ...
    @property
    def duration_s(self) -> float | None: ...

    def stream(self, position: int, length: int | None) -> Stream:
        """The bytes from `position` on, `length` of them or all. `position` is 0 where ranges are not supported."""
        ...


class StreamedSource:
    """A `Source` over an origin. Remembers blocks that were read, so that a probe's jumps cost little."""

    def __init__(self, origin: Origin, meter: Meter, bandwidth: Bandwidth) -> None:
        self._origin = origin
        self._meter = meter
        self._bandwidth = bandwidth
        self._stream: Stream | None = None
        self._stream_position = 0
        self._held = bytearray()  # taken from the stream beyond the last block
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._span_bytes: int | None = SPAN_BYTES_MIN
        self._restarts = 0
        self._owed_bytes = 0

    @property
    def size_bytes(self) -> int | None:
        """Length of the file, where the origin says."""
        return self._origin.size_bytes

    @property
    def supports_ranges(self) -> bool:
        """Whether reading elsewhere costs little."""
        return self._origin.supports_ranges

    @property
    def content_type(self) -> str:
        """What the origin says it is."""
        return self._origin.content_type

    @property
    def stamp(self) -> str | None:
        """The origin's strong validator."""
        return self._origin.stamp

    @property
    def duration_s(self) -> float | None:
        """Length in seconds, where a playlist declares it."""
        return self._origin.duration_s

    @property
    def bytes_read(self) -> int:
        """Bytes that have come from the host."""
        return self._meter.bytes_read

    async def read(self, offset: int, length: int) -> bytes:
        """`length` bytes at `offset`; fewer only where the file ends. Raises SourceError."""
        pieces, end = [], offset + length
        while offset < end:
            block = await self._block(offset // BLOCK_BYTES)
            start = offset % BLOCK_BYTES
            piece = block[start : start + end - offset]
            if not piece:
                break
            pieces.append(piece)
            offset += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def chunks(self, start: int = 0) -> AsyncIterator[bytes]:
        """The file from `start` to its end, in pieces of any size. Raises SourceError."""
        position = start
        while position // BLOCK_BYTES in self._blocks:
            piece = self._blocks[position // BLOCK_BYTES][position % BLOCK_BYTES :]
            if not piece:
                break
            yield piece
            position += len(piece)
        if position == self.size_bytes:
            return
        self._restarts = 0  # to read to the end is another matter than to read to and fro
        self._span_bytes = None
        await self._go_to(position, span_bytes=None)
        if self._held:
            held = bytes(self._held)
            self._held.clear()
            yield held
        while data := await self._take():
            yield data

    def close(self) -> None:
        """Give up what has not been read."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    async def _block(self, index: int) -> bytes:
        if index in self._blocks:
            self._blocks.move_to_end(index)
            return self._blocks[index]
        if self.size_bytes is not None and index * BLOCK_BYTES >= self.size_bytes:
            return b""
        await self._go_to(index * BLOCK_BYTES, span_bytes=SPAN_BYTES_MIN)
        return await self._next_block() if self._position == index * BLOCK_BYTES else b""

    async def _next_block(self) -> bytes:
        """The block that the stream stands at."""
        index = self._position // BLOCK_BYTES
        while len(self._held) < BLOCK_BYTES and (data := await self._take()):
            self._held += data
        block = bytes(memoryview(self._held)[:BLOCK_BYTES])
        del self._held[:BLOCK_BYTES]
        self._blocks[index] = block
        if len(self._blocks) > CACHED_BLOCKS_MAX:
            self._blocks.popitem(last=False)
        return block

    @property
    def _position(self) -> int:
        """Where in the file the next byte to hand out is."""
        return self._stream_position - len(self._held)

    async def _go_to(self, position: int, *, span_bytes: int | None) -> None:
        """Stand at `position`, by reading through or by asking anew for `span_bytes`."""
        ahead = position - self._position
        if ahead > SKIPPED_BYTES_MAX and not self.supports_ranges:
            raise OrderError  # who jumps that far comes back for what lies between
        if self._stream is None or ahead < 0 or (ahead > READ_THROUGH_BYTES_MAX and self.supports_ranges):
            self._span_bytes = span_bytes
            self._start_at(position)
        while self._position < position:
            skipped = min(len(self._held), position - self._position)
            del self._held[:skipped]
            if not skipped:
                data = await self._take()
                if not data:
                    return
                self._held += data

    def _start_at(self, position: int) -> None:
        """Another stream from `position` on; from the start where there are no ranges."""
        self._held.clear()
        if not self.supports_ranges:
            if self._stream is not None:
                self._restarts += 1
            if self._restarts > RESTARTS_MAX:
                raise OrderError
            position, self._span_bytes = 0, None
        self.close()
        self._stream = self._origin.stream(position, self._span_bytes)
        self._stream_position = position

    async def _take(self) -> bytes:
        """The next bytes of the file, from another stream where one is used up; empty at the end."""
        while self._stream is not None:
            owed_bytes, self._owed_bytes = self._owed_bytes, 0
            await self._bandwidth.take(owed_bytes)
            data = await self._stream.take()
            if data:
                self._stream_position += len(data)
                self._owed_bytes = len(data)  # paid for by the next, so that none is lost where waiting is cancelled
                return data
            if self.size_bytes is None or self._stream_position >= self.size_bytes:
                return b""
            self._go_on_with_next_span()
        return b""

    def _go_on_with_next_span(self) -> None:
        span = self._span_bytes
        self._span_bytes = None if span is None or span >= SPAN_BYTES_MAX else span * 2
        self.close()
        self._stream = self._origin.stream(self._stream_position, self._span_bytes)
