"""Waiting until Telegram takes messages of the account again."""

from __future__ import annotations

import asyncio
import logging

from telecine.core.clock import Clock
from telecine.core.worker.waiting import first_of

logger = logging.getLogger(__name__)


class Park:
    """The time in which parts may be uploaded, but no message sent: the account's, whatever lease learnt of it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until_s = clock.monotonic_s()
        self._noted_s = self._until_s
        self._moved = asyncio.Event()

    @property
    def left_s(self) -> float:
        """Seconds that are left; 0.0 while messages may be sent."""
        return max(0.0, self._until_s - self._clock.monotonic_s())

    def note(self, wait_s: float) -> None:
        """Telegram has just said how long it wants no more messages."""
        self._noted_s = self._clock.monotonic_s()
        self._move(max(self._until_s, self._noted_s + wait_s))

    def told(self, parked_s: float, *, since_s: float) -> None:
        """What the coordinator said of it in a lease or to a beat that began after the monotonic time `since_s`.

        It has the last word, for an operator may have let the account go on; but not where it spoke before it knew of
        the last wait. The time counts from now, a moment late: a message that comes too early prolongs the wait.
        """
        until_s = self._clock.monotonic_s() + parked_s
        self._move(until_s if since_s >= self._noted_s else max(self._until_s, until_s))

    async def over(self) -> None:
        """Return once messages may be sent."""
        if self.left_s > 0:
            logger.info("the account may send nothing for another %.0f s", self.left_s)
        while (left_s := self.left_s) > 0:
            await first_of(self._clock.sleep(left_s), self._moved.wait())

    def _move(self, until_s: float) -> None:
        self._until_s = until_s
        self._moved.set()  # wakes who waits now
        self._moved = asyncio.Event()
