"""The demonstration's files: each clip is encoded once and packed into every container that a link asks for."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from telecine.core.demo.titles import Clip, Codec, Link, Packing, Trouble
from telecine.core.emulator.media.files import generate, remux_copy, truncate_copy
from telecine.core.emulator.media.specs import AudioCodec, Container, MediaSpec, VideoCodec

CUT_SHORT_SHARE = 0.4
NOISE_OF_LARGE_CLIPS = 20  # a picture that compresses well would not reach its size
WEB_PAGE = "<!doctype html><title>Not here</title><p>This film has moved. Sign in to continue.</p>\n"

_CODECS = {
    Codec.H264: (Container.MP4, VideoCodec.H264, AudioCodec.AAC),
    Codec.HEVC: (Container.MP4, VideoCodec.HEVC, AudioCodec.AAC),
    Codec.MPEG4: (Container.AVI, VideoCodec.MPEG4, AudioCodec.MP3),
    Codec.VP9: (Container.WEBM, VideoCodec.VP9, AudioCodec.OPUS),
}


def is_served(link: Link) -> bool:
    """Whether the link's host has a file at all."""
    return link.trouble not in (Trouble.GONE, Trouble.FORBIDDEN, Trouble.RATE_LIMITED)


async def make_files(links: Iterable[Link], folder: Path, *, on_made: Callable[[int, int], None]) -> None:
    """Make what is not there yet, below `folder`, on all cores. `on_made(done, total)` hears of each file."""
    served = [link for link in links if is_served(link)]
    clips = list(dict.fromkeys(link.clip for link in served))
    loop, total = asyncio.get_running_loop(), len(clips) + len(served)
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        made = 0
        masters: list[Callable[[], object]] = [partial(_master, clip, folder) for clip in clips]
        files: list[Callable[[], object]] = [partial(_pack, link, folder) for link in served]
        for batch in (masters, files):  # a file is packed from its clip
            for step in asyncio.as_completed([loop.run_in_executor(pool, make) for make in batch]):
                await step
                made += 1
                on_made(made, total)


def _master(clip: Clip, folder: Path) -> Path:
    container, video, audio = _CODECS[clip.codec]
    return generate(_spec(clip, container, video, audio, name=f"clip-{clip.seed}.{container.value}"), folder / "clips")


def _spec(clip: Clip, container: Container, video: VideoCodec, audio: AudioCodec, *, name: str) -> MediaSpec:
    return MediaSpec(
        name=name,
        container=container,
        video_codec=video,
        audio_codec=audio if clip.has_audio else None,
        width_px=clip.width_px,
        height_px=clip.height_px,
        seconds=clip.seconds,
        seed=clip.seed,
        noise=NOISE_OF_LARGE_CLIPS if clip.video_bytes else 0,
        video_bytes=clip.video_bytes,
        b_frames=2 if video in (VideoCodec.H264, VideoCodec.HEVC) else 0,
        subtitles=container is Container.MKV,
    )


def _pack(link: Link, folder: Path) -> None:
    target, master = folder / link.path, _master(link.clip, folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and target.stat().st_mtime_ns >= master.stat().st_mtime_ns:
        return
    match link.packing:
        case Packing.MP4 | Packing.AVI | Packing.WEBM:
            target.unlink(missing_ok=True)
            target.hardlink_to(master)
        case Packing.MP4_INDEX_LAST:
            remux_copy(master, target, Container.MP4, moov_first=False)
        case Packing.MKV:
            remux_copy(master, target, Container.MKV)
        case Packing.MKV_SUBTITLED:
            _, video, audio = _CODECS[link.clip.codec]
            generate(_spec(link.clip, Container.MKV, video, audio, name=target.name), target.parent)
        case Packing.CUT_SHORT:
            whole = remux_copy(master, target.with_suffix(".whole"), Container.MKV)
            truncate_copy(whole, target, CUT_SHORT_SHARE)
            whole.unlink()
        case Packing.WEB_PAGE:
            target.write_text(WEB_PAGE)
