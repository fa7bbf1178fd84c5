"""The loop that forgets what was kept long enough."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from telecine.core.clock import Clock
from telecine.core.config import CoordinatorSettings
from telecine.core.errors import StoreError, UnavailableError

logger = logging.getLogger(__name__)

PRUNE_INTERVAL_S = 3600.0
PRUNE_ROWS_MAX = 500  # at a time: nobody who wants to write waits for more than these
KEPT_DAYS_MIN = 1  # a settle may be repeated for so long, and the history is what tells that it is a repeat
DAY_MS = 86_400_000

OnPruned = Callable[[str, int], None]


class Retention(Protocol):
    """History that can be forgotten from its oldest end on. Each call is one transaction."""

    async def prune_attempts(self, before_ms: int, *, limit: int) -> int:
        """Forget up to `limit` of the oldest attempts, as far as they ended before `before_ms`; how many they were."""
        ...

    async def prune_events(self, before_ms: int, *, limit: int) -> int:
        """Forget up to `limit` of the oldest events, as far as they are from before `before_ms`, and never the newest
        one; how many they were."""
        ...


async def prune_forever(
    retention: Retention, clock: Clock, settings: CoordinatorSettings, *, on_pruned: OnPruned
) -> None:
    """Prune at once and then every `PRUNE_INTERVAL_S`, until cancelled; `on_pruned` hears what and how many.

    A database that does not answer is tried again the next time; anything else ends the loop with its error.
    """
    while True:
        try:
            await prune(retention, clock.now_ms(), settings, on_pruned=on_pruned)
        except (StoreError, UnavailableError) as error:
            logger.warning("the history could not be pruned; trying again in %g s: %s", PRUNE_INTERVAL_S, error)
        await clock.sleep(PRUNE_INTERVAL_S)


async def prune(retention: Retention, now_ms: int, settings: CoordinatorSettings, *, on_pruned: OnPruned) -> None:
    """Forget what the settings do not keep, a little at a time."""
    kinds = (
        ("attempts", retention.prune_attempts, settings.attempts_kept_days),
        ("events", retention.prune_events, settings.events_kept_days),
    )
    for kind, prune_some, kept_days in kinds:
        rows = await _prune_all(prune_some, now_ms - max(kept_days, KEPT_DAYS_MIN) * DAY_MS)
        if rows:
            logger.info("pruned %d %s older than %d days", rows, kind, kept_days)
            on_pruned(kind, rows)


class _PruneSome(Protocol):
    def __call__(self, before_ms: int, *, limit: int) -> Awaitable[int]: ...


async def _prune_all(prune_some: _PruneSome, before_ms: int) -> int:
    rows = pruned = await prune_some(before_ms, limit=PRUNE_ROWS_MAX)
    while pruned == PRUNE_ROWS_MAX:
        pruned = await prune_some(before_ms, limit=PRUNE_ROWS_MAX)
        rows += pruned
    return rows
