"""A file behind a link: read anywhere while it is probed, then once from start to end."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator

from telecine.core.clock import Clock
from telecine.core.reasons import Reason
from telecine.core.worker.sources.body import Body, Link, RateFloor, SourceLimits
from telecine.core.worker.sources.errors import BrokenOffError, SourceError

BLOCK_BYTES = 64 * 1024  # what reads are rounded to
CACHED_BLOCKS_MAX = 64  # 4 MiB: head and tail of a probe are still there when the real reading begins
READ_THROUGH_BYTES_MAX = 8 * BLOCK_BYTES  # a jump ahead by less costs less than another request
SPAN_BYTES_MIN = 2 * BLOCK_BYTES  # asked for after a jump; doubles while reading goes on from there
SPAN_BYTES_MAX = 8 * 1024 * 1024  # beyond this, the rest of the file is asked for
RESTARTS_MAX = 3  # times that a host without ranges is asked to send the file from its start again
PROGRESS_BYTES_MIN = 1024 * 1024  # a resumption that brings this much was worth it
HTML_BEGINNINGS = (b"<!doctype", b"<html", b"<head", b"<body", b"<script", b"<?xml")


class WebSource:
    """A file of a web server. For one reader at a time. All its methods raise SourceError."""

    def __init__(self, link: Link, limits: SourceLimits, clock: Clock) -> None:
        self._link = link
        self._limits = limits
        self._clock = clock
        self._floor = RateFloor(limits, clock)
        self._body: Body | None = None
        self._held = bytearray()  # taken from the body beyond the last block
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._span_bytes: int | None = SPAN_BYTES_MIN
        self._restarts = 0
        self._resumes = 0
        self._resumed_at = 0
        self.bytes_read = 0

    async def open(self) -> None:
        """Ask for the head. Raises SourceError NOT_MEDIA for nothing or a page of HTML in place of the file."""
        self._body = await self._link.open(0, SPAN_BYTES_MIN)
        if self._body.position or (self._body.is_partial and self._body.stamp.size_bytes is None):
            self._body.close()  # ranges that are of no use
            self._body = await self._link.open(0, None)
        self.supports_ranges = self._body.is_partial
        self.content_type = self._body.content_type
        self._stamp = self._body.stamp
        head = await self._block(0)
        if not head:
            raise SourceError(Reason.NOT_MEDIA, "an empty file")
        if head[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(HTML_BEGINNINGS):
            raise SourceError(Reason.NOT_MEDIA, "a web page in place of a file")

    @property
    def size_bytes(self) -> int | None:
        """Length of the file, where the host says."""
        return self._stamp.size_bytes

    @property
    def stamp(self) -> str | None:
        """A strong validator of this version of the file; None where the host gives none."""
        return self._stamp.strong

    @property
    def duration_s(self) -> float | None:
        """A file's length in time is for the probe to tell."""
        return None

    async def read(self, offset: int, length: int) -> bytes:
        """`length` bytes at `offset`; fewer only where the file ends."""
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
        """The file from `start` to its end, in pieces of any size; a lost connection is taken up again."""
        position = start
        while position // BLOCK_BYTES in self._blocks:
            piece = self._blocks[position // BLOCK_BYTES][position % BLOCK_BYTES :]
            if not piece:
                break
            yield piece
            position += len(piece)
        if position == self.size_bytes:
            return
        self._span_bytes = None
        await self._go_to(position, span_bytes=None)
        if self._held:
            yield bytes(self._held)
            self._held.clear()
        while data := await self._take():
            yield data

    def close(self) -> None:
        """Give up what has not been read."""
        if self._body:
            self._body.close()
            self._body = None

    async def _block(self, index: int) -> bytes:
        if index in self._blocks:
            self._blocks.move_to_end(index)
            return self._blocks[index]
        if self.size_bytes is not None and index * BLOCK_BYTES >= self.size_bytes:
            return b""
        await self._go_to(index * BLOCK_BYTES, span_bytes=SPAN_BYTES_MIN)
        return await self._next_block() if self._position == index * BLOCK_BYTES else b""

    async def _next_block(self) -> bytes:
        """The block that the body stands at."""
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
        return (self._body.position if self._body else 0) - len(self._held)

    async def _go_to(self, position: int, *, span_bytes: int | None) -> None:
        """Have the body stand at `position`, by reading through or by asking anew for `span_bytes`."""
        ahead = position - self._position
        if self._body is None or ahead < 0 or (ahead > READ_THROUGH_BYTES_MAX and self.supports_ranges):
            self._span_bytes = span_bytes
            await self._open_at(position)
        while self._position < position:
            skipped = min(len(self._held), position - self._position)
            del self._held[:skipped]
            if not skipped:
                data = await self._take()
                if not data:
                    return
                self._held += data

    async def _open_at(self, position: int) -> None:
        """Ask for the file from `position` on; from its start where the host has no ranges."""
        self.close()
        self._held.clear()
        if not self.supports_ranges:
            self._restarts += 1
            if self._restarts > RESTARTS_MAX:
                raise SourceError(Reason.NOT_MEDIA, "needs reading in another order, and the host has no ranges")
            position, self._span_bytes = 0, None
        body = await self._link.open(position, self._span_bytes, self._stamp)
        if self._stamp.contradicts(body.stamp) or body.position != position:
            body.close()
            raise SourceError(Reason.WRONG_CONTENT, "the file changed while it was read")
        self._body = body

    async def _take(self) -> bytes:
        """The next bytes of the file, from another answer where one is used up or lost; empty at the end."""
        while True:
            body = self._body
            if body is None:
                return b""
            try:
                data = await body.take(self._floor)
            except BrokenOffError as error:
                await self._resume(body.position, error)
                continue
            self.bytes_read += len(data)
            if data or body.position == self.size_bytes or (self.size_bytes is None and body.reaches_end):
                return data
            if body.reaches_end:
                await self._resume(body.position, BrokenOffError(reset=False))
            else:
                await self._open_next_span(body.position)

    async def _open_next_span(self, position: int) -> None:
        span = self._span_bytes
        self._span_bytes = None if span is None or span >= SPAN_BYTES_MAX else span * 2
        try:
            await self._go_on_at(position)
        except SourceError as error:
            if error.reason is not Reason.NETWORK:
                raise
            await self._resume(position, BrokenOffError(reset=True))

    async def _resume(self, position: int, error: BrokenOffError) -> None:
        """Take a lost connection up again at `position`, a bounded number of times without progress."""
        if self.bytes_read - self._resumed_at >= PROGRESS_BYTES_MIN:
            self._resumes = 0
        self._resumed_at = self.bytes_read
        while self.supports_ranges and self._resumes < self._limits.resumes_max:
            await self._clock.sleep(self._limits.resume_wait_s * 2**self._resumes)
            self._resumes += 1
            try:
                return await self._go_on_at(position)
            except SourceError as refusal:
                if refusal.reason is not Reason.NETWORK:
                    raise
        of_size = f" of {self.size_bytes}" if self.size_bytes is not None else ""
        reason = Reason.NETWORK if error.reset else Reason.TRUNCATED
        raise SourceError(reason, f"{error} after {position} bytes{of_size}") from error

    async def _go_on_at(self, position: int) -> None:
        """Another answer in place of one that is used up or lost, with what has been taken from that kept."""
        held = bytes(self._held)
        try:
            await self._open_at(position)
        finally:
            self._held[:] = held
