from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest

from telecine.core.config import CoordinatorSettings
from telecine.core.coordinator.pruning import DAY_MS, PRUNE_INTERVAL_S, PRUNE_ROWS_MAX, prune_forever
from telecine.core.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SETTINGS = CoordinatorSettings(secret=64 * "x", attempts_kept_days=30, events_kept_days=2)
NOW_MS = 1_700_000_000_000


class History:
    """So many rows that are old enough, and what was asked for."""

    def __init__(self, *, attempts: int = 0, events: int = 0) -> None:
        self.rows = {"attempts": attempts, "events": events}
        self.asked: list[tuple[str, int]] = []
        self.error: Exception | None = None

    async def prune_attempts(self, before_ms: int, *, limit: int) -> int:
        return self._prune("attempts", before_ms, limit)

    async def prune_events(self, before_ms: int, *, limit: int) -> int:
        return self._prune("events", before_ms, limit)

    def _prune(self, kind: str, before_ms: int, limit: int) -> int:
        assert limit == PRUNE_ROWS_MAX
        self.asked.append((kind, before_ms))
        if self.error is not None:
            raise self.error
        rows = min(limit, self.rows[kind])
        self.rows[kind] -= rows
        return rows


class StoppedClock:
    """Sleeps until the test lets it go on."""

    def __init__(self) -> None:
        self.slept: asyncio.Queue[float] = asyncio.Queue()
        self._on = asyncio.Event()

    def now_ms(self) -> int:
        return NOW_MS

    def monotonic_s(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        self._on.clear()
        self.slept.put_nowait(seconds)
        await self._on.wait()

    def go_on(self) -> None:
        self._on.set()


class Loop:
    """The loop over a history that the test holds."""

    def __init__(self) -> None:
        self.history = History()
        self.clock = StoppedClock()
        self.pruned: list[tuple[str, int]] = []
        self.task: asyncio.Task[None] | None = None

    def start(self, settings: CoordinatorSettings = SETTINGS) -> None:
        self.task = asyncio.create_task(
            prune_forever(self.history, self.clock, settings, on_pruned=lambda *what: self.pruned.append(what))
        )

    async def rests(self) -> float:
        """Wait until it sleeps; for how long it means to."""
        async with asyncio.timeout(5):
            return await self.clock.slept.get()


@pytest.fixture
async def loop() -> AsyncIterator[Loop]:
    running = Loop()
    yield running
    if running.task is not None:
        running.task.cancel()
        await asyncio.wait({running.task})


async def test_history_is_pruned_at_the_start_and_then_by_the_hour(loop: Loop) -> None:
    loop.start()
    for _ in range(3):
        assert await loop.rests() == PRUNE_INTERVAL_S
        loop.clock.go_on()
    days = {"attempts": 30, "events": 2}
    assert loop.history.asked[:6] == [(kind, NOW_MS - days[kind] * DAY_MS) for kind in ("attempts", "events")] * 3
    assert loop.pruned == []


async def test_batches_follow_one_another_until_one_is_not_full(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    loop.history.rows |= {"attempts": 2 * PRUNE_ROWS_MAX + 7, "events": PRUNE_ROWS_MAX}
    loop.start()
    await loop.rests()
    assert [kind for kind, _ in loop.history.asked] == ["attempts"] * 3 + ["events"] * 2
    assert loop.pruned == [("attempts", 1007), ("events", 500)]
    assert caplog.messages == ["pruned 1007 attempts older than 30 days", "pruned 500 events older than 2 days"]


async def test_a_database_that_is_away_is_tried_again(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    loop.history.rows["attempts"] = 3
    loop.history.error = StoreError("the disk is full")
    loop.start()
    assert await loop.rests() == PRUNE_INTERVAL_S
    assert "could not be pruned" in caplog.text
    loop.history.error = None
    loop.clock.go_on()
    await loop.rests()
    assert loop.pruned == [("attempts", 3)]


async def test_any_other_error_ends_the_loop(loop: Loop) -> None:
    loop.history.error = RuntimeError("a mistake of ours")
    loop.start()
    assert loop.task is not None
    with pytest.raises(RuntimeError, match="mistake"):
        await asyncio.wait_for(loop.task, 5)


async def test_a_day_of_history_is_always_kept(loop: Loop) -> None:
    """Within it, a settle that is repeated must be known again."""
    loop.start(CoordinatorSettings(secret=64 * "x", attempts_kept_days=0, events_kept_days=0))
    await loop.rests()
    assert loop.history.asked == [("attempts", NOW_MS - DAY_MS), ("events", NOW_MS - DAY_MS)]
