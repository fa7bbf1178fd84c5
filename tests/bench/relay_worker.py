"""A worker that moves one file, as a process of its own that watches itself: `python -m tests.bench.relay_worker`.

Reads an `Errand` from standard input and writes what it cost to standard output.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from pathlib import Path

import msgspec
import uvloop
from aiohttp import web
from tests.bench.report import MeasurementError
from tests.core.worker.scripted import TOKEN, Coordinator

from telecine.core.config import TelegramSettings, WorkerSettings
from telecine.core.protocol import SettleDone
from telecine.core.quality import Quality
from telecine.core.worker.daemon import Worker

CODE = "CM_M000321_AUTO"
PATIENCE_S = 600.0


class Errand(msgspec.Struct, frozen=True):
    """`spool` is on the disk whose writes are counted; session and journal need not be."""

    url: str
    telegram: TelegramSettings
    session: Path
    spool: Path


class Cost(msgspec.Struct, frozen=True):
    """Of one file. `seconds`: from the claim to the settlement. `bytes_written`: to disks, by the worker.
    `memory_bytes`: the peaks of the worker and of its media child, added."""

    plan: str
    parts: int
    size_bytes: int
    seconds: float
    bytes_written: int
    memory_bytes: int


async def run(errand: Errand) -> Cost:
    """Raises MeasurementError where the upload does not end well."""
    coordinator = Coordinator()
    coordinator.bot_username = None
    runner = web.AppRunner(coordinator.app(), access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    settings = WorkerSettings(
        name="cm-ember",
        coordinator_url="http://{}:{}".format(*runner.addresses[0][:2]),
        token=TOKEN,
        session=errand.session,
        allow_private_sources=True,
        spool=errand.spool,
    )
    stop = asyncio.Event()
    working = asyncio.create_task(Worker(settings, errand.telegram).run(stop))
    try:
        await coordinator.until(lambda: coordinator.claims)
        written, began_s = _bytes_written(), time.perf_counter()
        lease = coordinator.put(CODE, errand.url, quality=Quality.AUTO)
        outcome = await coordinator.settlement(lease, PATIENCE_S)
        seconds, written = time.perf_counter() - began_s, _bytes_written() - written
    finally:
        stop.set()
        await working
        await runner.cleanup()
    if not isinstance(outcome, SettleDone):
        raise MeasurementError(f"the upload ended as {outcome}")
    return Cost(
        plan=outcome.plan,
        parts=len(outcome.objects),
        size_bytes=sum(one.size_bytes for one in outcome.objects),
        seconds=seconds,
        bytes_written=written,
        memory_bytes=_memory_bytes(),
    )


def _bytes_written() -> int:
    """To disks, by this process; its child may write to none. See proc(5), /proc/pid/io."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.partition(":")[2]) for line in lines if line.startswith("write_bytes"))


def _memory_bytes() -> int:
    return sum(resource.getrusage(who).ru_maxrss * 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def _path(kind: type, value: str) -> Path:
    return Path(value)


if __name__ == "__main__":
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Errand, dec_hook=_path)
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(run(asked))))
