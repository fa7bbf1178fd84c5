"""What a worker reads: a file or a stream behind a link, wherever it lies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from telecine.core.worker.sources.errors import SourceError
from telecine.core.worker.sources.limits import SourceLimits

__all__ = ["Source", "SourceError", "SourceLimits"]


class Source(Protocol):
    """An open link, read anywhere while it is probed, then once from start to end. For one reader at a time.

    All its methods raise SourceError. `Sources.open` makes one.
    """

    @property
    def size_bytes(self) -> int | None:
        """Length of the file, where it is known before the end."""
        ...

    @property
    def supports_ranges(self) -> bool:
        """Whether reading elsewhere than where one stands costs little."""
        ...

    @property
    def content_type(self) -> str:
        """What the host says it is, which need not be true."""
        ...

    @property
    def stamp(self) -> str | None:
        """A strong validator: the same stamp of the same link means the same bytes. None where there is none."""
        ...

    @property
    def duration_s(self) -> float | None:
        """Length in seconds as a playlist declares it; None for files, which say so themselves."""
        ...

    @property
    def bytes_read(self) -> int:
        """Bytes that have come from the host so far, those read twice counted twice."""
        ...

    async def read(self, offset: int, length: int) -> bytes:
        """`length` bytes at `offset`; fewer only where the file ends."""
        ...

    def chunks(self, start: int = 0) -> AsyncIterator[bytes]:
        """The file from `start` to its end, in pieces of any size."""
        ...

    def close(self) -> None:
        """Give up what has not been read."""
        ...
