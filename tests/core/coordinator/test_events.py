from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from telecine.core.coordinator.events import EVENTS_PER_PAGE, FOLLOWERS_MAX, Event, Events
from telecine.core.errors import StoreError, UnavailableError
from telecine.core.events import EventKind, QueueSwept, WorkerProgressed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.core.coordinator.conftest import LogInMemory

PROGRESS = WorkerProgressed("cm-ember", ())


def swept(*numbers: int) -> list[QueueSwept]:
    """Events that last, known again by their numbers."""
    return [QueueSwept(number, 0) for number in numbers]


async def take(following: AsyncIterator[Event | None], count: int) -> list[tuple[str | None, Any]]:
    """The next events: the id of each, and what it tells of."""
    taken: list[tuple[str | None, Any]] = []
    async with asyncio.timeout(5):
        while len(taken) < count:
            event = await anext(following)
            assert event is not None
            taken.append((event.id, json.loads(event.data).get("expired", event.kind.value)))
    return taken


async def nothing_more(following: AsyncIterator[Event | None]) -> bool:
    async with asyncio.timeout(5):
        return await anext(following) is None


async def test_whoever_follows_hears_what_happens_from_then_on(log: LogInMemory) -> None:
    log.record(*swept(1, 2))
    events = Events(log)
    with events.follow(events.latest_id, keep_alive_s=0.01) as following:
        log.record(*swept(3, 4))
        assert await take(following, 2) == [("1-3", 3), ("1-4", 4)]
        assert await nothing_more(following)


@pytest.mark.parametrize("kept_max", [1, 2, 3, 100])
async def test_follower_that_comes_back_gets_what_it_missed_from_memory_or_log(log: LogInMemory, kept_max: int) -> None:
    log.record(*swept(1, 2))  # before a restart
    events = Events(log, kept_max=kept_max)
    log.record(*swept(3, 4), *swept(5))
    with events.follow("1-1", keep_alive_s=0.01) as following:
        assert await take(following, 4) == [("1-2", 2), ("1-3", 3), ("1-4", 4), ("1-5", 5)]
        log.record(*swept(6))
        assert await take(following, 1) == [("1-6", 6)]
        assert await nothing_more(following)


async def test_nothing_is_lost_or_doubled_while_the_log_is_read_page_by_page(log: LogInMemory) -> None:
    count = 3 * EVENTS_PER_PAGE + 7
    log.record(*swept(*range(1, count + 1)))
    events = Events(log, kept_max=5)
    taken: list[tuple[str | None, Any]] = []
    with events.follow("1-0", keep_alive_s=0.01) as following:
        for happened in range(count + 1, count + 301):  # something happens with every second event that is read
            taken += await take(following, 2)
            log.record(*swept(happened))
        taken += await take(following, count + 300 - len(taken))
        assert await nothing_more(following)
    assert [number for _, number in taken] == list(range(1, count + 301))


async def test_an_event_that_the_log_knows_before_it_is_announced_is_told_once(log: LogInMemory) -> None:
    log.record(*swept(1))
    events = Events(log)
    log.record(*swept(2), announced=False)
    with events.follow("1-0", keep_alive_s=0.01) as following:
        assert await take(following, 2) == [("1-1", 1), ("1-2", 2)]
        assert await nothing_more(following)
        log.announce(log.recorded[1:])
        log.record(*swept(3))
        assert await take(following, 1) == [("1-3", 3)]
        assert await nothing_more(following)


async def test_whoever_keeps_up_never_reads_the_log(log: LogInMemory) -> None:
    events = Events(log, kept_max=3)
    with events.follow("1-0") as following:
        for number in range(1, 50):
            log.record(*swept(number))
            await take(following, 1)
    assert log.reads == []


async def test_slow_follower_reads_from_the_log_what_memory_does_not_hold_for_it(log: LogInMemory) -> None:
    events = Events(log, kept_max=3)
    with events.follow("1-0", keep_alive_s=0.01) as following:
        log.record(*swept(1))
        await take(following, 1)
        for number in range(2, 50):
            log.record(*swept(number))
        assert [number for _, number in await take(following, 48)] == list(range(2, 50))
        assert await nothing_more(following)
    assert log.reads == [1]


@pytest.mark.parametrize("last_id", ["0-3", "2-3", "1-99", "1-x", "1-", "-3", "1--3", "3", "", "1-" + "9" * 30, "1-³"])
async def test_follower_whose_place_is_not_known_is_told_to_look_anew(log: LogInMemory, last_id: str) -> None:
    log.record(*swept(1, 2, 3, 4, 5))
    events = Events(log)
    with events.follow(last_id, keep_alive_s=0.01) as following:
        assert await take(following, 1) == [("1-5", "reset")]
        log.record(*swept(6))
        assert await take(following, 1) == [("1-6", 6)]


async def test_follower_whose_next_event_was_pruned_is_told_to_look_anew(log: LogInMemory) -> None:
    log.record(*swept(1, 2, 3, 4, 5))
    log.pruned = 3
    events = Events(log)
    with events.follow("1-2", keep_alive_s=0.01) as following:
        assert await take(following, 1) == [("1-5", "reset")]
        log.record(*swept(6))
        assert await take(following, 1) == [("1-6", 6)]
    with events.follow("1-3", keep_alive_s=0.01) as following:
        assert await take(following, 3) == [("1-4", 4), ("1-5", 5), ("1-6", 6)]


async def test_what_does_not_last_has_no_id_and_is_told_in_its_place_among_the_rest(log: LogInMemory) -> None:
    events = Events(log)
    with events.follow(events.latest_id) as following:
        log.record(*swept(1))
        events.publish(PROGRESS)
        log.record(*swept(2))
        events.publish(PROGRESS)
        told = [("1-1", 1), (None, "progress"), ("1-2", 2), (None, "progress")]
        assert await take(following, 4) == told


async def test_what_does_not_last_is_not_told_to_those_who_come_later(log: LogInMemory) -> None:
    events = Events(log)
    with events.follow(events.latest_id):
        events.publish(PROGRESS)
        log.record(*swept(1))
        events.publish(PROGRESS)
        with events.follow("1-0", keep_alive_s=0.01) as late:
            assert await take(late, 1) == [("1-1", 1)]


async def test_progress_alone_never_costs_a_follower_its_place(log: LogInMemory) -> None:
    events = Events(log, kept_max=2)
    with events.follow(events.latest_id, keep_alive_s=0.01) as following:
        for _ in range(10):
            events.publish(PROGRESS)
        log.record(*swept(1))
        assert await take(following, 1) == [("1-1", 1)]
        assert await nothing_more(following)
    assert log.reads == []


async def test_memory_holds_so_many_bytes_however_few_events_they_are(log: LogInMemory) -> None:
    data_bytes = len(msgspec.json.encode(*swept(1)))
    events = Events(log, bytes_kept_max=3 * data_bytes)
    with events.follow("1-0", keep_alive_s=0.01) as following:
        log.record(*swept(1, 2, 3))
        assert await take(following, 3) == [("1-1", 1), ("1-2", 2), ("1-3", 3)]
        assert log.reads == []
        log.record(*swept(4, 5, 6, 7))
        assert await take(following, 4) == [("1-4", 4), ("1-5", 5), ("1-6", 6), ("1-7", 7)]
        assert log.reads == [3]


async def test_an_event_that_memory_has_no_room_for_is_read_from_the_log(log: LogInMemory) -> None:
    events = Events(log, bytes_kept_max=1)
    with events.follow("1-0", keep_alive_s=0.01) as following:
        log.record(*swept(1))
        events.publish(PROGRESS)
        log.record(*swept(2))
        assert await take(following, 2) == [("1-1", 1), ("1-2", 2)]
        assert await nothing_more(following)


async def test_a_log_that_cannot_be_read_ends_the_stream(log: LogInMemory) -> None:
    log.record(*swept(1, 2))
    log.error = StoreError("the database is away")
    with Events(log).follow("1-1") as following, pytest.raises(StoreError, match="away"):
        await anext(following)


async def test_silence_is_filled_and_closing_ends_it(log: LogInMemory) -> None:
    events = Events(log)
    with events.follow(events.latest_id, keep_alive_s=0.01) as following:
        assert await anext(following) is None
        ending = asyncio.ensure_future(anext(following, "the end"))
        events.close()
        assert await ending == "the end"


@pytest.mark.parametrize("lasts", [True, False])
async def test_silence_is_filled_whatever_happens_that_is_not_wanted(log: LogInMemory, lasts: bool) -> None:
    events = Events(log, kept_max=10)
    wanted = frozenset({EventKind.PROGRESS if lasts else EventKind.QUEUE})

    async def chatter() -> None:
        while True:
            log.record(*swept(1)) if lasts else events.publish(PROGRESS)
            await asyncio.sleep(0)

    with events.follow(events.latest_id, wanted=wanted, keep_alive_s=0.01) as following:
        chattering = asyncio.create_task(chatter())
        for _ in range(3):
            assert await nothing_more(following)
        chattering.cancel()
        events.publish(PROGRESS)
        log.record(*swept(1))
        async with asyncio.timeout(5):
            while (event := await anext(following)) is None:
                pass
        assert event.kind in wanted


async def test_followers_are_limited_and_make_room_when_they_leave(log: LogInMemory) -> None:
    events = Events(log)
    for _ in range(2):
        followers = [events.follow("1-0") for _ in range(FOLLOWERS_MAX)]
        for follower in followers:
            follower.__enter__()
        with pytest.raises(UnavailableError), events.follow("1-0"):
            pass
        for follower in followers:
            follower.__exit__(None, None, None)
