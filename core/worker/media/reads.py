"""The child's reads of its source: the next is asked for while the last is worked on, where one goes on from the other.

Each read is a round trip to the worker, and perhaps to the source's host. While FFmpeg reads from start to end, the
answer to the next is there before it is needed. Jumps, and the first reads of a probe, bring what was asked for alone.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from telecine.core.worker.media.shared import READ_BYTES_MAX, READ_PLACES, SharedMemory

AHEAD_AFTER_BYTES = 1024 * 1024  # read without a jump


class Span(msgspec.Struct, frozen=True):
    """Bytes of the source, from `offset` to `end`, in a place of the shared memory."""

    offset: int
    end: int
    place: int

    def holds(self, offset: int) -> bool:
        return self.offset <= offset < self.end


class Reads:
    """`ask(place, offset, length)` sends for bytes, `answer()` waits for how many have come, in the order asked for."""

    def __init__(self, memory: SharedMemory, ask: Callable[[int, int, int], None], answer: Callable[[], int]) -> None:
        self._memory = memory
        self._ask = ask
        self._answer = answer
        self._here = Span(0, 0, 0)
        self._coming: Span | None = None
        self._straight_bytes = 0

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes of the source; fewer only where it ends."""
        pieces, end = [], offset + length
        while offset < end:
            if not self._here.holds(offset):
                self._fetch(offset, end - offset)
            piece = self._memory.take_read(
                self._here.place, offset - self._here.offset, min(end, self._here.end) - self._here.offset
            )
            if not piece:
                break
            pieces.append(piece)
            offset += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _fetch(self, offset: int, length: int) -> None:
        goes_on = offset == self._here.end
        self._straight_bytes = self._straight_bytes + length if goes_on else 0
        coming, self._coming = self._coming, None
        if coming is not None:
            here = self._arrived(coming)
            if here.offset == offset:
                self._here = here
                self._look_ahead(here, coming)
                return
        reads_on = self._straight_bytes >= AHEAD_AFTER_BYTES
        asked = self._asked(offset, READ_BYTES_MAX if reads_on else min(length, READ_BYTES_MAX))
        self._here = self._arrived(asked)
        if reads_on:
            self._look_ahead(self._here, asked)

    def _look_ahead(self, here: Span, asked: Span) -> None:
        if here.end == asked.end:
            self._coming = self._asked(here.end, READ_BYTES_MAX)

    def _asked(self, offset: int, length: int) -> Span:
        place = (self._here.place + 1) % READ_PLACES
        self._ask(place, offset, length)
        return Span(offset, offset + length, place)

    def _arrived(self, asked: Span) -> Span:
        return Span(asked.offset, asked.offset + self._answer(), asked.place)
