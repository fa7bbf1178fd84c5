"""How many pieces of a source are read at once."""

from __future__ import annotations

import asyncio

from tests.clocks import JumpingClock

from telecine.core.config import SourceHostSettings, WorkerSettings
from telecine.core.worker.sources.ahead import PIECE_BYTES, Ahead
from telecine.core.worker.sources.company import STEP_BYTES, Company
from telecine.core.worker.sources.hosts import ALONE_S, Host
from telecine.core.worker.sources.limits import Room
from telecine.core.worker.sources.meter import Meter
from telecine.core.worker.sources.surroundings import Surroundings

from .conftest import QUICK


class Climb:
    """A host whose rate follows from the number of connections."""

    def __init__(self, settings: WorkerSettings, ranges: int) -> None:
        self.clock = JumpingClock()
        self.meter = Meter(QUICK, self.clock)
        self.host = Host(SourceHostSettings(ranges=ranges), settings, self.clock)
        self.company = Company(self.host, self.meter, self.clock)

    def go(self, *, steps: int = 10, gain: float = 1.0, starved: float = 1.0) -> int:
        """Read so many steps; `gain` is what each further connection brings. Gives the number at the end."""
        for _ in range(steps):
            rate = 10e6 * (1 + gain * (self.company.count - 1))
            self.meter.bytes_read += 4 * STEP_BYTES * self.company.count
            seconds = 4 * STEP_BYTES * self.company.count / rate
            self.clock.now_s += seconds
            self.company.note(seconds * starved)
        return self.company.count


def test_connections_grow_to_what_is_allowed_while_they_bring_more(settings: WorkerSettings) -> None:
    assert Climb(settings, ranges=8).go() == 8
    assert Climb(settings, ranges=6).go() == 6
    assert Climb(settings, ranges=1).go() == 1


def test_host_that_is_no_faster_with_more_connections_gets_one(settings: WorkerSettings) -> None:
    climb = Climb(settings, ranges=8)
    assert climb.go(gain=0.0) == 1
    assert climb.company.is_settled


def test_connections_are_not_added_while_nobody_waits_for_the_source(settings: WorkerSettings) -> None:
    climb = Climb(settings, ranges=8)
    assert climb.go(starved=0.2) == 1
    assert not climb.company.is_settled


def test_host_that_refuses_company_is_asked_alone_for_a_while_by_every_job(settings: WorkerSettings) -> None:
    climb = Climb(settings, ranges=8)
    climb.company.refuse()
    assert climb.host.ranges_max == 1
    climb.clock.now_s += ALONE_S
    assert climb.host.ranges_max == 8


class Endless:
    """A piece that is always there, and counts what is taken."""

    def __init__(self) -> None:
        self.bytes_taken = 0

    async def take(self) -> bytes:
        await asyncio.sleep(0)
        self.bytes_taken += 1_000_000
        return b"x" * 1_000_000

    def close(self) -> None:
        pass


async def test_what_nobody_takes_is_not_read_ahead_for_ever(settings: WorkerSettings) -> None:
    climb, pieces = Climb(settings, ranges=4), [Endless() for _ in range(9)]
    climb.go()
    around = Surroundings(climb.meter, Room(2 * PIECE_BYTES), QUICK, climb.clock)
    waiting = iter(pieces)
    ahead = Ahead(lambda alone: next(waiting), climb.company, around)
    assert len(await ahead.take()) == 1_000_000
    for _ in range(200):  # turns of the loop, in which whatever can come comes
        await asyncio.sleep(0)
    ahead.close()
    assert [bool(piece.bytes_taken) for piece in pieces].count(True) == 3  # the first, and two that found room
    assert all(piece.bytes_taken <= PIECE_BYTES + 3_000_000 for piece in pieces)
