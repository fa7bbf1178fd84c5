"""A film of half an hour and more: its index is longer than the buffer that the muxer writes from."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import av

from telecine.core.emulator.media.specs import Container
from telecine.core.emulator.media.vast import vast
from telecine.core.plans import PART_BYTES
from telecine.core.worker.media.layout import survey

from .conftest import Sources, child, remuxed

FILM_S = 2_000


async def test_every_picture_of_a_long_film_is_found_by_its_index(sources: Sources, tmp_path: Path) -> None:
    film = await asyncio.to_thread(vast, tmp_path / "long.mkv", size_bytes=0, seconds=FILM_S, container=Container.MKV)
    async with child(sources, film) as (media, _):
        made = await remuxed(media, tmp_path / "long.mp4")
    assert made.streamable
    assert moov_bytes(tmp_path / "long.mp4") > PART_BYTES
    assert await asyncio.to_thread(pictures, tmp_path / "long.mp4") == await asyncio.to_thread(pictures, film)


def moov_bytes(file: Path) -> int:
    content = file.read_bytes()
    layout = survey(lambda at, length: content[at : at + length], len(content))
    assert layout.moov_first
    return layout.moov_bytes or 0


def pictures(file: Path) -> list[bytes]:
    """A digest of each encoded picture, in order."""
    with av.open(str(file)) as container:
        return [hashlib.blake2b(packet).digest() for packet in container.demux(video=0) if packet.size]
