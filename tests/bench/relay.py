"""From a source into Telegram through one worker: how close to the line's rate, how much disk, how much memory."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from tests.bench.embedded import ACCOUNT, Embedded, embedded
from tests.bench.relay_worker import Cost, Errand
from tests.bench.report import Check, Findings, MeasurementError, Options, Sheet
from tests.bench.servers import serving

from telecine.core.emulator.faults import Line
from telecine.core.emulator.media.specs import Container
from telecine.core.emulator.media.vast import vast

MIB = 1024 * 1024
FILES = {"direct.mp4": Container.MP4, "remux.mkv": Container.MKV}
RATES_MIB_PER_S = ((16, 32), (32, 16))  # source, link
THROTTLED_MIB = 320
SIZES_MIB = (100, 1000, 3900)  # the last as large as one file may be
QUICK_THROTTLED_MIB = 12
QUICK_SIZES_MIB = (12, 24)
MEMORY = Path("/dev/shm")

METHOD = (
    "A worker with all it has, against the embedded Telegram and a source host, each a process of its own.",
    "Sources are sparse: real pictures, padded with zeros. direct.mp4 goes through as it is, remux.mkv is muxed anew.",
    "seconds: from the claim to the settlement. The slower line alone: its rate by the size of what is sent.",
    "Session and journal lie in memory, so that whatever the worker writes to a disk is of the film.",
    "memory: the peaks of the worker and of its media child, added.",
)


class Relay(msgspec.Struct, frozen=True):
    """One file that was moved. Rates in MiB/s; None: as fast as it goes."""

    name: str
    size_mib: int
    source_mib_per_s: int | None
    link_mib_per_s: int | None
    cost: Cost

    @property
    def over_slower_line(self) -> float | None:
        """How often the time that the slower of the two lines needs."""
        rates = [rate for rate in (self.source_mib_per_s, self.link_mib_per_s) if rate is not None]
        return self.cost.seconds / (self.cost.size_bytes / (min(rates) * MIB)) if rates else None


def measure(options: Options) -> Findings:
    """Raises MeasurementError."""
    throttled_mib = QUICK_THROTTLED_MIB if options.quick else THROTTLED_MIB
    sizes = QUICK_SIZES_MIB if options.quick else SIZES_MIB
    media = options.folder / "media"
    media.mkdir()
    relays: list[Relay] = []
    for size_mib in sorted({throttled_mib, *sizes}):
        for name in _made(media, size_mib):
            lines = [*(RATES_MIB_PER_S[:1] if options.quick else RATES_MIB_PER_S)] if size_mib == throttled_mib else []
            lines += [(None, None)] if size_mib in sizes else []
            for source, link in lines:
                options.say(f"{name}, {size_mib} MiB, source {source or 'free'}, link {link or 'free'}")
                relays.append(_relay(options.folder, media, name, size_mib, source, link))
            (media / name).unlink()
    return Findings(METHOD, _sheets(relays), {"relays": relays}, _checks(relays, sizes))


def _made(media: Path, size_mib: int) -> tuple[str, ...]:
    for name, container in FILES.items():
        vast(media / name, size_bytes=size_mib * MIB, seconds=max(8, size_mib // 2), container=container)
    return tuple(FILES)


def _relay(
    folder: Path, media: Path, name: str, size_mib: int, source_mib_per_s: int | None, link_mib_per_s: int | None
) -> Relay:
    rate = () if source_mib_per_s is None else (str(source_mib_per_s * MIB),)
    with (
        tempfile.TemporaryDirectory(dir=folder) as scratch,
        _in_memory() as memory,
        embedded(Path(scratch)) as telegram,
        serving("tests.bench.file_server", str(media), *rate) as host,
    ):
        if link_mib_per_s is not None:
            asyncio.run(_throttle(telegram, link_mib_per_s))
        session = memory / telegram.session.name
        shutil.copy(telegram.session, session)
        cost = _run(
            Errand(f"http://{host.host}:{host.port}/{name}", telegram.telegram, session, Path(scratch) / "spool")
        )
    return Relay(name, size_mib, source_mib_per_s, link_mib_per_s, cost)


async def _throttle(telegram: Embedded, mib_per_s: int) -> None:
    async with telegram.control() as control:
        await control.set_line(ACCOUNT, Line(bandwidth_bytes_per_s=mib_per_s * MIB))


def _run(errand: Errand) -> Cost:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.relay_worker"],
        input=msgspec.json.encode(errand, enc_hook=str),
        check=False,
        capture_output=True,
    )
    if done.returncode:
        raise MeasurementError(f"the worker failed:\n{done.stderr.decode()[-3000:]}")
    return msgspec.json.decode(done.stdout, type=Cost)


@contextmanager
def _in_memory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield Path(folder)


def _checks(relays: list[Relay], sizes: tuple[int, ...]) -> tuple[Check, ...]:
    ratios = [ratio for relay in relays if (ratio := relay.over_slower_line) is not None]
    written = {plan: sum(r.cost.bytes_written for r in relays if r.cost.plan == plan) for plan in ("direct", "remux")}
    growth = [
        _memory(relays, name, max(sizes)) / _memory(relays, name, min(sizes)) for name in {r.name for r in relays}
    ]
    return (
        Check.at_most("wall_over_slower_line", max(ratios), 1.1),
        Check.at_most("disk_bytes_direct", written["direct"], 0),
        Check.at_most("disk_bytes_remux", written["remux"], 0),
        Check.at_most("memory_largest_over_smallest", max(growth), 1.25),
    )


def _memory(relays: list[Relay], name: str, size_mib: int) -> int:
    return next(
        relay.cost.memory_bytes
        for relay in relays
        if (relay.name, relay.size_mib) == (name, size_mib) and relay.over_slower_line is None
    )


def _sheets(relays: list[Relay]) -> tuple[Sheet, ...]:
    columns = (
        "file",
        "MiB",
        "plan",
        "source MiB/s",
        "link MiB/s",
        "s",
        "MiB/s",
        "x slower line",
        "disk bytes",
        "memory MiB",
    )
    rows = tuple(
        (
            relay.name,
            str(relay.size_mib),
            relay.cost.plan,
            str(relay.source_mib_per_s or "free"),
            str(relay.link_mib_per_s or "free"),
            f"{relay.cost.seconds:.1f}",
            f"{relay.cost.size_bytes / MIB / relay.cost.seconds:.1f}",
            "" if relay.over_slower_line is None else f"{relay.over_slower_line:.3f}",
            f"{relay.cost.bytes_written:,}",
            f"{relay.cost.memory_bytes / MIB:.0f}",
        )
        for relay in relays
    )
    return (Sheet("one file through one worker", columns, rows),)
