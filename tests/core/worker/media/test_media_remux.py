from __future__ import annotations

from pathlib import Path

import av
import pytest

from telecine.core.emulator.media.pictures import pictures
from telecine.core.emulator.media.specs import AudioCodec, Container, MediaSpec, VideoCodec
from telecine.core.emulator.sources.faults import SourceFaultKind as Fault
from telecine.core.plans import Recipe
from telecine.core.reasons import Reason
from telecine.core.worker.media.layout import survey
from telecine.core.worker.media.mux import mux
from telecine.core.worker.media.reader import SourceFile
from telecine.core.worker.media.wire import Part, PartMade
from telecine.core.worker.sources.source import SourceError

from . import conftest
from .conftest import Clip, Sources, child, remuxed

B_FRAMES_AVI = MediaSpec(
    name="b-frames.avi",
    container=Container.AVI,
    video_codec=VideoCodec.MPEG4,
    audio_codec=AudioCodec.MP3,
    b_frames=1,
    seed=31,
)
KINDS = {
    **{kind: spec for kind, spec in conftest.KINDS.items() if spec.container is not Container.WEBM},
    "avi_b_frames": B_FRAMES_AVI,
    "long_gop": MediaSpec(name="deep.mkv", container=Container.MKV, b_frames=4, seconds=4, seed=32),
    "mov": MediaSpec(name="clip.mov", container=Container.MOV, moov_first=False, b_frames=2, seed=33),
    "ts": MediaSpec(name="clip.ts", container=Container.MPEG_TS, b_frames=2, seed=34),
}


def layout_of(file: Path) -> str:
    content = file.read_bytes()
    layout = survey(lambda at, length: content[at : at + length], len(content))
    return "moov first" if layout.moov_first else "moov last"


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_every_picture_survives_the_remux(kind: str, clip: Clip, sources: Sources, tmp_path: Path) -> None:
    spec = KINDS[kind]
    async with child(sources, clip(spec)) as (media, _):
        made = await remuxed(media, tmp_path / "out.mp4")
    assert pictures(tmp_path / "out.mp4") == pictures(clip(spec))
    assert layout_of(tmp_path / "out.mp4") == "moov first"
    assert made.streamable
    assert made.size_bytes == (tmp_path / "out.mp4").stat().st_size
    assert made.duration_s == pytest.approx(spec.seconds, abs=0.1)
    assert (made.width_px, made.height_px) == (spec.width_px, spec.height_px)
    assert made.has_audio == (spec.audio_codec is not None)


@pytest.mark.parametrize("kind", ["mkv", "avi", "ts"])
async def test_sound_survives_the_remux(kind: str, clip: Clip, sources: Sources, tmp_path: Path) -> None:
    async with child(sources, clip(KINDS[kind])) as (media, _):
        await remuxed(media, tmp_path / "out.mp4")
    assert sound(tmp_path / "out.mp4") == sound(clip(KINDS[kind]))


def sound(file: Path) -> list[bytes]:
    """What the packets of the sound carry, without the header that MPEG-TS puts before each."""
    with av.open(str(file)) as container:
        packets = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
    return [packet[7:] if packet[:2] == b"\xff\xf1" else packet for packet in packets]


async def test_hevc_carries_the_tag_that_apple_plays(clip: Clip, sources: Sources, tmp_path: Path) -> None:
    async with child(sources, clip("hevc_mkv")) as (media, _):
        await remuxed(media, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].codec_context.codec_tag == "hvc1"


async def test_parts_of_the_head_come_last_and_the_body_as_it_goes(
    clip: Clip, sources: Sources, tmp_path: Path
) -> None:
    async with child(sources, clip("big")) as (media, source):
        read_at_first: int | None = None
        order = []
        async for message in media.mux(Recipe()):
            read_at_first = source.bytes_read if read_at_first is None else read_at_first
            if isinstance(message, Part):
                order.append(message.index)
    assert order == [*range(1, len(order)), 0]
    assert read_at_first is not None
    assert read_at_first < 5_000_000  # a second of interleaving, and what is read ahead


def remuxed_here(content: bytes, index_bytes: int, target: Path) -> PartMade:
    """A remux in this process, with another room for the index than the child would leave."""
    parts: dict[int, bytes] = {}
    made: list[PartMade] = []
    file = SourceFile(lambda at, length: content[at : at + length], len(content), seekable=True)
    mux(file, Recipe(), lambda _, index, data: parts.update({index: bytes(data)}), made.append, index_bytes=index_bytes)
    target.write_bytes(b"".join(parts[index] for index in sorted(parts)))
    assert [one.size_bytes for one in made] == [target.stat().st_size]
    return made[0]


@pytest.mark.parametrize("kind", ["mkv", "big"])
def test_index_too_large_for_its_room_goes_to_the_end(kind: str, clip: Clip, tmp_path: Path) -> None:
    content, out = clip(kind).read_bytes(), tmp_path / "out.mp4"
    made = remuxed_here(content, 100_000, out)
    assert made.streamable
    needed = index_bytes_of(out)
    for room, streamable in (
        (600, False),
        (needed - 1, False),
        (needed, True),
        (needed + 4, False),
        (needed + 8, True),
    ):
        made = remuxed_here(content, room, out)
        assert made.streamable == (layout_of(out) == "moov first") == streamable
        assert index_bytes_of(out) == needed
    assert pictures(out) == pictures(clip(kind))
    remuxed_here(content, 600, out)
    assert pictures(out) == pictures(clip(kind))


def index_bytes_of(file: Path) -> int:
    content = file.read_bytes()
    at = content.index(b"moov") - 4
    return int.from_bytes(content[at : at + 4], "big")


async def test_source_without_ranges_is_remuxed_in_one_go(clip: Clip, sources: Sources, tmp_path: Path) -> None:
    sources.break_link("b-frames.mkv", Fault.NO_LENGTH)
    async with child(sources, clip("mkv")) as (media, source):
        await media.probe()
        await remuxed(media, tmp_path / "out.mp4")
        assert source.size_bytes is None
    assert pictures(tmp_path / "out.mp4") == pictures(clip("mkv"))
    assert sources.host.count("b-frames.mkv").requests <= 2


async def test_index_at_the_end_is_reached_without_ranges(clip: Clip, sources: Sources, tmp_path: Path) -> None:
    sources.break_link("last.mp4", Fault.NO_RANGES)
    async with child(sources, clip("mp4_moov_last")) as (media, _):
        assert (await media.probe()).moov_first is False
        await remuxed(media, tmp_path / "out.mp4")
    assert pictures(tmp_path / "out.mp4") == pictures(clip("mp4_moov_last"))


async def test_source_that_ends_early_is_told_at_the_end(clip: Clip, sources: Sources, tmp_path: Path) -> None:
    """A recording declares no length in bytes: only its runtime tells, and only when all has been read."""
    spec = MediaSpec(name="live.mkv", container=Container.MKV, seconds=10, width_px=128, height_px=96, seed=35)
    content = bytearray(clip(spec).read_bytes())
    at = content.index(b"\x18\x53\x80\x67") + 4
    content[at : at + 8] = b"\x01" + b"\xff" * 7  # of unknown length, as in a recording
    live = tmp_path / "unknown-length.mkv"
    live.write_bytes(content[: len(content) // 2])
    async with child(sources, live) as (media, _):
        assert (await media.probe()).video is not None
        with pytest.raises(SourceError) as raised:
            await remuxed(media, tmp_path / "out.mp4")
    assert raised.value.reason is Reason.TRUNCATED


async def test_codec_that_mp4_does_not_take_is_told(clip: Clip, sources: Sources, tmp_path: Path) -> None:
    async with child(sources, clip("webm_vp8")) as (media, _):
        with pytest.raises(SourceError) as raised:
            await remuxed(media, tmp_path / "out.mp4")
    assert raised.value.reason is Reason.NOT_MEDIA


async def test_trouble_of_the_source_comes_through(clip: Clip, sources: Sources, tmp_path: Path) -> None:
    async with child(sources, clip("big")) as (media, _):
        sources.break_link("big.mkv", Fault.DEAD, status=404)
        with pytest.raises(SourceError) as raised:
            await remuxed(media, tmp_path / "out.mp4")
    assert raised.value.reason is Reason.GONE
