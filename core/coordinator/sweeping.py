"""The loop that lets time pass for the queue."""

from __future__ import annotations

import logging
from collections.abc import Callable

from telecine.core.clock import Clock
from telecine.core.errors import StoreError, UnavailableError
from telecine.core.leases import Sweeper, Swept

logger = logging.getLogger(__name__)

SWEEP_PAUSE_S_MIN = 0.05  # something that stays due must not keep the loop spinning
LEAP_S = 5.0  # by how much the wall clock may leave the other one between two sweeps; less is within a beat's margin


async def sweep_forever(
    sweeper: Sweeper, clock: Clock, interval_s: float, *, on_swept: Callable[[Swept], None] | None = None
) -> None:
    """Sweep, then wait for the next due time or `interval_s`, whichever comes first; until cancelled.

    Leases are renewed before the first sweep, after one that failed, and whenever the wall clock was put or the machine
    slept: no worker could beat in the time that has passed then. A database that does not answer is tried again after
    `interval_s`; anything else ends the loop with its error. `on_swept` hears of every sweep that moved something.
    """
    known_s: float | None = None
    while True:
        try:
            ahead_s = _ahead_s(clock)
            if known_s is None or abs(ahead_s - known_s) > LEAP_S:
                await sweeper.renew()
                if known_s is not None:
                    logger.warning("the clock leapt by %+.0f s: all leases begin anew", ahead_s - known_s)
            known_s = ahead_s
            swept = await sweeper.sweep()
        except (StoreError, UnavailableError) as error:
            logger.warning("the queue could not be swept; trying again in %g s: %s", interval_s, error)
            known_s = None
            await clock.sleep(interval_s)
            continue
        if on_swept is not None and (swept.expired or swept.promoted):
            on_swept(swept)
        await clock.sleep(_pause_s(swept, clock.now_ms(), interval_s))


def _ahead_s(clock: Clock) -> float:
    """By how much the wall clock is ahead of the other one: the same at all times, until somebody puts it."""
    return clock.now_ms() / 1000 - clock.monotonic_s()


def _pause_s(swept: Swept, now_ms: int, interval_s: float) -> float:
    if swept.next_due_ms is None:
        return interval_s
    return min(interval_s, max(SWEEP_PAUSE_S_MIN, (swept.next_due_ms - now_ms) / 1000))
