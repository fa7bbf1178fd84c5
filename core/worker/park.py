"""Waiting until Telegram takes messages of the account again."""

from __future__ import annotations

import logging

from telecine.core.clock import Clock

logger = logging.getLogger(__name__)


class Park:
    """The time within a lease in which parts may be uploaded, but no message sent.

    Counted from when the lease was there, a moment after it began: a message that comes too early prolongs the wait.
    """

    def __init__(self, clock: Clock, parked_s: float) -> None:
        self._clock = clock
        self._until_s = clock.monotonic_s() + parked_s

    async def over(self) -> None:
        """Return once messages may be sent."""
        left_s = self._until_s - self._clock.monotonic_s()
        if left_s > 0:
            logger.info("the account may send nothing for another %.0f s", left_s)
        while left_s > 0:
            await self._clock.sleep(left_s)
            left_s = self._until_s - self._clock.monotonic_s()
