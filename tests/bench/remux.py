"""A remux into upload parts beside ffmpeg's into a file."""

from __future__ import annotations

import importlib
import subprocess
import time
from contextlib import aclosing
from pathlib import Path

import msgspec
import uvloop
from tests.bench.report import Check, Findings, MeasurementError, Options, Sheet, median

from telecine.core.clock import SystemClock
from telecine.core.config import WorkerSettings
from telecine.core.emulator.media.specs import Container
from telecine.core.emulator.media.vast import vast
from telecine.core.plans import Recipe
from telecine.core.worker.media.process import MediaChild
from telecine.core.worker.media.wire import Part
from telecine.core.worker.sources.sources import Sources

MIB = 1024 * 1024
SIZE_MIB, ROUNDS = 2000, 5  # a film of half an hour
QUICK_SIZE_MIB, QUICK_ROUNDS = 16, 1
SECONDS_PER_MIB = 1  # 8 Mbit/s, as films in 1080p have

METHOD = (
    "Ours: a source opened as a worker opens it, muxed by its media child, the parts counted and let go.",
    "ffmpeg: -c copy -movflags +faststart, from and to the same disk. One after the other, in turns.",
    "The source is an MKV with H.264 and AAC; both read it from memory, since it has just been written or read.",
)


class Round(msgspec.Struct, frozen=True):
    """One remux by each, in seconds of wall time; ffmpeg's is None where there is no ffmpeg."""

    ours_s: float
    parts: int
    ours_bytes: int
    ffmpeg_s: float | None
    ffmpeg_bytes: int | None

    @property
    def ratio(self) -> float | None:
        """Ours over ffmpeg's."""
        return None if self.ffmpeg_s is None else self.ours_s / self.ffmpeg_s


def measure(options: Options) -> Findings:
    """Raises MeasurementError."""
    ffmpeg = _installed_ffmpeg()
    if ffmpeg is None and not options.skip_missing_peers:
        raise MeasurementError("ffmpeg is not installed; `pip install -r requirements-bench.lock` brings one")
    size_mib, count = (QUICK_SIZE_MIB, QUICK_ROUNDS) if options.quick else (SIZE_MIB, ROUNDS)
    options.say(f"making {size_mib} MiB of film")
    film = options.folder.resolve() / "film.mkv"
    vast(film, size_bytes=size_mib * MIB, seconds=size_mib * SECONDS_PER_MIB, container=Container.MKV)
    rounds = []
    for number in range(1, count + 1):
        options.say(f"round {number} of {count}")
        rounds.append(_round(film, ffmpeg))
    rows = [_row("ours, into parts", [one.ours_s for one in rounds], size_mib)]
    theirs = [one.ffmpeg_s for one in rounds if one.ffmpeg_s is not None]
    if theirs:
        rows.append(_row("ffmpeg, to a file", theirs, size_mib))
    sheet = Sheet(f"{size_mib} MiB, median of {count}", ("remux", "s", "MiB/s"), tuple(rows))
    ratios = [ratio for one in rounds if (ratio := one.ratio) is not None]
    check = Check.at_most("wall_over_ffmpeg", median(ratios) if ratios else None, 1.3)
    return Findings(METHOD, (sheet,), {"rounds": rounds}, (check,))


def _row(name: str, seconds: list[float], size_mib: int) -> tuple[str, ...]:
    return name, f"{median(seconds):.2f}", f"{size_mib / median(seconds):.0f}"


def _installed_ffmpeg() -> str | None:
    try:
        return str(importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe())
    except ImportError:
        return None


def _round(film: Path, ffmpeg: str | None) -> Round:
    ffmpeg_s = ffmpeg_bytes = None
    if ffmpeg is not None:
        began_s = time.perf_counter()
        ffmpeg_bytes = _remuxed_by(ffmpeg, film)
        ffmpeg_s = time.perf_counter() - began_s
    began_s = time.perf_counter()
    parts, ours_bytes = uvloop.run(_ours(film))
    return Round(time.perf_counter() - began_s, parts, ours_bytes, ffmpeg_s, ffmpeg_bytes)


def _remuxed_by(ffmpeg: str, film: Path) -> int:
    made = film.with_name("faststart.mp4")
    command = [ffmpeg, "-v", "error", "-y", "-i", str(film), "-c", "copy"]
    done = subprocess.run([*command, "-movflags", "+faststart", str(made)], check=False, capture_output=True, text=True)
    if done.returncode:
        raise MeasurementError(f"ffmpeg failed: {done.stderr}")
    size_bytes = made.stat().st_size
    made.unlink()
    return size_bytes


async def _ours(film: Path) -> tuple[int, int]:
    """How many parts came, and how many bytes."""
    settings = WorkerSettings(
        name="bench",
        coordinator_url="http://127.0.0.1",
        token="none",
        session=film.with_name("none.session"),
        file_roots=(film.parent,),
    )
    parts = size_bytes = 0
    async with (
        Sources(settings, SystemClock()) as sources,
        sources.open(film.as_uri()) as source,
        MediaChild.start(source) as media,
        aclosing(media.mux(Recipe())) as messages,
    ):
        async for message in messages:
            if isinstance(message, Part):
                parts += 1
                size_bytes += len(message.data)
    return parts, size_bytes
