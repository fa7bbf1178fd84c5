"""What the jobs of a worker share, and when a source has stalled."""

from __future__ import annotations

import asyncio
import random
from contextlib import AbstractAsyncContextManager

import pytest
from tests.clocks import JumpingClock

from telecine.core.clock import SystemClock
from telecine.core.config import SourceHostSettings
from telecine.core.emulator.sources.faults import SourceFaultKind as Fault
from telecine.core.worker.sources.ahead import PIECE_BYTES
from telecine.core.worker.sources.bandwidth import BURST_S, Bandwidth
from telecine.core.worker.sources.limits import Room, SourceLimits
from telecine.core.worker.sources.meter import Meter
from telecine.core.worker.sources.source import Source, SourceError

from .conftest import PATIENT, QUICK, Hosted, whole

NAME = "film.mkv"
CONTENT = random.Random(5).randbytes(PIECE_BYTES) * 5 + b"the end"


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
        sources.break_link(name, Fault.SLOW, bytes_per_s=10 * PIECE_BYTES)  # seen while it is sent
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
    clock = JumpingClock()
    bandwidth = Bandwidth(1000, clock)
    for _ in range(5):
        await bandwidth.take(1000)
    assert clock.now_s == 5
    clock.now_s += 60
    await bandwidth.take(int(1000 * BURST_S))
    assert clock.now_s == 65


async def test_bandwidth_without_limit_takes_no_time() -> None:
    clock = JumpingClock()
    await Bandwidth(None, clock).take(10**12)
    assert clock.now_s == 0


async def test_waiting_for_bandwidth_is_no_stall(sources: Hosted) -> None:
    content = sources.add(NAME, CONTENT[:600_000])
    limits = SourceLimits(stall_bytes_per_s=10_000_000, stall_window_s=0.2, resume_wait_s=0.0)
    began_s = asyncio.get_running_loop().time()
    async with sources.open(NAME, limits, bandwidth_bytes_per_s=600_000) as source:
        assert await whole(source) == content
    assert asyncio.get_running_loop().time() - began_s > 0.3
