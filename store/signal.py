"""Tells waiting claims that they may succeed now: after an insert, a sweep, a settlement, or when a park ends."""

from __future__ import annotations

import asyncio

from telecine.core.clock import Clock


class WorkSignal:
    """Whoever waits is woken by the next news; whoever comes later waits for the news after that.

    So a claim misses nothing where the wait begins before it looks at the queue.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: set[asyncio.Future[None]] = set()
        self._unparks_ms: set[int] = set()

    def notify(self, _change: object = None) -> None:
        """Something may be claimed now that could not be before. Wakes everyone who waits."""
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)

    def unpark_at(self, at_ms: int) -> None:
        """A park ends at `at_ms`: an account may claim again, or a host be read from."""
        self._unparks_ms.add(at_ms)
        self.notify()  # whoever waits already has a later time in mind

    async def wait(self, timeout_s: float) -> None:
        """Return at the next news, when the next park ends, or after `timeout_s`."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        timer = asyncio.create_task(self._clock.sleep(self._patience_s(timeout_s)))
        try:
            await asyncio.wait({waiter, timer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._waiting.discard(waiter)
            timer.cancel()

    def _patience_s(self, timeout_s: float) -> float:
        now_ms = self._clock.now_ms()
        self._unparks_ms = {at_ms for at_ms in self._unparks_ms if at_ms > now_ms}
        unparks_s = [(at_ms - now_ms) / 1000 for at_ms in self._unparks_ms]
        return max(0.0, min(timeout_s, *unparks_s)) if unparks_s else max(0.0, timeout_s)
