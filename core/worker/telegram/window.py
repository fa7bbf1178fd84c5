"""How many upload parts are under way at once: as many as pay, and fewer after trouble.

Throughput is bytes under way by round trip, until the line, the processor or Telegram is the limit. So:

- A round is as many parts as were allowed when it began, all sent while there was always another one waiting; one
  that found the source too slow, or nothing to send, tells nothing and is begun anew.
- What is allowed is doubled, and stays so if a round then carries at least GAIN times the bytes per second of the one
  before. If two rounds do not, the step is taken back, for more parts under way would only wait; after PROBE_ROUNDS
  rounds it is tried again.
- A lost connection, a timeout or a wait that Telegram asks for halves what is allowed, once for all parts that were
  under way then. Up to that half it doubles again; above it, each round adds one part.
"""

from __future__ import annotations

import asyncio
from collections import deque

from telecine.core.clock import Clock

PARTS_AT_START = 8  # 4 MiB, what Telegram's own clients keep under way
PARTS_MIN = 2
GAIN = 1.1
MISSES_MAX = 2
PROBE_ROUNDS = 8


class Window:
    """The number, `size`, and its rule. `parts_max` bounds it."""

    def __init__(self, parts_max: int, clock: Clock) -> None:
        self.size = min(PARTS_AT_START, parts_max)
        self._parts_max = parts_max
        self._clock = clock
        self._ceiling = parts_max
        self._step_from: int | None = None
        self._before_bytes_per_s = 0.0
        self._misses = 0
        self._rounds_to_hold = 0
        self._cut_at_s = -1.0
        self._begin()

    def arrived(self, size_bytes: int, *, waiting: bool) -> None:
        """A part got through; `waiting`: others stood in line for its place."""
        if not waiting:
            self._begin()
            return
        self._parts += 1
        self._bytes += size_bytes
        if self._parts >= self._parts_due:
            self._judge()
            self._begin()

    def failed(self, sent_at_s: float) -> None:
        """A part that was sent at that time did not get through for trouble with the line or with Telegram."""
        if sent_at_s <= self._cut_at_s:
            return  # of the trouble that has been answered already
        self._cut_at_s = self._clock.monotonic_s()
        self.size = max(min(PARTS_MIN, self._parts_max), self.size // 2)
        self._ceiling = self.size
        self._step_from, self._misses, self._rounds_to_hold = None, 0, 0
        self._begin()

    def _begin(self) -> None:
        self._began_at_s = self._clock.monotonic_s()
        self._parts, self._bytes, self._parts_due = 0, 0, self.size

    def _judge(self) -> None:
        seconds = self._clock.monotonic_s() - self._began_at_s
        bytes_per_s = self._bytes / max(seconds, 1e-6)
        if self._rounds_to_hold:
            self._rounds_to_hold -= 1
        elif self._step_from is None or bytes_per_s >= GAIN * self._before_bytes_per_s:
            self._before_bytes_per_s, self._misses = bytes_per_s, 0
            self._grow()
        elif self._misses + 1 < MISSES_MAX:
            self._misses += 1
        else:
            self.size, self._step_from, self._misses = self._step_from, None, 0
            self._rounds_to_hold = PROBE_ROUNDS

    def _grow(self) -> None:
        self._step_from = None
        if self.size < self._ceiling:
            self._step_from, self.size = self.size, min(self.size * 2, self._ceiling)
        elif self.size < self._parts_max:
            self.size += 1
            self._ceiling = self.size


class Slots:
    """Places for the parts under way of all uploads together, given in the order in which they are asked for."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._taken = 0
        self._queue: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> bool:
        """Whether somebody stands in line."""
        return bool(self._queue)

    async def acquire(self) -> None:
        """Wait for a place."""
        if not self._queue and self._taken < self._window.size:
            self._taken += 1
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.cancelled():
                self._queue = deque(other for other in self._queue if other is not place)
            else:
                self.release()  # it was given and is not used
            raise

    def release(self) -> None:
        """Give a place back, and hand out as many as there are now."""
        self._taken -= 1
        while self._queue and self._taken < self._window.size:
            place = self._queue.popleft()
            if not place.done():  # else whoever waited was cancelled, and has not run since
                self._taken += 1
                place.set_result(None)
