"""A clock for tests that wait long, and are not to."""

from __future__ import annotations

import asyncio


class JumpingClock:
    """Whoever sleeps on it wakes at once, later. It goes where it is put, and remembers for how long it was slept."""

    def __init__(self, now_s: float = 0.0) -> None:
        self.now_s = now_s
        self.slept_s: list[float] = []

    def now_ms(self) -> int:
        return int(self.now_s * 1000)

    def monotonic_s(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        due_s = self.now_s + seconds
        self.slept_s.append(seconds)
        await asyncio.sleep(0)
        self.now_s = max(self.now_s, due_s)
