"""One file into Telegram: our engine beside Telethon, the FastTelethon pattern and Kurigram, near and far."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from tests.bench.embedded import Embedded, embedded
from tests.bench.report import Check, Findings, MeasurementError, Options, Sheet, median
from tests.bench.uploaders import Cost, Errand, Kind

from telecine.core.emulator.faults import Line

MIB = 1024 * 1024
PEERS = (Kind.TELETHON, Kind.FAST, Kind.KURIGRAM)
LATENCIES_MS = (0, 50, 150)
ROUNDS = 5
# MiB: a few seconds each, so that slow clients do not take all the time; a rate does not hang on the size.
SIZES_MIB: dict[Kind, tuple[int, int, int]] = {
    Kind.OURS: (512, 512, 512),
    Kind.TELETHON: (96, 48, 24),
    Kind.FAST: (96, 96, 96),
    Kind.KURIGRAM: (192, 128, 64),
    Kind.LIMIT_ALONE: (512, 0, 0),
    Kind.LIMIT: (512, 0, 0),
}
QUICK_MIB = 12  # more than 10, or it would not be a big file
MEMORY = Path("/dev/shm")
PATIENCE_S = 600.0
INSTALL_HINT = "`make bench` installs the peers; or pip install -r requirements-bench.lock"

METHOD = (
    "One embedded Telegram in a process of its own, in memory; each upload by a new client process, on uvloop.",
    "latency: added by the server to each request. Random bytes, from a file in memory. Peers with their defaults.",
    "limit: one core that only does AES-IGE (cryptg), SHA-256 and CRC-32 of the same bytes, 512 KiB at a time; alone,",
    "and while another core does as much for the other end, as it must: two busy cores are slower than one.",
    "Rounds take turns among the clients; figures are medians of the rounds, ratios those within a round.",
)


class Upload(msgspec.Struct, frozen=True):
    """One file that was uploaded."""

    kind: Kind
    latency_ms: int
    round_no: int
    cost: Cost

    @property
    def mb_per_s(self) -> float:
        return self.cost.size_bytes / 1e6 / self.cost.seconds

    @property
    def mb_per_cpu_s(self) -> float:
        return self.cost.size_bytes / 1e6 / self.cost.cpu_s


def measure(options: Options) -> Findings:
    """Raises MeasurementError."""
    kinds = _kinds(options)
    uploads: list[Upload] = []
    with _in_memory(options.folder) as folder, embedded(folder, in_memory=True) as telegram:
        for round_no in range(1 if options.quick else ROUNDS):
            for at, latency_ms in enumerate(LATENCIES_MS[:-1] if options.quick else LATENCIES_MS):
                asyncio.run(_lag(telegram, latency_ms))
                for kind in kinds if round_no % 2 == 0 else kinds[::-1]:
                    size_mib = min(SIZES_MIB[kind][at], QUICK_MIB) if options.quick else SIZES_MIB[kind][at]
                    if size_mib:
                        options.say(f"round {round_no + 1}, {latency_ms} ms, {kind.value}")
                        cost = _run(Errand(kind, _file(folder, size_mib), telegram.telegram, telegram.session))
                        uploads.append(Upload(kind, latency_ms, round_no, cost))
                        asyncio.run(_forget(telegram))
    return Findings(METHOD, _sheets(uploads, kinds), {"uploads": uploads}, _checks(uploads))


def _kinds(options: Options) -> tuple[Kind, ...]:
    installed = importlib.util.find_spec("pyrogram") is not None
    if not installed and not options.skip_missing_peers:
        raise MeasurementError(f"Kurigram is not installed; {INSTALL_HINT}")
    return tuple(kind for kind in Kind if installed or kind is not Kind.KURIGRAM)


def _run(errand: Errand) -> Cost:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.uploaders"],
        input=msgspec.json.encode(errand, enc_hook=str),
        check=False,
        capture_output=True,
        timeout=PATIENCE_S,
    )
    if done.returncode:
        raise MeasurementError(f"{errand.kind.value} failed:\n{done.stderr.decode()[-3000:]}")
    return msgspec.json.decode(done.stdout, type=Cost)


async def _lag(telegram: Embedded, latency_ms: int) -> None:
    async with telegram.control() as control:
        await control.set_line(None, Line(latency_s=latency_ms / 1000))


async def _forget(telegram: Embedded) -> None:
    async with telegram.control() as control:
        await control.expire_parts()


def _file(folder: Path, size_mib: int) -> Path:
    """A file of random bytes, made when it is first asked for."""
    path = folder / f"{size_mib}.bin"
    if not path.exists():
        with path.open("wb") as file:
            for _ in range(size_mib):
                file.write(os.urandom(MIB))
    return path


@contextmanager
def _in_memory(otherwise: Path) -> Iterator[Path]:
    """A folder whose reads cost nothing but a copy."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else otherwise) as folder:
        yield Path(folder)


# ---- what was found ------------------------------------------------------------------------------


def _sheets(uploads: list[Upload], kinds: tuple[Kind, ...]) -> tuple[Sheet, ...]:
    rows = []
    for latency_ms in LATENCIES_MS:
        for kind in kinds:
            found = [one for one in uploads if (one.kind, one.latency_ms) == (kind, latency_ms)]
            if found:
                rows.append(_row(kind, latency_ms, found))
    columns = ("client", "latency", "MB/s", "MB/CPU s", "memory MB", "parts", "connections")
    return (Sheet("uploads", columns, tuple(rows)),)


def _row(kind: Kind, latency_ms: int, found: list[Upload]) -> tuple[str, ...]:
    return (
        kind.value,
        f"{latency_ms} ms",
        f"{median([one.mb_per_s for one in found]):,.1f}",
        f"{median([one.mb_per_cpu_s for one in found]):,.1f}",
        f"{median([one.cost.memory_bytes / 1e6 for one in found]):,.0f}",
        str(round(median([one.cost.parts_allowed for one in found])) or ""),
        str(round(median([one.cost.connections for one in found])) or ""),
    )


def _checks(uploads: list[Upload]) -> tuple[Check, ...]:
    return (
        Check.at_least("times_telethon_at_50_ms", _times(uploads, 50, (Kind.TELETHON,)), 6),
        Check.at_least("times_best_other_at_50_ms", _times(uploads, 50, PEERS), 1.5),
        Check.at_least("share_of_limit_at_0_ms", _times(uploads, 0, (Kind.LIMIT_ALONE,)), 0.8),
    )


def _times(uploads: list[Upload], latency_ms: int, others: tuple[Kind, ...]) -> float | None:
    """Our rate over the best of the others', the median of the rounds; None without any of them."""
    ratios = []
    for round_no in {one.round_no for one in uploads}:
        rates = {one.kind: one.mb_per_s for one in uploads if (one.round_no, one.latency_ms) == (round_no, latency_ms)}
        if not rates.keys() >= {Kind.OURS, *others}:
            return None
        ratios.append(rates[Kind.OURS] / max(rates[kind] for kind in others))
    return median(ratios) if ratios else None
