"""Several connections to one host, and what all jobs share."""

from __future__ import annotations

import asyncio
import random
from contextlib import AbstractAsyncContextManager

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telecine.core.clock import SystemClock
from telecine.core.config import SourceHostSettings, WorkerSettings
from telecine.core.emulator.sources.faults import SourceFaultKind as Fault
from telecine.core.reasons import Reason
from telecine.core.worker.sources.ahead import PIECE_BYTES, Ahead
from telecine.core.worker.sources.bandwidth import BURST_S, Bandwidth
from telecine.core.worker.sources.company import STEP_BYTES, Company
from telecine.core.worker.sources.hosts import ALONE_S, Host
from telecine.core.worker.sources.limits import Room, SourceLimits
from telecine.core.worker.sources.meter import Meter
from telecine.core.worker.sources.source import Source, SourceError
from telecine.core.worker.sources.surroundings import Surroundings

from .conftest import PATIENT, QUICK, Hosted, whole

NAME = "film.mkv"
CONTENT = random.Random(5).randbytes(PIECE_BYTES) * 5 + b"the end"


class Jumping:
    """A clock that goes where it is put."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def now_ms(self) -> int:
        return int(self.now_s * 1000)

    def monotonic_s(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds


# ---- how many at once ----


class Climb:
    """A host whose rate follows from the number of connections."""

    def __init__(self, settings: WorkerSettings, ranges: int) -> None:
        self.clock = Jumping()
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


async def test_slow_connections_add_up(sources: Hosted) -> None:
    sources.add(NAME, CONTENT)
    sources.break_link(NAME, Fault.SLOW, bytes_per_s=15_000_000)
    async with sources.open(NAME, PATIENT) as source:
        assert await whole(source) == CONTENT
        assert source.bytes_read == len(CONTENT)
    assert 2 <= sources.host.count(NAME).most_open_requests <= 4


@pytest.mark.parametrize("fault", [Fault.NO_VALIDATORS, Fault.NO_RANGES, Fault.NO_LENGTH])
async def test_file_that_cannot_be_told_from_another_version_is_read_over_one_connection(
    fault: Fault, sources: Hosted
) -> None:
    sources.add(NAME, CONTENT)
    sources.break_link(NAME, Fault.SLOW, bytes_per_s=40_000_000)
    sources.break_link(NAME, fault)
    async with sources.open(NAME, PATIENT) as source:
        assert await whole(source) == CONTENT
    assert sources.host.count(NAME).most_open_requests == 1


async def test_setting_of_a_host_bounds_its_ranges(sources: Hosted) -> None:
    sources.add(NAME, CONTENT)
    sources.break_link(NAME, Fault.SLOW, bytes_per_s=40_000_000)
    hosts = {"127.0.0.1": SourceHostSettings(ranges=1)}
    async with sources.open(NAME, PATIENT, hosts=hosts) as source:
        assert await whole(source) == CONTENT
    assert sources.host.count(NAME).most_open_requests == 1


@pytest.mark.parametrize("status", [429, 403, 503, 0])
async def test_host_that_refuses_the_second_connection_is_read_over_one(status: int, sources: Hosted) -> None:
    sources.add(NAME, CONTENT)
    sources.break_link(NAME, Fault.SLOW, bytes_per_s=15_000_000)
    sources.break_link(NAME, Fault.CROWDED, crowd_status=status)
    async with sources.boot(PATIENT) as boot:
        async with boot.open(sources.of(NAME)) as source:
            assert await whole(source) == CONTENT
        assert sources.host.count(NAME).most_open_requests >= 2
        assert boot._client.hosts.of(boot._link_to(sources.url).url).ranges_max == 1


class Keeper:
    """A host that takes a second connection, and says nothing on it while the first is busy."""

    def __init__(self) -> None:
        self.busy = 0
        self.kept = 0
        self.closing = asyncio.Event()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if self.busy:
            self.kept += 1
            await self.closing.wait()
        self.busy += 1
        try:
            return await self._send(request)
        finally:
            self.busy -= 1

    async def _send(self, request: web.Request) -> web.StreamResponse:
        start, stop, _ = request.http_range.indices(len(CONTENT))
        extent = f"bytes {start}-{stop - 1}/{len(CONTENT)}"
        response = web.StreamResponse(status=206, headers={"Content-Range": extent, "ETag": '"a"'})
        response.content_length = stop - start
        await response.prepare(request)
        for at in range(start, stop, 300_000):
            await asyncio.sleep(0.02)  # 15 MB/s
            await response.write(CONTENT[at : min(stop, at + 300_000)])
        return response


async def test_host_that_keeps_the_second_connection_waiting_is_read_over_one(sources: Hosted) -> None:
    keeper = Keeper()
    app = web.Application()
    app.add_routes([web.get("/film", keeper.answer)])
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    limits = SourceLimits(connect_timeout_s=0.2, stall_window_s=0.3, resume_wait_s=0.0)
    async with sources.open(f"http://127.0.0.1:{runner.addresses[0][1]}/film", limits) as source:
        assert await whole(source) == CONTENT
    assert keeper.kept
    keeper.closing.set()
    await runner.cleanup()


# ---- bounds ----


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


async def test_source_that_stalled_may_be_waited_for_once_more() -> None:
    async def never() -> bytes:
        return await asyncio.Future[bytes]()

    async def soon() -> bytes:
        return b"x"

    meter = Meter(QUICK, SystemClock())
    with pytest.raises(SourceError, match="sent 0 bytes"):
        await meter.wait(never)
    assert await meter.wait(soon) == b"x"


async def test_connection_that_lags_is_forgiven_while_another_brings_enough() -> None:
    lagging = asyncio.Event()

    async def late() -> bytes:
        await lagging.wait()
        return b"late"

    async def soon() -> bytes:
        await asyncio.sleep(0)
        return b"x" * 500_000

    meter = Meter(SourceLimits(stall_window_s=0.05, stall_bytes_per_s=1000), SystemClock())
    waiting = asyncio.create_task(meter.wait(late))
    began_s = asyncio.get_running_loop().time()
    while asyncio.get_running_loop().time() < began_s + 0.3:
        await meter.wait(soon)
    lagging.set()
    assert await waiting == b"late"


def test_room_is_given_once_and_comes_back() -> None:
    room = Room(10)
    assert room.take(6)
    assert not room.take(6)
    room.give_back(6)
    assert room.take(10)


async def test_reading_gives_all_of_its_room_back(sources: Hosted) -> None:
    sources.add(NAME, CONTENT)
    async with sources.boot() as boot:
        free = boot._room._bytes_free
        async with boot.open(sources.of(NAME)) as source:
            async for _ in source.chunks():
                if source.bytes_read > PIECE_BYTES:
                    break
        async with boot.open(sources.of(NAME)) as source:
            await whole(source)
        assert boot._room._bytes_free == free


async def test_jobs_together_keep_to_the_connections_of_a_host(sources: Hosted) -> None:
    names = [f"{number}.mkv" for number in range(3)]
    content = CONTENT[: PIECE_BYTES + 1]
    for name in names:
        sources.add(name, content)
    hosts = {"127.0.0.1": SourceHostSettings(connections=1)}
    most = 0

    async def read(name: str) -> bytes:
        nonlocal most
        async with boot.open(sources.of(name)) as source:
            received = b""
            async for chunk in source.chunks():
                received += chunk
                most = max(most, sum(count.open_requests for count in sources.host.counts().values()))
            return received

    async with sources.boot(PATIENT, hosts=hosts) as boot:
        assert await asyncio.gather(*map(read, names)) == [content] * 3
    assert most == 1


async def test_waiting_for_a_turn_at_a_host_is_no_stall(sources: Hosted) -> None:
    content = sources.add(NAME, CONTENT[:PIECE_BYTES])
    hosts = {"127.0.0.1": SourceHostSettings(connections=1)}
    async with sources.boot(QUICK, hosts=hosts) as boot, boot.open(sources.of(NAME)) as first:
        waiting = asyncio.create_task(_read_all(boot.open(sources.of(NAME))))
        done, _ = await asyncio.wait([waiting], timeout=3 * QUICK.stall_window_s)
        assert not done
        first.close()
        assert await waiting == content


async def _read_all(opening: AbstractAsyncContextManager[Source]) -> bytes:
    async with opening as source:
        return await whole(source)


async def test_bandwidth_is_one_for_all_and_allows_a_burst_after_a_pause() -> None:
    clock = Jumping()
    bandwidth = Bandwidth(1000, clock)
    for _ in range(5):
        await bandwidth.take(1000)
    assert clock.now_s == 5
    clock.now_s += 60
    await bandwidth.take(int(1000 * BURST_S))
    assert clock.now_s == 65


async def test_bandwidth_without_limit_takes_no_time() -> None:
    clock = Jumping()
    await Bandwidth(None, clock).take(10**12)
    assert clock.now_s == 0


async def test_waiting_for_bandwidth_is_no_stall(sources: Hosted) -> None:
    content = sources.add(NAME, CONTENT[:600_000])
    limits = SourceLimits(stall_bytes_per_s=10_000_000, stall_window_s=0.2, resume_wait_s=0.0)
    began_s = asyncio.get_running_loop().time()
    async with sources.open(NAME, limits, bandwidth_bytes_per_s=600_000) as source:
        assert await whole(source) == content
    assert asyncio.get_running_loop().time() - began_s > 0.3


# ---- whatever is read, in whatever order, over whatever connections ----


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_any_reading_brings_the_bytes_of_the_file_under_random_drops(
    data: st.DataObject, sources: Hosted
) -> None:
    content = sources.add(NAME, CONTENT[: data.draw(st.sampled_from([1, 65_536, 700_001, len(CONTENT)]))])
    sources.host.set_faults(NAME, [])
    sources.break_link(NAME, Fault.NO_HEAD)
    async with sources.open(NAME, PATIENT) as source:
        for _ in range(data.draw(st.integers(1, 6))):
            if data.draw(st.booleans()):
                cut = data.draw(st.integers(0, 6_000_000))
                sources.break_link(NAME, Fault.TRUNCATED, after_bytes=cut, count=data.draw(st.integers(1, 2)))
            start = data.draw(st.integers(0, len(content)))
            if data.draw(st.booleans()):
                length = data.draw(st.integers(1, 3_000_000))
                assert await source.read(start, length) == content[start : start + length]
            else:
                assert await whole(source, start) == content[start:]


async def test_failure_of_one_piece_is_the_failure_of_the_file(sources: Hosted) -> None:
    sources.add(NAME, CONTENT)
    sources.break_link(NAME, Fault.SLOW, bytes_per_s=15_000_000)
    async with sources.open(NAME, PATIENT) as source:
        chunks = source.chunks()
        while source.bytes_read < 3 * PIECE_BYTES:
            await anext(chunks)
        sources.break_link(NAME, Fault.DEAD, status=410)
        with pytest.raises(SourceError) as raised:
            _ = [chunk async for chunk in chunks]
    assert raised.value.reason is Reason.GONE
