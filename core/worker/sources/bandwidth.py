"""The rate at which all jobs together may read."""

from __future__ import annotations

from telecine.core.clock import Clock

BURST_S = 0.25  # what may come at once after a pause


class Bandwidth:
    """A bucket of bytes that fills at a rate. Who takes more than is in it waits until it would be full enough again.

    `bytes_per_s` None: no limit.
    """

    def __init__(self, bytes_per_s: int | None, clock: Clock) -> None:
        self._bytes_per_s = bytes_per_s
        self._clock = clock
        self._due_s = clock.monotonic_s()  # when all that was taken so far has been paid for

    async def take(self, size_bytes: int) -> None:
        """Account for bytes that have come, and wait as long as they are too many. Turns are kept: what was taken
        earlier is paid for earlier."""
        if self._bytes_per_s is None or not size_bytes:
            return
        now_s = self._clock.monotonic_s()
        self._due_s = max(self._due_s, now_s - BURST_S) + size_bytes / self._bytes_per_s
        if self._due_s > now_s:
            await self._clock.sleep(self._due_s - now_s)
