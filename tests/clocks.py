"""Clocks for tests that wait long, and are not to."""

from __future__ import annotations

import asyncio

START_MS = 1_700_000_000_000


class JumpingClock:
    """Whoever sleeps on it wakes at once, later. It goes where it is put, and remembers for how long it was slept; who
    sleeps for no time at all only lets others have their turn."""

    def __init__(self, now_s: float = 0.0) -> None:
        self.now_s = now_s
        self.slept_s: list[float] = []

    def now_ms(self) -> int:
        return round(self.now_s * 1000)

    def monotonic_s(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        due_s = self.now_s + seconds
        if seconds:
            self.slept_s.append(seconds)
        await asyncio.sleep(0)
        self.now_s = max(self.now_s, due_s)


class HandClock:
    """Moves when a test moves it; sleepers wake when their time has come."""

    def __init__(self) -> None:
        self.ms = START_MS
        self._sleepers: list[tuple[int, asyncio.Future[None]]] = []

    def now_ms(self) -> int:
        return self.ms

    def monotonic_s(self) -> float:
        return self.ms / 1000

    async def sleep(self, seconds: float) -> None:
        sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.ms + round(seconds * 1000), sleeper))
        self._wake()
        await sleeper

    def advance(self, seconds: float) -> None:
        self.ms += round(seconds * 1000)
        self._wake()

    def _wake(self) -> None:
        for due_ms, sleeper in self._sleepers:
            if due_ms <= self.ms and not sleeper.done():
                sleeper.set_result(None)
        self._sleepers = [entry for entry in self._sleepers if not entry[1].done()]
