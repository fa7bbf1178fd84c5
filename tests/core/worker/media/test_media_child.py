from __future__ import annotations

import asyncio
import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from telecine.core.emulator.media.pictures import pictures
from telecine.core.emulator.media.specs import Container
from telecine.core.emulator.media.vast import vast
from telecine.core.plans import Probe, Recipe, VideoTrack, file_bytes_max
from telecine.core.reasons import Reason
from telecine.core.worker.media.process import MediaLimits
from telecine.core.worker.media.wire import Muxed, PartMade, Probed, ToWorker, framed
from telecine.core.worker.sources.source import SourceError

from .conftest import Clip, Sources, child, probe_failure, remuxed


async def test_one_child_probes_pictures_and_remuxes(clip: Clip, sources: Sources, tmp_path: Path) -> None:
    async with child(sources, clip("mkv")) as (media, _):
        probe = await media.probe()
        assert await media.probe() == probe
        assert await media.thumbnail()
        await remuxed(media, tmp_path / "out.mp4")
        assert await media.probe() == probe
    assert pictures(tmp_path / "out.mp4") == pictures(clip("mkv"))


def acting(code: str) -> MediaLimits:
    """A child that does something else."""
    return MediaLimits(silence_s=0.5, command=(sys.executable, "-I", "-c", code))


def saying(message: ToWorker) -> str:
    """Code that says something, and goes on talking."""
    return f"import os\nwhile True: os.write(1, {framed(message)!r})"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import signal; signal.pause()", Reason.NOT_MEDIA),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", Reason.NOT_MEDIA),
        ("raise SystemExit(3)", Reason.INTERNAL),
        ("import os, signal; os.write(1, b'\\xff' * 8); signal.pause()", Reason.NOT_MEDIA),
        ("import os, signal; os.write(1, b'\\x02\\x00\\x00\\x00zz'); signal.pause()", Reason.NOT_MEDIA),
        (saying(Muxed()), Reason.NOT_MEDIA),
        (saying(Probed(Probe("mp4", 9, 60.0, VideoTrack("h264", 2**31, 1080)))), Reason.NOT_MEDIA),
        (saying(Probed(Probe("mp4", 9, 2e9, VideoTrack("h264", 1920, 1080)))), Reason.NOT_MEDIA),
    ],
    ids=[
        "hangs",
        "crashes",
        "exits",
        "says too much",
        "says nonsense",
        "answers something else",
        "too wide",
        "too long",
    ],
)
async def test_child_that_misbehaves_fails_the_source_and_is_gone(
    code: str, reason: Reason, clip: Clip, sources: Sources
) -> None:
    processes: list[asyncio.subprocess.Process] = []

    async def ask() -> None:
        async with child(sources, clip("mkv"), acting(code)) as (media, _):
            processes.append(media._process)
            await media.probe()

    with pytest.raises(SourceError) as raised:
        await ask()
    assert raised.value.reason is reason
    assert "hung" not in raised.value.message or "pause" in code
    assert all(process.returncode is not None for process in processes)  # there is none if it was gone at once


async def test_child_that_takes_too_much_memory_fails_the_source(clip: Clip, sources: Sources) -> None:
    limits = MediaLimits(memory_bytes_max=64 * 1024 * 1024)
    assert (await probe_failure(sources, clip("big"), limits)).reason in (Reason.NOT_MEDIA, Reason.INTERNAL)


async def test_cancelled_remux_leaves_no_process(clip: Clip, sources: Sources) -> None:
    started = asyncio.Event()
    processes = []

    async def run() -> None:
        async with child(sources, clip("big")) as (media, _):
            processes.append(media._process)
            async for _ in media.mux(Recipe()):
                started.set()
                await asyncio.Event().wait()

    task = asyncio.create_task(run())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert processes[0].returncode is not None


async def test_child_can_open_neither_file_nor_socket(clip: Clip, sources: Sources) -> None:
    code = (
        "from telecine.core.worker.media import child as media_child, probe as media_probe\n"
        "import os, socket\n"
        "def attempt(act):\n"
        "    try: act()\n"
        "    except OSError: return\n"
        "    os._exit(9)\n"
        "def probe(file):\n"
        "    attempt(lambda: open('/etc/hostname'))\n"
        "    attempt(lambda: open('/tmp/x', 'w'))\n"
        "    attempt(socket.socket)\n"
        "    assert set(os.environ) <= {'LC_ALL', 'LC_CTYPE'}\n"
        "    return original(file)\n"
        "original, media_probe.probe = media_probe.probe, probe\n"
        "media_child.main()\n"
    )
    limits = MediaLimits(command=(sys.executable, "-I", "-c", code))
    async with child(sources, clip("mkv"), limits) as (media, _):
        assert (await media.probe()).video is not None


@pytest.mark.parametrize("recipe", [Recipe(), Recipe(part_bytes_max=100_000_000, part_count=3)], ids=["whole", "cut"])
async def test_child_stays_small_whatever_the_size_of_the_film(
    recipe: Recipe, sources: Sources, tmp_path: Path
) -> None:
    film = await asyncio.to_thread(
        vast, tmp_path / "vast.mkv", size_bytes=200_000_000, seconds=64, container=Container.MKV
    )
    async with child(sources, film) as (media, _):
        async for _ in media.mux(recipe):
            pass
        peak_bytes = await asyncio.to_thread(memory_peak_bytes, media._process.pid)
    assert peak_bytes < 120_000_000


def memory_peak_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        pytest.skip("needs /proc")
    return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))


@pytest.mark.slow
async def test_film_over_the_limit_of_premium_is_cut_in_two(sources: Sources, tmp_path: Path) -> None:
    limit = file_bytes_max(premium=True)
    film = await asyncio.to_thread(vast, tmp_path / "vast.mp4", size_bytes=4_800_000_000, seconds=3600)
    async with child(sources, film) as (media, _):
        messages = media.mux(Recipe(part_bytes_max=limit, part_count=2))
        made = [message async for message in messages if isinstance(message, PartMade)]
        peak_bytes = await asyncio.to_thread(memory_peak_bytes, media._process.pid)
    assert peak_bytes < 256_000_000
    assert len(made) == 2
    assert all(one.size_bytes <= limit and one.streamable for one in made)
    assert sum(one.duration_s for one in made) == pytest.approx(3600, abs=0.1)


SPINNING = """
import signal, subprocess, sys
spin = (
    "from telecine.core.worker.media.child import _die_with_the_worker as mortal; mortal(); print('up', flush=True)\\n"
    "while True: pass"
)
child = subprocess.Popen([sys.executable, "-I", "-c", spin], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
signal.pause()
"""


def test_child_that_spins_dies_with_its_worker() -> None:
    worker = subprocess.Popen([sys.executable, "-c", SPINNING], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    descriptor = os.pidfd_open(int(worker.stdout.readline()))
    worker.kill()
    worker.wait()
    worker.stdout.close()
    try:
        ended, _, _ = select.select([descriptor], [], [], 10)
    finally:
        os.close(descriptor)
    assert ended
