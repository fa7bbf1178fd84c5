"""Several connections to one host."""

from __future__ import annotations

import asyncio
import random

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telecine.core.clock import SystemClock
from telecine.core.config import SourceHostSettings, WorkerSettings
from telecine.core.emulator.sources.faults import SourceFaultKind as Fault
from telecine.core.reasons import Reason
from telecine.core.worker.sources.ahead import PIECE_BYTES, Ahead, Piece
from telecine.core.worker.sources.company import Company
from telecine.core.worker.sources.hosts import Host
from telecine.core.worker.sources.limits import Room, SourceLimits
from telecine.core.worker.sources.meter import Meter
from telecine.core.worker.sources.source import SourceError
from telecine.core.worker.sources.surroundings import Surroundings

from .conftest import PATIENT, Hosted, whole

NAME = "film.mkv"
CONTENT = random.Random(5).randbytes(PIECE_BYTES) * 5 + b"the end"


async def test_slow_connections_add_up(sources: Hosted) -> None:
    sources.add(NAME, CONTENT)
    sources.break_link(NAME, Fault.SLOW, bytes_per_s=25_000_000)
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
    sources.break_link(NAME, Fault.SLOW, bytes_per_s=25_000_000)
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
            await asyncio.sleep(0.012)  # 25 MB/s
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
    sources.break_link(NAME, Fault.SLOW, bytes_per_s=25_000_000)
    async with sources.open(NAME, PATIENT) as source:
        chunks = source.chunks()
        while source.bytes_read < 3 * PIECE_BYTES:
            await anext(chunks)
        sources.break_link(NAME, Fault.DEAD, status=410)
        with pytest.raises(SourceError) as raised:
            _ = [chunk async for chunk in chunks]
    assert raised.value.reason is Reason.GONE


class Segment:
    """A piece that holds the one connection there is from its first byte to its last. The first loses it on the way."""

    def __init__(self, slot: asyncio.Semaphore, *, breaks: bool) -> None:
        self._slot = slot
        self._has_slot = False
        self._breaks = breaks
        self._left = 8

    async def take(self) -> bytes:
        if not self._left:
            return b""
        if not self._has_slot:
            await self._slot.acquire()
            self._has_slot = True
        elif self._breaks:
            self._breaks = False
            self.close()
            await asyncio.sleep(0)
            return await self.take()
        self._left -= 1
        return bytes(PIECE_BYTES // 4)

    def close(self) -> None:
        if self._has_slot:
            self._has_slot = False
            self._slot.release()


async def test_piece_whose_turn_it_is_gets_the_connection_that_a_later_one_holds(sources: Hosted) -> None:
    clock = SystemClock()
    limits = SourceLimits(stall_window_s=0.1, resume_wait_s=0.0)
    meter = Meter(limits, clock)
    worker: WorkerSettings = sources.settings
    company = Company(Host(SourceHostSettings(), worker, clock), meter, clock)
    company.count = 2
    slot = asyncio.Semaphore(1)
    pieces: list[Piece] = [Segment(slot, breaks=True), Segment(slot, breaks=False)]
    ahead = Ahead(
        lambda alone: pieces.pop(0) if pieces else None, company, Surroundings(meter, Room(2**30), limits, clock)
    )
    taken = 0
    async with asyncio.timeout(10):
        while data := await ahead.take():
            taken += len(data)
    assert taken == 2 * 8 * (PIECE_BYTES // 4)
