"""Films cut into files: every picture once and whole, every sound where it is heard, nothing over the limit."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telecine.core.emulator.media.pictures import frame_digests
from telecine.core.emulator.media.specs import AudioCodec, Container, MediaSpec, VideoCodec
from telecine.core.plans import Recipe
from telecine.core.reasons import Reason
from telecine.core.worker.media import cutter
from telecine.core.worker.media.mux import mux
from telecine.core.worker.media.reader import MediaError, SourceFile
from telecine.core.worker.media.wire import PartMade

from .conftest import Clip, Sources, child, muxed, whole

SMALL = MediaSpec(
    name="b-frames.mkv",
    container=Container.MKV,
    width_px=160,
    height_px=96,
    seconds=5,
    noise=20,
    gop_frames=12,
    b_frames=3,
)
OPEN = {"open_gop": True, "seed": 51}


def variant(name: str, **changes: object) -> MediaSpec:
    return msgspec.structs.replace(SMALL, name=name, **changes)


KINDS = {
    "h264": SMALL,
    "h264_mp4": variant("last.mp4", container=Container.MP4, moov_first=False),
    "h264_ts": variant("clip.ts", container=Container.MPEG_TS),
    "h264_open_gop": variant("open.mkv", **OPEN),
    "h264_open_gop_mp4": variant("open.mp4", container=Container.MP4, **OPEN),
    "h264_open_gop_ts": variant("open.ts", container=Container.MPEG_TS, **OPEN),
    "hevc": variant("hevc.mkv", video_codec=VideoCodec.HEVC),
    "hevc_open_gop": variant("hevc-open.mkv", video_codec=VideoCodec.HEVC, **OPEN),
    "hevc_open_gop_mp4": variant("hevc-open.mp4", container=Container.MP4, video_codec=VideoCodec.HEVC, **OPEN),
    "variable_rate": variant("variable.mkv", variable_rate=True),
    "three_tracks": variant("three.mkv", audio_tracks=3),
    "silent": variant("silent.mkv", audio_codec=None),
    "all_key_frames": variant("intra.mkv", gop_frames=1, b_frames=0),
    "mpeg4": variant(
        "old.avi", container=Container.AVI, video_codec=VideoCodec.MPEG4, audio_codec=AudioCodec.MP3, b_frames=1
    ),
}
FRAME_S = 1 / SMALL.frames_per_s
SOUND_FRAME_S = 1152 / 44_100


def cut(content: bytes, recipe: Recipe, folder: Path, *, size_known: bool = True) -> list[tuple[Path, PartMade]]:
    """The files that `recipe` makes of a source, in this process."""
    blocks: dict[int, dict[int, bytes]] = {}
    made: list[PartMade] = []

    def emit(file_no: int, index: int, data: bytes | memoryview) -> None:
        assert index not in blocks.setdefault(file_no, {})
        blocks[file_no][index] = bytes(data)

    def read(at: int, length: int) -> bytes:
        return content[at : at + length]

    mux(SourceFile(read, len(content) if size_known else None, seekable=size_known), recipe, emit, made.append)
    assert [one.file_no for one in made] == sorted(blocks) == list(range(1, len(made) + 1))
    files = []
    for one in made:
        file = folder / f"{one.file_no}.mp4"
        file.write_bytes(whole(blocks[one.file_no]))
        assert one.size_bytes == file.stat().st_size
        files.append((file, one))
    return files


@functools.cache
def frames(file: Path) -> tuple[str, ...]:
    return tuple(frame_digests(file))


def frames_of_all(files: list[tuple[Path, PartMade]]) -> tuple[str, ...]:
    return tuple(digest for file, _ in files for digest in frame_digests(file))


def sound(file: Path, track: int = 0) -> Iterator[tuple[float, bytes]]:
    """When each packet is heard, in seconds, and what it holds, without what MPEG-TS puts before."""
    with av.open(str(file)) as container:
        for packet in container.demux(audio=track):
            if packet.size and packet.pts is not None:
                data = bytes(packet)
                yield float(packet.pts * packet.time_base), data[7:] if data[:2] == b"\xff\xf1" else data


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("part_count", [None, 3])
def test_every_picture_is_in_the_files_once_and_in_order(
    kind: str, part_count: int | None, clip: Clip, tmp_path: Path
) -> None:
    source = clip(KINDS[kind])
    size = source.stat().st_size
    limit = size // 2 if part_count is None else size * 55 // 100
    files = cut(source.read_bytes(), Recipe(part_bytes_max=limit, part_count=part_count), tmp_path)
    assert frames_of_all(files) == frames(source)
    assert all(made.size_bytes <= limit and made.streamable for _, made in files)
    assert len(files) == part_count if part_count else len(files) >= 2
    with av.open(str(source)) as container:
        length_s = float((container.duration or 0) / av.time_base)
    assert sum(made.duration_s for _, made in files) == pytest.approx(length_s, abs=3 * FRAME_S)
    for file, made in files:
        with av.open(str(file)) as container:
            assert abs(container.start_time or 0) / av.time_base < 0.03
            film = container.streams.video[0]
            assert (film.duration or 0) * (film.time_base or 0) == pytest.approx(made.duration_s, abs=3 * FRAME_S)
            assert next(packet for packet in container.demux(film) if packet.size).is_keyframe


@pytest.mark.parametrize("kind", ["h264", "h264_ts", "hevc_open_gop", "three_tracks", "variable_rate", "mpeg4"])
def test_every_sound_is_in_the_files_once_and_heard_with_its_picture(kind: str, clip: Clip, tmp_path: Path) -> None:
    source = clip(KINDS[kind])
    size = source.stat().st_size
    files = cut(source.read_bytes(), Recipe(part_bytes_max=size // 2, part_count=3), tmp_path)
    for track in range(KINDS[kind].audio_tracks):
        expected = list(sound(source, track))
        heard, zero_s = [], 0.0
        for file, made in files:
            heard += [(at_s + zero_s, data) for at_s, data in sound(file, track)]
            zero_s += made.duration_s
        assert [data for _, data in heard] == [data for _, data in expected]
        offsets = [at_s - expected_s for (at_s, _), (expected_s, _) in zip(heard, expected, strict=True)]
        assert max(offsets) - min(offsets) < 0.006


@pytest.mark.parametrize("kind", ["h264_open_gop", "hevc_open_gop"])
def test_the_clips_with_open_groups_do_look_back_beyond_their_key_frames(kind: str, clip: Clip) -> None:
    with av.open(str(clip(KINDS[kind]))) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    led = 0
    for number, packet in enumerate(packets):
        following = packets[number + 1 : number + 2]
        led += packet.is_keyframe and any((after.pts or 0) < (packet.pts or 0) for after in following)
    assert led >= 5


@pytest.mark.parametrize("part_count", [1, 2, 4, 5])
def test_as_many_files_as_planned_and_all_of_about_one_size(part_count: int, clip: Clip, tmp_path: Path) -> None:
    source = clip(KINDS["h264"])
    size = source.stat().st_size
    files = cut(source.read_bytes(), Recipe(part_bytes_max=size * 2, part_count=part_count), tmp_path)
    assert len(files) == part_count
    sizes = [made.size_bytes for _, made in files]
    assert max(sizes) - min(sizes) < size / 7


def test_more_files_than_planned_where_they_would_be_too_large(clip: Clip, tmp_path: Path) -> None:
    source = clip(KINDS["h264"])
    limit = source.stat().st_size // 3
    files = cut(source.read_bytes(), Recipe(part_bytes_max=limit, part_count=2), tmp_path)
    assert len(files) > 2
    assert frames_of_all(files) == frames(source)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    share=st.floats(0.3, 1.5),  # one group with the next key frame behind it takes a fifth
    part_count=st.none() | st.integers(1, 8),
    kind=st.sampled_from(["h264", "hevc_open_gop"]),
)
def test_whatever_the_limit_no_file_is_over_it_and_no_picture_lost(
    share: float, part_count: int | None, kind: str, clip: Clip, tmp_path: Path
) -> None:
    source = clip(KINDS[kind])
    limit = int(source.stat().st_size * share)
    files = cut(source.read_bytes(), Recipe(part_bytes_max=limit, part_count=part_count), tmp_path)
    assert all(made.size_bytes <= limit for _, made in files)
    assert frames_of_all(files) == frames(source)


def test_group_that_fits_into_no_file_is_too_large(clip: Clip, tmp_path: Path) -> None:
    source = clip(variant("one-group.mkv", gop_frames=1000))
    with pytest.raises(MediaError) as raised:
        cut(source.read_bytes(), Recipe(part_bytes_max=source.stat().st_size // 2, part_count=3), tmp_path)
    assert raised.value.reason is Reason.TOO_LARGE


@pytest.mark.parametrize("kind", ["h264", "h264_open_gop"])
def test_group_too_long_to_be_held_goes_into_its_file_as_it_comes(
    kind: str, clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cutter, "HELD_BYTES_MAX", 4000)
    source = clip(KINDS[kind])
    files = cut(source.read_bytes(), Recipe(part_bytes_max=source.stat().st_size * 6 // 10, part_count=3), tmp_path)
    assert len(files) == 3
    assert frames_of_all(files) == frames(source)


def test_source_of_unknown_length_is_cut_as_it_comes(clip: Clip, tmp_path: Path) -> None:
    source = clip(KINDS["h264"])
    limit = source.stat().st_size // 3
    recipe = Recipe(part_bytes_max=limit, part_count=None)
    files = cut(source.read_bytes(), recipe, tmp_path, size_known=False)
    assert len(files) >= 3
    assert all(made.size_bytes <= limit and made.streamable for _, made in files)
    assert frames_of_all(files) == frames(source)


def test_source_that_ends_early_is_told_after_the_files_before(clip: Clip, tmp_path: Path) -> None:
    content = clip(variant("long.mkv", seconds=30)).read_bytes()
    with pytest.raises(MediaError) as raised:
        cut(content[: len(content) // 2], Recipe(part_bytes_max=len(content) // 3, part_count=3), tmp_path)
    assert raised.value.reason is Reason.TRUNCATED


SURROUND = variant("surround.mkv", audio_codec=AudioCodec.AC3, audio_layout="5.1")


def test_surround_sound_becomes_aac_and_is_cut_with_the_picture(clip: Clip, tmp_path: Path) -> None:
    source = clip(SURROUND)
    recipe = Recipe(transcode=(0,), part_bytes_max=source.stat().st_size // 2, part_count=3)
    files = cut(source.read_bytes(), recipe, tmp_path)
    assert frames_of_all(files) == frames(source)
    for file, made in files:
        with av.open(str(file)) as container:
            track = container.streams.audio[0]
            assert (track.codec_context.name, track.channels) == ("aac", 6)
            length_s = (track.duration or 0) * (track.time_base or 0)
        assert length_s == pytest.approx(made.duration_s, abs=2 * SOUND_FRAME_S)
        times = [at_s for at_s, _ in sound(file)]
        assert -0.05 < times[0] < SOUND_FRAME_S


def test_sound_that_is_left_behind_is_not_in_the_files(clip: Clip, tmp_path: Path) -> None:
    source = clip(KINDS["three_tracks"])
    ((file, made),) = cut(source.read_bytes(), Recipe(leave=(0, 2)), tmp_path)
    assert made.has_audio
    assert [data for _, data in sound(file)] == [data for _, data in sound(source, 1)]
    ((_, made),) = cut(source.read_bytes(), Recipe(leave=(0, 1, 2)), tmp_path)
    assert not made.has_audio


@pytest.mark.parametrize("recipe", [Recipe(), Recipe(transcode=(0,)), Recipe((0,), (), 200_000, None)])
def test_same_source_and_recipe_give_the_same_bytes(recipe: Recipe, clip: Clip, tmp_path: Path) -> None:
    content = clip(SURROUND).read_bytes()
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
        cut(content, recipe, folder)
    assert [file.read_bytes() for file in sorted(one.iterdir())] == [
        file.read_bytes() for file in sorted(two.iterdir())
    ]


@pytest.mark.parametrize("limit", [None, 200_000])
def test_rotation_is_kept_and_the_size_told_as_displayed(limit: int | None, clip: Clip, tmp_path: Path) -> None:
    source = clip(variant("turned.mp4", container=Container.MP4, rotation_deg=90))
    with av.open(str(source)) as container:
        turned = next(container.decode(video=0)).rotation
    assert abs(turned) == 90
    for file, made in cut(source.read_bytes(), Recipe(part_bytes_max=limit, part_count=None), tmp_path):
        with av.open(str(file)) as container:
            assert next(container.decode(video=0)).rotation == turned
        assert (made.width_px, made.height_px) == (SMALL.height_px, SMALL.width_px)


def test_sound_that_stands_far_behind_its_picture_goes_to_its_file(clip: Clip, tmp_path: Path) -> None:
    """Two seconds of sound behind their pictures, as some recorders write them."""
    source, late = clip(KINDS["h264_mp4"]), tmp_path / "late.mkv"
    with av.open(str(source)) as given, av.open(str(late), "w", format="matroska") as out:
        tracks = {stream.index: out.add_stream_from_template(stream) for stream in given.streams}
        packets = [packet for packet in given.demux() if packet.size]
        packets.sort(key=lambda packet: (packet.dts or 0) * packet.time_base + _lateness(packet.stream.type))
        for packet in packets:
            packet.stream = tracks[packet.stream_index]
            out.mux_one(packet)
    files = cut(late.read_bytes(), Recipe(part_bytes_max=late.stat().st_size // 2, part_count=3), tmp_path)
    assert [data for file, _ in files for _, data in sound(file)] == [data for _, data in sound(source)]
    for file, made in files:
        assert max(at_s for at_s, _ in sound(file)) == pytest.approx(made.duration_s, abs=2 * SOUND_FRAME_S)


def _lateness(kind: str) -> Fraction:
    return Fraction(2) if kind == "audio" else Fraction(0)


async def test_child_cuts_and_makes_sound_too(clip: Clip, sources: Sources, tmp_path: Path) -> None:
    """It can open nothing any more, not even a library."""
    source = clip(SURROUND)
    recipe = Recipe(transcode=(0,), part_bytes_max=source.stat().st_size // 2, part_count=3)
    async with child(sources, source) as (media, _):
        made = await muxed(media, recipe, tmp_path)
        assert await media.probe()
    assert len(made) == 3
    assert frames_of_all([(tmp_path / f"{one.file_no}.mp4", one) for one in made]) == frames(source)
