"""A remux into upload parts beside ffmpeg's into a file."""

from __future__ import annotations

import subprocess
import time
from contextlib import aclosing
from pathlib import Path

import imageio_ffmpeg
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
    """One remux by each, in seconds of wall time."""

    ours_s: float
    ffmpeg_s: float
    parts: int
    ours_bytes: int
    ffmpeg_bytes: int


def measure(options: Options) -> Findings:
    """Raises MeasurementError."""
    size_mib, count = (QUICK_SIZE_MIB, QUICK_ROUNDS) if options.quick else (SIZE_MIB, ROUNDS)
    options.say(f"making {size_mib} MiB of film")
    film = options.folder.resolve() / "film.mkv"
    vast(film, size_bytes=size_mib * MIB, seconds=size_mib * SECONDS_PER_MIB, container=Container.MKV)
    rounds = []
    for number in range(1, count + 1):
        options.say(f"round {number} of {count}")
        rounds.append(_round(film))
    ours, theirs = median([one.ours_s for one in rounds]), median([one.ffmpeg_s for one in rounds])
    rows = (
        ("ours, into parts", f"{ours:.2f}", f"{size_mib / ours:.0f}"),
        ("ffmpeg, to a file", f"{theirs:.2f}", f"{size_mib / theirs:.0f}"),
    )
    sheet = Sheet(f"{size_mib} MiB, median of {count}", ("remux", "s", "MiB/s"), rows)
    ratio = median([one.ours_s / one.ffmpeg_s for one in rounds])
    return Findings(METHOD, (sheet,), {"rounds": rounds}, (Check.at_most("wall_over_ffmpeg", ratio, 1.3),))


def _round(film: Path) -> Round:
    began_s = time.perf_counter()
    ffmpeg_bytes = _ffmpeg(film)
    ffmpeg_s = time.perf_counter() - began_s
    began_s = time.perf_counter()
    parts, ours_bytes = uvloop.run(_ours(film))
    return Round(time.perf_counter() - began_s, ffmpeg_s, parts, ours_bytes, ffmpeg_bytes)


def _ffmpeg(film: Path) -> int:
    made = film.with_name("faststart.mp4")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-i", film, "-c", "copy"]
    done = subprocess.run([*command, "-movflags", "+faststart", made], check=False, capture_output=True, text=True)
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
