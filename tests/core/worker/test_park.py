"""When messages of the account may be sent again, whoever learnt of the wait."""

from __future__ import annotations

import asyncio

import pytest
from tests.clocks import HandClock

from telecine.core.worker.park import Park
from telecine.core.worker.waiting import ended


async def turn(clock: HandClock, seconds: float) -> None:
    """Let time pass, and whoever it wakes do what it does."""
    clock.advance(seconds)
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def park(clock: HandClock) -> Park:
    return Park(clock)


async def test_an_account_that_is_not_parked_sends_at_once(park: Park) -> None:
    await park.over()
    assert park.left_s == 0


async def test_who_waits_goes_on_when_the_time_is_over(park: Park, clock: HandClock) -> None:
    park.told(60, since_s=clock.monotonic_s())
    waiting = asyncio.create_task(park.over())
    await turn(clock, 59)
    assert not waiting.done()
    await turn(clock, 1)
    await waiting


async def test_a_wait_that_one_job_meets_holds_the_messages_of_all(park: Park, clock: HandClock) -> None:
    waiting = asyncio.create_task(park.over())
    park.note(60)
    await turn(clock, 59)
    assert not waiting.done()
    await turn(clock, 1)
    await waiting


async def test_a_wait_that_grows_meanwhile_is_waited_out_in_full(park: Park, clock: HandClock) -> None:
    park.note(60)
    waiting = asyncio.create_task(park.over())
    await turn(clock, 30)
    park.note(60)
    await turn(clock, 59)
    assert not waiting.done()
    await turn(clock, 1)
    await waiting


async def test_a_lease_that_began_after_the_wait_was_known_has_the_last_word(park: Park, clock: HandClock) -> None:
    park.note(600)
    waiting = asyncio.create_task(park.over())
    await turn(clock, 5)
    park.told(0, since_s=clock.monotonic_s())  # an operator has let the account go on
    await turn(clock, 0)
    assert waiting.done()
    assert park.left_s == 0


async def test_a_lease_that_was_asked_for_before_the_wait_does_not_undo_it(park: Park, clock: HandClock) -> None:
    asked_s = clock.monotonic_s()
    await turn(clock, 5)
    park.note(600)
    park.told(0, since_s=asked_s)
    assert park.left_s == 600
    waiting = asyncio.create_task(park.over())
    await turn(clock, 100)
    assert not waiting.done()
    await ended(waiting)
