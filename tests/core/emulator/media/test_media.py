from __future__ import annotations

from pathlib import Path

import av
import msgspec
import pytest
from av.error import InvalidDataError

from telecine.core.emulator.media.files import generate, html_page, remux_copy, truncate_copy
from telecine.core.emulator.media.pictures import frame_digests, pictures
from telecine.core.emulator.media.specs import SAMPLES, AudioCodec, Container, MediaSpec, VideoCodec
from telecine.core.emulator.media.vast import vast

CODEC_NAMES = {
    VideoCodec.H264: "h264",
    VideoCodec.HEVC: "hevc",
    VideoCodec.MPEG4: "mpeg4",
    VideoCodec.VP8: "vp8",
    VideoCodec.VP9: "vp9",
    AudioCodec.AAC: "aac",
    AudioCodec.MP3: "mp3float",
    AudioCodec.AC3: "ac3",
    AudioCodec.OPUS: "opus",
}
TINY = MediaSpec(name="tiny.mp4", width_px=64, height_px=48, seconds=0.5)


def shrunk(spec: MediaSpec) -> MediaSpec:
    """The same kind of clip at a size that costs nothing."""
    return msgspec.structs.replace(spec, width_px=128, height_px=96, seconds=1.0, video_bytes=None)


@pytest.mark.parametrize("kind", sorted(SAMPLES))
def test_every_kind_is_what_its_spec_says(kind: str, tmp_path: Path) -> None:
    spec = shrunk(SAMPLES[kind])
    with av.open(str(generate(spec, tmp_path))) as clip:
        assert spec.container in ("webm" if spec.container is Container.WEBM else "", *clip.format.name.split(","))
        video = clip.streams.video[0]
        assert video.codec_context.name == CODEC_NAMES[spec.video_codec]
        assert (video.width, video.height) == (128, 96)
        names = [track.codec_context.name for track in clip.streams.audio]
        assert names == ([CODEC_NAMES[spec.audio_codec]] if spec.audio_codec else [])
        assert len(clip.streams.subtitles) == spec.subtitles
        assert sum(1 for _ in clip.decode(video=0)) == spec.frames_per_s


def test_same_spec_gives_the_same_bytes_and_another_seed_other_pictures(tmp_path: Path) -> None:
    one, again = generate(TINY, tmp_path / "one"), generate(TINY, tmp_path / "two")
    other = generate(msgspec.structs.replace(TINY, seed=1), tmp_path / "three")
    assert one.read_bytes() == again.read_bytes()
    assert set(frame_digests(one)).isdisjoint(frame_digests(other))


def test_clip_is_made_once_and_anew_for_another_spec_of_its_name(tmp_path: Path) -> None:
    first = generate(TINY, tmp_path).stat().st_mtime_ns
    assert generate(TINY, tmp_path).stat().st_mtime_ns == first
    changed = msgspec.structs.replace(TINY, seed=5)
    assert generate(changed, tmp_path).stat().st_mtime_ns != first
    generate(TINY, tmp_path)
    assert pictures(tmp_path / TINY.name) == pictures(generate(TINY, tmp_path / "afresh"))
    assert not list(tmp_path.glob("*.draft"))


@pytest.mark.parametrize(("kind", "reordered"), [("mp4", False), ("mkv", True), ("hevc_mkv", True), ("avi", False)])
def test_frames_depend_on_each_other_as_in_films(kind: str, reordered: bool, tmp_path: Path) -> None:
    with av.open(str(generate(shrunk(SAMPLES[kind]), tmp_path))) as clip:
        packets = [packet for packet in clip.demux(video=0) if packet.size]
    assert sum(packet.is_keyframe for packet in packets) < len(packets) / 4
    shown = [packet.pts for packet in packets if packet.pts is not None]
    assert (shown != sorted(shown)) == reordered


@pytest.mark.parametrize(("moov_first", "order"), [(True, "moov mdat"), (False, "mdat moov")])
def test_index_stands_where_the_spec_says(moov_first: bool, order: str, tmp_path: Path) -> None:
    content = generate(msgspec.structs.replace(TINY, moov_first=moov_first), tmp_path).read_bytes()
    assert sorted(order.split(), key=lambda box: content.index(box.encode())) == order.split()


@pytest.mark.parametrize("container", [Container.MKV, Container.MOV, Container.MPEG_TS])
def test_copy_into_another_container_keeps_every_picture(container: Container, tmp_path: Path) -> None:
    source = generate(msgspec.structs.replace(TINY, b_frames=2), tmp_path)
    copy = remux_copy(source, tmp_path / "copy", container)
    assert pictures(copy) == pictures(source)
    assert pictures(copy).frames == 12


def test_video_bytes_are_aimed_at(tmp_path: Path) -> None:
    spec = MediaSpec(name="big.mkv", container=Container.MKV, video_bytes=3_000_000, audio_codec=None)
    assert generate(spec, tmp_path).stat().st_size == pytest.approx(3_000_000, rel=0.15)


def test_broken_files_are_broken(tmp_path: Path) -> None:
    source = generate(msgspec.structs.replace(TINY, moov_first=False), tmp_path)
    cut = truncate_copy(source, tmp_path / "cut.mp4", 0.5)
    assert cut.read_bytes() == source.read_bytes()[: source.stat().st_size // 2]
    page = html_page(tmp_path / "page.mkv")
    for broken in (cut, page):
        with pytest.raises(InvalidDataError):
            av.open(str(broken))


@pytest.mark.parametrize("container", [Container.MP4, Container.MKV])
def test_vast_film_takes_little_room_and_every_frame_decodes(container: Container, tmp_path: Path) -> None:
    film = vast(tmp_path / "vast", size_bytes=40_000_000, seconds=16, container=container, b_frames=2)
    assert film.stat().st_size == pytest.approx(40_000_000, rel=0.01)
    assert film.stat().st_blocks * 512 < 4_000_000
    digests = list(frame_digests(film))
    assert len(digests) == 16 * 24
    assert digests[: 8 * 24] == digests[8 * 24 :]
    with av.open(str(film)) as clip:
        assert clip.duration == pytest.approx(16 * av.time_base, rel=0.01)
        keys = sum(packet.is_keyframe for packet in clip.demux(video=0))
    assert keys == 16
