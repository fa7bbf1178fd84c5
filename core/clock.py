"""Time as an argument: nothing in Telecine reads the system's clock but through a `Clock`."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Where the time comes from. Tests pass one that jumps."""

    def now_ms(self) -> int:
        """Wall clock, whole milliseconds since 1970-01-01 UTC. For what is written down."""
        ...

    def monotonic_s(self) -> float:
        """Seconds that only ever grow, from an unknown start. For measuring how long something took."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; at least one turn of the event loop even for zero."""
        ...


class SystemClock:
    """The machine's own time."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))
