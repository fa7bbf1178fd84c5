"""Files of web servers."""

from __future__ import annotations

from collections.abc import Callable

from telecine.core.worker.sources.ahead import PIECE_BYTES, Ahead, Piece
from telecine.core.worker.sources.body import Body
from telecine.core.worker.sources.company import Company
from telecine.core.worker.sources.link import Link
from telecine.core.worker.sources.run import Run
from telecine.core.worker.sources.streamed import SPAN_BYTES_MIN, Stream
from telecine.core.worker.sources.surroundings import Surroundings


class WebOrigin:
    """A file behind a link, as its first answer describes it. `open` makes one."""

    duration_s: float | None = None

    def __init__(self, link: Link, body: Body, around: Surroundings) -> None:
        self._link = link
        self._first: Body | None = body
        self._around = around
        self._stamp = body.stamp
        self.supports_ranges = body.is_partial
        self.content_type = body.content_type

    @classmethod
    async def open(cls, link: Link, around: Surroundings) -> WebOrigin:
        """Ask for the head. Raises SourceError."""
        body = await link.open(0, SPAN_BYTES_MIN)
        if body.position or (body.is_partial and body.stamp.size_bytes is None):
            body.close()  # ranges that are of no use
            body = await link.open(0, None)
        return cls(link, body, around)

    @property
    def size_bytes(self) -> int | None:
        """Length of the file, where the host says."""
        return self._stamp.size_bytes

    @property
    def stamp(self) -> str | None:
        """A strong validator of this version of the file; None where the host gives none."""
        return self._stamp.strong

    def stream(self, position: int, length: int | None) -> Stream:
        """The bytes from `position` on: of a short span over one connection, of all that is left over several."""
        size = self.size_bytes
        if length is not None or not self.supports_ranges or size is None:
            end = size if length is None or size is None else min(size, position + length)
            return self._run(position, end, body=self._first_answer(position))
        several = self._stamp.if_range is not None  # or a piece could be of another version of the file
        around = self._around
        company = Company(self._link.host, around.meter, around.clock, most=None if several else 1)
        return Ahead(self._pieces(position, size), company, around)

    def close(self) -> None:
        """Give up the first answer, if nobody has read it."""
        if self._first is not None:
            self._first.close()
            self._first = None

    def _pieces(self, position: int, size: int) -> Callable[[bool], Piece | None]:
        def next_piece(alone: bool) -> Piece | None:
            nonlocal position
            start = position
            position = size if alone else min(size, start + PIECE_BYTES)
            return self._run(start, position) if start < size else None

        return next_piece

    def _run(self, start: int, end: int | None, body: Body | None = None) -> Run:
        return Run(
            self._link,
            start,
            end,
            stamp=self._stamp,
            around=self._around,
            body=body,
            resumable=self.supports_ranges,
        )

    def _first_answer(self, position: int) -> Body | None:
        if position:
            self.close()
        body, self._first = self._first, None
        return body
