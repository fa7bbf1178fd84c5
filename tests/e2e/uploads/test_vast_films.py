"""A film of more than four gigabytes goes through a Premium account, whose limits are Telegram's own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from time import monotonic

import av
import pytest
from av.container import InputContainer
from av.video.frame import VideoFrame
from tests.e2e.uploads.deployment import Deployment, Uploaded, deployed

from telecine.core.emulator.media.specs import Container
from telecine.core.emulator.media.vast import vast
from telecine.core.emulator.telegram.keys import ServerKey
from telecine.core.plans import PART_BYTES, PARTS_MAX_PREMIUM

FILM_BYTES = 4_700_000_000
FILM_S = 3_600
FRAME_S = 1 / 24
MEMORY_BYTES_MAX = 400 * 1024**2  # of the worker, with everything that it is made of
DISK_BYTES_MAX = 4 * 1024**2  # journal, session and notes of what is with Telegram

logger = logging.getLogger(__name__)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("container", [Container.MP4, Container.MKV])
async def test_a_film_over_the_premium_limit_becomes_parts_that_play(
    tmp_path: Path, server_key: ServerKey, container: Container
) -> None:
    async with deployed(tmp_path, server_key, premium=True) as deployment:
        film = deployment.media / f"vast.{container.value}"
        await asyncio.to_thread(vast, film, size_bytes=FILM_BYTES, seconds=FILM_S, container=container)
        began_s = monotonic()
        code = await deployment.plan(film.name)
        kept = await deployment.done(code, timeout_s=3000)
        stored = deployment.uploaded(code)
        logger.warning(
            "%d bytes in %d parts in %.0f s; the worker took %d MiB of memory at most and wrote %d bytes",
            film.stat().st_size,
            len(stored),
            monotonic() - began_s,
            memory_peak_bytes(deployment) // 1024**2,
            disk_bytes_written(deployment),
        )
        assert [one.code for one in stored] == [f"{code}_P01OF02", f"{code}_P02OF02"]
        assert [(one.channel_id, one.message_id) for one in stored] == [
            (one.channel_id, one.message_id) for one in kept
        ]
        assert all(one.document.size_bytes <= PART_BYTES * PARTS_MAX_PREMIUM for one in stored)
        assert sum(one.document.size_bytes for one in stored) > PART_BYTES * PARTS_MAX_PREMIUM
        assert memory_peak_bytes(deployment) < MEMORY_BYTES_MAX
        assert disk_bytes_written(deployment) < DISK_BYTES_MAX
        await asyncio.to_thread(check_that_they_play, deployment, stored, film)


def check_that_they_play(deployment: Deployment, stored: list[Uploaded], film: Path) -> None:
    """Each from its first frame to its last, one where the other ended."""
    for one in stored:
        with av.open(str(deployment.file(one))) as part:
            declared = one.document.video
            assert declared is not None
            assert declared.supports_streaming
            assert abs(declared.duration_s - seconds(part)) < 1
            first = next(frames(part))
            assert first.key_frame
            assert (first.time, first.width, first.height) == (0.0, declared.width_px, declared.height_px)
            assert part.streams.audio[0].duration
            part.seek(int((seconds(part) - 2) * av.time_base))
            *_, last = frames(part)
            assert last.time is not None
            assert seconds(part) - last.time < 3 * FRAME_S
    with av.open(str(film)) as whole:
        parts = [av.open(str(deployment.file(one))) for one in stored]
        assert abs(sum(seconds(part) for part in parts) - seconds(whole)) < 1
        assert sum(part.streams.video[0].frames for part in parts) == FILM_S * 24
        for part in parts:
            part.close()


def frames(container: InputContainer) -> Iterator[VideoFrame]:
    return container.decode(video=0)


def seconds(container: InputContainer) -> float:
    """How long the picture runs."""
    track = container.streams.video[0]
    if track.duration is not None and track.time_base is not None:
        return float(track.duration * track.time_base)
    return float(Fraction(container.duration or 0, av.time_base))


def memory_peak_bytes(deployment: Deployment) -> int:
    """Of the worker's process, since it began."""
    for line in Path(f"/proc/{deployment.worker.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the system does not tell")


def disk_bytes_written(deployment: Deployment) -> int:
    """By the worker and the children that it has had."""
    for line in Path(f"/proc/{deployment.worker.pid}/io").read_text().splitlines():
        if line.startswith("write_bytes:"):
            return int(line.split()[1])
    raise AssertionError("the system does not tell")
