"""The wish to stop, as a worker obeys it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Self, TypeVar

from telecine.core.clock import Clock
from telecine.core.worker.waiting import ended

T = TypeVar("T")


class Watch:
    """Turns the wish to stop into two events: stop claiming at once, and hurry when the grace is over."""

    def __init__(self, stop: asyncio.Event, clock: Clock, grace_s: float) -> None:
        self.stop = stop
        self._clock = clock
        self._grace_s = grace_s
        self.hurry = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._waiting = asyncio.create_task(self._wait())
        return self

    async def __aexit__(self, *_: object) -> None:
        await ended(self._waiting)

    @property
    def stopping(self) -> bool:
        return self.stop.is_set()

    async def unless_stopped(self, work: Coroutine[Any, Any, T]) -> T | None:
        """The result of `work`, or None where the wish to stop came first and cut it off."""
        working = asyncio.create_task(work)
        stopped = asyncio.create_task(self.stop.wait())
        try:
            await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await ended(working, stopped)
        return None if working.cancelled() else working.result()

    async def _wait(self) -> None:
        await self.stop.wait()
        await self._clock.sleep(self._grace_s)
        self.hurry.set()
