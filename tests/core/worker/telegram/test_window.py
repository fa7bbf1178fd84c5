"""How many parts are under way: the rule, against lines of every kind, in a time that the test makes."""

from __future__ import annotations

import asyncio

import pytest
from tests.clocks import JumpingClock

from telecine.core.worker.telegram.window import PARTS_AT_START, PARTS_MIN, Slots, Window

PART = 512 * 1024


def carry(window: Window, time: JumpingClock, rounds: int, *, round_trip_s: float, parts_per_s: float) -> list[int]:
    """Let a line with that round trip and that ceiling answer; the sizes of the window after each round."""
    sizes = []
    for _ in range(rounds):
        size = window.size
        each_s = max(round_trip_s / size, 1 / parts_per_s)
        for _ in range(size):
            time.now_s += each_s
            window.arrived(PART, waiting=True)
        sizes.append(window.size)
    return sizes


def test_a_long_line_is_filled_in_a_few_round_trips() -> None:
    time = JumpingClock()
    window = Window(128, time)
    assert carry(window, time, 4, round_trip_s=0.15, parts_per_s=10_000) == [16, 32, 64, 128]


def test_a_narrow_line_is_not_stuffed() -> None:
    time = JumpingClock()
    window = Window(128, time)
    assert max(carry(window, time, 100, round_trip_s=0.05, parts_per_s=2)) == PARTS_AT_START * 2
    assert carry(window, time, 12, round_trip_s=0.05, parts_per_s=2).count(PARTS_AT_START) > 6


def test_a_step_that_does_not_pay_is_taken_back_and_tried_again_later() -> None:
    time = JumpingClock()
    window = Window(128, time)
    carry(window, time, 8, round_trip_s=0.1, parts_per_s=100)
    assert window.size < 32
    carry(window, time, 60, round_trip_s=0.1, parts_per_s=10_000)  # the line has become a better one
    assert window.size == 128


@pytest.mark.parametrize("parts_max", [1, 2, 4, 7, 64])
def test_it_never_exceeds_what_may_be_in_memory(parts_max: int) -> None:
    time = JumpingClock()
    window = Window(parts_max, time)
    assert window.size <= parts_max
    assert max(carry(window, time, 40, round_trip_s=0.2, parts_per_s=1e6)) == parts_max
    window.failed(time.now_s)
    assert 1 <= window.size <= parts_max


def test_a_source_that_is_too_slow_tells_nothing_about_the_line() -> None:
    time = JumpingClock()
    window = Window(128, time)
    for _ in range(500):
        time.now_s += 0.2
        window.arrived(PART, waiting=False)
    assert window.size == PARTS_AT_START


def test_trouble_halves_it_once_for_all_parts_that_were_under_way() -> None:
    time = JumpingClock()
    window = Window(64, time)
    carry(window, time, 5, round_trip_s=0.15, parts_per_s=10_000)
    sent_at_s = time.now_s
    time.now_s += 0.1
    for _ in range(20):
        window.failed(sent_at_s)
    assert window.size == 32
    time.now_s += 0.1
    window.failed(time.now_s)
    assert window.size == 16


def test_after_trouble_it_grows_by_single_parts() -> None:
    time = JumpingClock()
    window = Window(64, time)
    carry(window, time, 5, round_trip_s=0.15, parts_per_s=10_000)
    time.now_s += 1
    window.failed(time.now_s)
    assert carry(window, time, 3, round_trip_s=0.15, parts_per_s=10_000) == [33, 34, 35]


def test_trouble_without_end_leaves_something_under_way() -> None:
    time = JumpingClock()
    window = Window(64, time)
    for _ in range(20):
        time.now_s += 1
        window.failed(time.now_s)
    assert window.size == PARTS_MIN


async def test_places_are_given_in_the_order_in_which_they_are_asked_for() -> None:
    slots = Slots(Window(2, JumpingClock()))
    given: list[str] = []

    async def take(name: str) -> None:
        await slots.acquire()
        given.append(name)

    await take("a")
    await take("b")
    waiting = [asyncio.create_task(take(name)) for name in "cde"]
    await asyncio.sleep(0)
    assert slots.waiting
    for _ in waiting:
        slots.release()
    await asyncio.gather(*waiting)
    assert given == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize("released_first", [True, False])
async def test_a_place_that_nobody_waits_for_any_more_goes_to_the_next(released_first: bool) -> None:
    slots = Slots(Window(1, JumpingClock()))
    await slots.acquire()
    leaving, staying = asyncio.create_task(slots.acquire()), asyncio.create_task(slots.acquire())
    await asyncio.sleep(0)
    if released_first:  # the place is given already when its taker is cancelled
        slots.release()
    leaving.cancel()
    await asyncio.wait({leaving})
    if not released_first:
        slots.release()
    await asyncio.wait_for(staying, 5)
    assert not slots.waiting


async def test_a_place_is_not_given_to_one_who_was_cancelled_a_moment_ago() -> None:
    slots = Slots(Window(1, JumpingClock()))
    await slots.acquire()
    leaving = asyncio.create_task(slots.acquire())
    await asyncio.sleep(0)
    leaving.cancel()
    slots.release()  # before the one that was cancelled has run
    await asyncio.wait({leaving})
    await asyncio.wait_for(slots.acquire(), 5)
