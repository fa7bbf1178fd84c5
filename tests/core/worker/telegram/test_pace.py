"""Messages are spread over time, whoever sends them."""

from __future__ import annotations

import asyncio

from tests.clocks import JumpingClock

from telecine.core.worker.telegram.pace import Pace


async def test_a_few_messages_go_at_once_and_the_rest_at_the_pace() -> None:
    clock = JumpingClock()
    pace = Pace(clock, per_minute=20, burst=3)
    sent_at_s = []
    for _ in range(6):
        await pace.turn()
        sent_at_s.append(clock.now_s)
    assert sent_at_s == [0, 0, 0, 3, 6, 9]


async def test_an_idle_time_saves_up_no_more_than_the_burst() -> None:
    clock = JumpingClock()
    pace = Pace(clock, per_minute=60, burst=2)
    clock.now_s = 3600.0
    sent_at_s = []
    for _ in range(4):
        await pace.turn()
        sent_at_s.append(clock.now_s - 3600)
    assert sent_at_s == [0, 0, 1, 2]


async def test_several_jobs_share_one_pace() -> None:
    clock = JumpingClock()
    pace = Pace(clock, per_minute=60, burst=1)
    sent_at_s: list[float] = []

    async def job() -> None:
        for _ in range(3):
            await pace.turn()
            sent_at_s.append(clock.now_s)

    await asyncio.gather(job(), job())
    assert sent_at_s == [0, 1, 2, 3, 4, 5]


async def test_one_who_gives_up_waiting_costs_the_others_nothing() -> None:
    clock = JumpingClock()
    pace = Pace(clock, per_minute=60, burst=1)
    await pace.turn()
    leaving = asyncio.create_task(pace.turn())
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait({leaving})
    await pace.turn()
    assert clock.now_s == 1
