"""A clock for tests that wait long, and are not to."""

from __future__ import annotations

import asyncio


class JumpingClock:
    """Whoever sleeps on it wakes at once, later."""

    def __init__(self) -> None:
        self.time_s = 0.0

    def now_ms(self) -> int:
        return int(self.time_s * 1000)

    def monotonic_s(self) -> float:
        return self.time_s

    async def sleep(self, seconds: float) -> None:
        due_s = self.time_s + seconds
        await asyncio.sleep(0)
        self.time_s = max(self.time_s, due_s)
