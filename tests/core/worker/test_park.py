"""When messages of the account may be sent again, whoever learnt of the wait."""

from __future__ import annotations

import asyncio

import pytest

from telecine.core.worker.park import Park
from telecine.core.worker.waiting import ended


class Hands:
    """A clock that the test turns."""

    def __init__(self) -> None:
        self.at_s = 100.0
        self._turned = asyncio.Event()

    def now_ms(self) -> int:
        return int(self.at_s * 1000)

    def monotonic_s(self) -> float:
        return self.at_s

    async def sleep(self, seconds: float) -> None:
        until_s = self.at_s + seconds
        while self.at_s < until_s:
            await self._turned.wait()

    async def turn(self, seconds: float) -> None:
        self.at_s += seconds
        self._turned.set()
        self._turned = asyncio.Event()
        for _ in range(10):
            await asyncio.sleep(0)


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def park(clock: Hands) -> Park:
    return Park(clock)


async def test_an_account_that_is_not_parked_sends_at_once(park: Park) -> None:
    await park.over()
    assert park.left_s == 0


async def test_who_waits_goes_on_when_the_time_is_over(park: Park, clock: Hands) -> None:
    park.told(60, since_s=clock.at_s)
    waiting = asyncio.create_task(park.over())
    await clock.turn(59)
    assert not waiting.done()
    await clock.turn(1)
    await waiting


async def test_a_wait_that_one_job_meets_holds_the_messages_of_all(park: Park, clock: Hands) -> None:
    waiting = asyncio.create_task(park.over())
    park.note(60)
    await clock.turn(59)
    assert not waiting.done()
    await clock.turn(1)
    await waiting


async def test_a_wait_that_grows_meanwhile_is_waited_out_in_full(park: Park, clock: Hands) -> None:
    park.note(60)
    waiting = asyncio.create_task(park.over())
    await clock.turn(30)
    park.note(60)
    await clock.turn(59)
    assert not waiting.done()
    await clock.turn(1)
    await waiting


async def test_a_lease_that_began_after_the_wait_was_known_has_the_last_word(park: Park, clock: Hands) -> None:
    park.note(600)
    waiting = asyncio.create_task(park.over())
    await clock.turn(5)
    park.told(0, since_s=clock.at_s)  # an operator has let the account go on
    await clock.turn(0)
    assert waiting.done()
    assert park.left_s == 0


async def test_a_lease_that_was_asked_for_before_the_wait_does_not_undo_it(park: Park, clock: Hands) -> None:
    asked_s = clock.at_s
    await clock.turn(5)
    park.note(600)
    park.told(0, since_s=asked_s)
    assert park.left_s == 600
    waiting = asyncio.create_task(park.over())
    await clock.turn(100)
    assert not waiting.done()
    await ended(waiting)
