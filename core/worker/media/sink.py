"""An MP4 that is muxed straight into upload parts: only its head is held back until the index is known.

The muxer is told to leave a hole behind `ftyp` for the index (`moov_size`). It writes the body behind the hole, part
after part, and the index at the very end. Where the index turns out larger than its hole it goes behind the body
instead: the offsets in it stay right, and the file plays everywhere, though not before it is loaded.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TypeAlias

from telecine.core.plans import PART_BYTES

HEAD_AFTER_HOLE_BYTES = 32  # the header of `mdat`, whose length is filled in at the end
BOX_HEADER_BYTES = 8


PartBytes: TypeAlias = "bytes | memoryview"  # lent for the call
Emit: TypeAlias = Callable[[int, PartBytes], None]


class PartSink:
    """A file to write an MP4 to; `emit(index, data)` gets each part as soon as no byte of it can change."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._position = 0
        self._size = 0
        self._head = bytearray()  # the first bytes, as many as may still change
        self._hole: tuple[int, int] | None = None
        self._tail = bytearray()  # the part that is being filled
        self._index: bytearray | None = None  # what the muxer writes into the hole and, if need be, beyond
        self._writes_index = False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """The first jump beyond the end makes the hole, and the first back to it begins the index.

        An index longer than the muxer's buffer is not written in one go: the muxer comes back to fill in lengths.
        """
        self._position = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence] + offset
        if self._position > self._size and self._hole is None:
            self._hole = (self._size, self._position)
            self._head.extend(bytes(_whole_parts(self._position + HEAD_AFTER_HOLE_BYTES) - len(self._head)))
            self._size = self._position
        if self._hole is not None and self._index is None and self._position == self._hole[0]:
            self._index = bytearray()
        self._writes_index = self._place_in_index() is not None
        return self._position

    def write(self, data: bytes) -> int:
        """Raises OSError for a write into what has been emitted, which no muxer does."""
        place = self._place_in_index() if self._writes_index else None
        if self._index is not None and place is not None:
            self._index[place : place + len(data)] = data
            self._position += len(data)
            return len(data)
        self._write_head(data)
        beyond = max(0, len(self._head) - self._position) if self._hole else len(data)
        if len(data) > beyond:
            self._append(data[beyond:], self._position + beyond)
        self._position += len(data)
        self._size = max(self._size, self._position)
        return len(data)

    def mute(self) -> None:
        """Emit nothing any more."""
        self._emit = lambda index, data: None

    def finish(self, mend: Callable[[bytes], bytes] = bytes) -> bool:
        """Emit what is held back. Returns whether the index found its place in front.

        `mend` may change what the index says, but not how long it is.
        """
        index = mend(self._take_index())
        start, end = self._hole or (0, 0)
        room = end - start - len(index)
        fits = room == 0 or room >= BOX_HEADER_BYTES
        if fits:
            self._head[start:end] = index + _free_box(room)
        else:
            self._head[start:end] = _free_box(end - start)
            self._place_behind(index)
        self._emit_rest()
        return fits and bool(index)

    @property
    def size_bytes(self) -> int:
        """How long the file is by now."""
        return self._size

    @property
    def index_bytes(self) -> int:
        """How long the index is; 0 before the muxer has written it."""
        return len(self._index or b"")

    def _place_in_index(self) -> int | None:
        """Where in the index the position is; None for elsewhere."""
        if self._hole is None or self._index is None:
            return None
        place = self._position - self._hole[0]
        return place if 0 <= place <= len(self._index) else None

    def _write_head(self, data: bytes) -> None:
        if self._hole is None:
            self._head[self._position : self._position + len(data)] = data
            return
        room = len(self._head) - self._position
        if room > 0:
            self._head[self._position : self._position + min(room, len(data))] = data[:room]

    def _append(self, data: bytes, at: int) -> None:
        """Add to the body, behind the parts that the head fills."""
        if at != max(self._size, len(self._head)):
            raise OSError(f"a write at {at} into what has been emitted")
        view = memoryview(data)
        if self._tail:
            taken = PART_BYTES - len(self._tail)
            self._tail += view[:taken]
            if len(self._tail) < PART_BYTES:
                return
            self._emit(at // PART_BYTES, memoryview(self._tail))
            self._tail = bytearray()
            view, at = view[taken:], at + taken
        while len(view) >= PART_BYTES:
            self._emit(at // PART_BYTES, view[:PART_BYTES])
            view, at = view[PART_BYTES:], at + PART_BYTES
        self._tail += view

    def _take_index(self) -> bytes:
        """The index box alone, without the filling that the muxer puts behind it."""
        written = bytes(self._index or b"")
        return written[: int.from_bytes(written[:4], "big")]

    def _place_behind(self, index: bytes) -> None:
        self._writes_index = False
        self._position = self._size
        self.write(index)

    def _emit_rest(self) -> None:
        if self._tail:
            self._emit(self._size // PART_BYTES, bytes(self._tail))
        for start in range(0, min(len(self._head), self._size), PART_BYTES):
            self._emit(start // PART_BYTES, bytes(self._head[start : min(start + PART_BYTES, self._size)]))


def _whole_parts(length: int) -> int:
    return -(-length // PART_BYTES) * PART_BYTES


def _free_box(length: int) -> bytes:
    """A box of nothing, `length` bytes long: 0, or 8 and more."""
    return length.to_bytes(4, "big") + b"free" + bytes(length - BOX_HEADER_BYTES) if length else b""
