"""What a probe tells of tracks and pictures, and how little of a file it reads for that."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import msgspec
import pytest
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from telecine.core.emulator.media.specs import Container
from telecine.core.emulator.media.vast import vast
from telecine.core.plans import AudioTrack, Probe, SubtitleTrack
from telecine.core.worker.media import probe as media_probe
from telecine.core.worker.media.process import MediaChild
from telecine.core.worker.media.reader import SourceFile

from .conftest import KINDS, Clip
from .held import BLOCK_BYTES, HeldSource

VAST_BYTES = 200_000_000
FRAMES = 40_000  # half an hour


def probed(content: bytes) -> tuple[Probe, int]:
    """What the child would tell, and how many bytes it would ask for."""
    blocks: set[int] = set()

    def read_at(offset: int, length: int) -> bytes:
        data = content[offset : offset + length]
        blocks.update(range(offset // BLOCK_BYTES, -(-(offset + len(data)) // BLOCK_BYTES)))
        return data

    found = media_probe.probe(SourceFile(read_at, len(content), seekable=True))
    return found, len(blocks) * BLOCK_BYTES


def encoded(fill: Callable[[OutputContainer], None], container: str = "mp4") -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as out:
        fill(out)
    return buffer.getvalue()


def film(out: OutputContainer, width_px: int = 320, height_px: int = 180) -> VideoStream:
    stream = out.add_stream("libx264", rate=Fraction(24_000, 1001), options={"preset": "ultrafast"})
    assert isinstance(stream, VideoStream)
    stream.width, stream.height, stream.pix_fmt = width_px, height_px, "yuv420p"
    stream.codec_context.thread_count = 1
    return stream


def shoot(out: OutputContainer, stream: VideoStream, frames: int = 3) -> None:
    for number in range(frames):
        frame = VideoFrame(stream.width, stream.height, "yuv420p")
        for plane in frame.planes:  # white on the left, black on the right
            half = plane.line_size // 2
            plane.update((b"\xeb" * half + b"\x10" * (plane.line_size - half)) * plane.height)
        frame.pts = number
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))


def long_film(container: str) -> bytes:
    """Many small frames: nearly all of the file is its index."""

    def fill(out: OutputContainer) -> None:
        source = av.open(io.BytesIO(encoded(lambda short: shoot(short, film(short), 48))))
        assert isinstance(source, InputContainer)
        with source:
            track = out.add_stream_from_template(source.streams.video[0])
            step = Fraction(1, 24) / (source.streams.video[0].time_base or 1)
            for number, packet in enumerate(_repeated(source)):
                packet.stream = track
                packet.time_base = source.streams.video[0].time_base or Fraction(1, 24)
                packet.dts = round(number * step)
                packet.pts = packet.dts + round(number % 2 * step)
                out.mux_one(packet)

    return encoded(fill, container)


def _repeated(source: InputContainer) -> Iterator[Packet[Any]]:
    contents = [(bytes(packet), packet.is_keyframe) for packet in source.demux(video=0) if packet.size]
    for number in range(FRAMES):
        content, is_keyframe = contents[number % len(contents)]
        packet: Packet[Any] = Packet(content + b"\x00\x00\x00\x03\x0c\xff\x80" * (number % 2))
        packet.is_keyframe = is_keyframe
        yield packet


@pytest.mark.parametrize("container", [Container.MP4, Container.MKV])
async def test_probe_of_a_vast_file_reads_a_few_hundred_kib(container: Container, tmp_path: Path) -> None:
    file = vast(tmp_path / "vast", size_bytes=VAST_BYTES, seconds=8, container=container)
    source = HeldSource(file)
    async with MediaChild.start(source) as media:
        found = await media.probe()
    assert found.video is not None
    assert found.size_bytes == pytest.approx(VAST_BYTES, rel=0.02)
    assert source.bytes_read <= 640 * 1024


@pytest.mark.parametrize("kind", ["mp4", "mp4_moov_last", "mkv", "avi", "webm_vp8", "ts"])
async def test_probe_of_a_file_of_some_mb_reads_a_few_hundred_kib(kind: str, clip: Clip) -> None:
    spec = msgspec.structs.replace(
        KINDS["mp4" if kind == "ts" else kind], seconds=12.0, noise=90, video_bytes=3_000_000
    )
    if kind == "ts":
        spec = msgspec.structs.replace(spec, container=Container.MPEG_TS)
    file = clip(msgspec.structs.replace(spec, name=f"some-mb-{kind}"))
    assert file.stat().st_size > 2_000_000
    source = HeldSource(file)
    async with MediaChild.start(source) as media:
        found = await media.probe()
    assert found.duration_s == pytest.approx(12.0, abs=0.2)
    assert source.bytes_read <= 768 * 1024


@pytest.mark.parametrize("container", ["mp4", "mov"])
def test_of_a_large_index_only_the_beginning_is_read(container: str) -> None:
    content = long_film(container)
    found, read_bytes = probed(content)
    assert (found.moov_bytes or 0) > 400_000
    assert read_bytes <= 5 * BLOCK_BYTES
    assert found.duration_s == pytest.approx(FRAMES / 24, rel=0.01)
    assert found.video is not None
    assert (found.video.codec, found.video.pixel_format) == ("h264", "yuv420p")
    assert found.video.frames_per_s == pytest.approx(24.0, abs=0.1)


def test_fonts_that_come_with_a_film_are_not_read() -> None:
    fonts = bytes(3_000_000)

    def fill(out: OutputContainer) -> None:
        out.add_attachment("font.ttf", "font/ttf", fonts)
        shoot(out, film(out))

    content = encoded(fill, "matroska")
    assert len(content) > len(fonts)
    found, read_bytes = probed(content)
    assert found.video is not None
    assert read_bytes <= 4 * BLOCK_BYTES


@pytest.mark.parametrize("container", ["mp4", "mov", "matroska"])
@pytest.mark.parametrize(("turned", "shown"), [(0, (320, 180)), (90, (180, 320)), (180, (320, 180)), (270, (180, 320))])
def test_turned_picture_is_told_as_it_is_shown(container: str, turned: int, shown: tuple[int, int]) -> None:
    def fill(out: OutputContainer) -> None:
        stream = film(out)
        if turned:
            stream.set_display_rotation(-turned)  # PyAV counts against the clock
        shoot(out, stream)

    video = probed(encoded(fill, container))[0].video
    assert video is not None
    assert (video.width_px, video.height_px) == shown
    assert video.rotation_deg == turned
    assert video.frames_per_s == pytest.approx(23.976, abs=0.001)


def test_anamorphic_picture_is_told_as_wide_as_it_is_shown() -> None:
    def fill(out: OutputContainer) -> None:
        stream = film(out, 720, 576)
        stream.codec_context.sample_aspect_ratio = Fraction(64, 45)
        shoot(out, stream)

    video = probed(encoded(fill))[0].video
    assert video is not None
    assert (video.width_px, video.height_px) == (1024, 576)


@pytest.mark.parametrize("tag", ["hvc1", "hev1"])
def test_name_that_an_mp4_gives_its_codec_is_told(tag: str, clip: Clip) -> None:
    def fill(out: OutputContainer) -> None:
        with av.open(str(clip("hevc_mp4"))) as given:
            track = out.add_stream_from_template(given.streams.video[0])
            track.codec_context.codec_tag = tag
            for packet in given.demux(video=0):
                if packet.size:
                    packet.stream = track
                    out.mux_one(packet)

    video = probed(encoded(fill))[0].video
    assert video is not None
    assert (video.codec, video.codec_tag) == ("hevc", tag)


def test_every_track_is_told_with_its_language(clip: Clip) -> None:
    def fill(out: OutputContainer) -> None:
        with av.open(str(clip("mkv_ac3"))) as spoken, av.open(str(clip("mkv"))) as written:
            tracks = {}
            for given in (spoken.streams.video[0], spoken.streams.audio[0], written.streams.subtitles[0]):
                tracks[given] = out.add_stream_from_template(given)
            tracks[spoken.streams.audio[0]].metadata.update(language="fra", title="Commentaire \x1b[31m\n" + "a" * 500)
            tracks[written.streams.subtitles[0]].metadata.update(language="und", title="Forced")
            for container in (spoken, written):
                for packet in container.demux():
                    if packet.size and packet.stream in tracks:
                        packet.stream = tracks[packet.stream]
                        out.mux(packet)

    found, _ = probed(encoded(fill, "matroska"))
    assert found.audio == (AudioTrack("ac3", 2, 48_000, "fra", "Commentaire [31m" + "a" * 84, found.audio[0].bit_rate),)
    assert found.subtitles == (SubtitleTrack("subrip", None, "Forced"),)
    assert found.audio_codecs == ("ac3",)


def test_place_and_size_of_the_index_are_told(clip: Clip) -> None:
    first, last = (clip(kind).read_bytes() for kind in ("mp4", "mp4_moov_last"))
    for content in (first, last):
        found, _ = probed(content)
        assert found.moov_at == content.index(b"moov") - 4
        assert found.moov_bytes == int.from_bytes(content[found.moov_at : (found.moov_at or 0) + 4], "big")
        assert found.bit_rate == pytest.approx(len(content) * 8 / 2.0, rel=0.05)


@pytest.mark.parametrize(
    ("turned", "shown", "white", "black"),
    [
        (90, (180, 320), (90, 10), (90, 310)),
        (180, (320, 180), (310, 90), (10, 90)),
        (270, (180, 320), (90, 310), (90, 10)),
    ],
)
async def test_thumbnail_stands_upright(
    turned: int, shown: tuple[int, int], white: tuple[int, int], black: tuple[int, int]
) -> None:
    def fill(out: OutputContainer) -> None:
        stream = film(out)
        stream.set_display_rotation(-turned)
        shoot(out, stream)

    async with MediaChild.start(HeldSource(encoded(fill))) as media:
        jpeg = await media.thumbnail()
    assert jpeg is not None
    with av.open(io.BytesIO(jpeg), "r") as picture:
        frame = next(iter(picture.decode(video=0)))
    assert (frame.width, frame.height) == shown
    light, line = bytes(frame.planes[0]), frame.planes[0].line_size
    assert light[white[1] * line + white[0]] > 200
    assert light[black[1] * line + black[0]] < 50


async def test_thumbnail_is_as_wide_as_the_picture_is_shown() -> None:
    def fill(out: OutputContainer) -> None:
        stream = film(out, 720, 576)
        stream.codec_context.sample_aspect_ratio = Fraction(64, 45)
        shoot(out, stream)

    async with MediaChild.start(HeldSource(encoded(fill))) as media:
        jpeg = await media.thumbnail()
    assert jpeg is not None
    with av.open(io.BytesIO(jpeg), "r") as picture:
        frame = next(iter(picture.decode(video=0)))
    assert (frame.width, frame.height) == (320, 180)
