"""What comes from a host, and whether it comes fast enough."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from telecine.core.clock import Clock
from telecine.core.reasons import Reason
from telecine.core.worker.sources.errors import SourceError
from telecine.core.worker.sources.limits import SourceLimits


class Meter:
    """Counts the bytes of one source over all of its connections, and tells one that has stalled from a slow one.

    Only time in which some connection was waited on counts against the source, so that a consumer may take as long as
    it likes; and a connection that lags is forgiven as long as the others bring enough.
    """

    def __init__(self, limits: SourceLimits, clock: Clock) -> None:
        self._floor_bytes = limits.stall_bytes_per_s * limits.stall_window_s
        self._window_s = limits.stall_window_s
        self._clock = clock
        self._waiting = 0
        self._counted_to_s = 0.0
        self._waited_s = 0.0
        self._window_bytes = 0
        self._window_no = 0
        self.bytes_read = 0

    async def wait(self, take: Callable[[], Awaitable[bytes]]) -> bytes:
        """`await take()`, which may be given up and called anew. Raises SourceError STALLED."""
        while True:
            data, window_no = None, self._window_no
            self._count_time()
            self._waiting += 1
            try:
                async with asyncio.timeout(max(0.0, self._window_s - self._waited_s)):
                    data = await take()
            except TimeoutError:
                if window_no == self._window_no:
                    self._waited_s = self._window_s
            finally:
                self._count_time()
                self._waiting -= 1
            self._receive(len(data or b""))
            if self._waited_s >= self._window_s:
                self._judge()
            if data is not None:
                return data

    def _receive(self, size_bytes: int) -> None:
        self.bytes_read += size_bytes
        self._window_bytes += size_bytes

    def _count_time(self) -> None:
        now_s = self._clock.monotonic_s()
        if self._waiting:
            self._waited_s += now_s - self._counted_to_s
        self._counted_to_s = now_s

    def _judge(self) -> None:
        window_bytes, self._window_bytes = self._window_bytes, 0
        self._waited_s = 0.0
        self._window_no += 1
        if window_bytes < self._floor_bytes:
            raise SourceError(Reason.STALLED, f"sent {window_bytes} bytes in {self._window_s:g} s")
