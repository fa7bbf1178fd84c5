"""Messages of an account spread over time, so that Telegram does not take it for a spammer."""

from __future__ import annotations

import asyncio

from telecine.core.clock import Clock


class Pace:
    """A bucket that gains a token each `60 / per_minute` seconds and holds `burst` of them; each message takes one.

    Shared by all jobs of an account; they are served in the order in which they ask.
    """

    def __init__(self, clock: Clock, *, per_minute: float, burst: int) -> None:
        self._clock = clock
        self._gain_s = 60.0 / per_minute
        self._burst_s = (burst - 1) * self._gain_s
        self._due_at_s = clock.monotonic_s() - self._burst_s
        self._turn = asyncio.Lock()

    async def turn(self) -> float:
        """Return when a message may be sent; the seconds that it took."""
        began_s = self._clock.monotonic_s()
        async with self._turn:
            while (wait_s := self._due_at_s - self._clock.monotonic_s()) > 0:
                await self._clock.sleep(wait_s)
            now_s = self._clock.monotonic_s()
            self._due_at_s = max(self._due_at_s, now_s - self._burst_s) + self._gain_s
        return now_s - began_s
