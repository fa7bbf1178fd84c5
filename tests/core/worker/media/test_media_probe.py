from __future__ import annotations

import io
from pathlib import Path

import av
import msgspec
import pytest

from telecine.core.emulator.media.files import html_page, truncate_copy
from telecine.core.emulator.media.pictures import pictures
from telecine.core.emulator.media.specs import Container
from telecine.core.plans import Probe
from telecine.core.reasons import Reason
from telecine.core.worker.media.process import MediaChild
from telecine.core.worker.sources.source import SourceError

from .conftest import KINDS, Clip, Sources, child, probe_failure, remuxed
from .held import HeldSource


@pytest.mark.parametrize("kind", sorted(KINDS))
async def test_probe_tells_what_the_file_is(kind: str, clip: Clip, sources: Sources) -> None:
    spec = KINDS[kind]
    async with child(sources, clip(spec)) as (media, _):
        probe = await media.probe()
    assert probe.video is not None
    assert probe.video.codec == {"libx264": "h264", "libx265": "hevc", "libvpx": "vp8", "libvpx-vp9": "vp9"}.get(
        spec.video_codec, spec.video_codec.value
    )
    assert (probe.video.width_px, probe.video.height_px) == (spec.width_px, spec.height_px)
    names = {"libmp3lame": "mp3", "libopus": "opus"}
    assert probe.audio_codecs == ((names.get(spec.audio_codec, spec.audio_codec.value),) if spec.audio_codec else ())
    assert [track.codec for track in probe.subtitles] == (["subrip"] if spec.subtitles else [])
    assert probe.duration_s == pytest.approx(spec.seconds, abs=0.1)
    assert probe.size_bytes == clip(spec).stat().st_size
    assert probe.moov_first == (spec.moov_first if spec.container is Container.MP4 else None)


@pytest.mark.parametrize("kind", ["mp4", "mp4_moov_last", "mkv", "avi"])
async def test_probe_reads_a_few_hundred_kib(kind: str, clip: Clip, sources: Sources) -> None:
    spec = msgspec.structs.replace(
        KINDS[kind], name=f"long-{KINDS[kind].name}", seconds=20.0, width_px=320, height_px=180, noise=30
    )
    assert clip(spec).stat().st_size > 800_000
    async with child(sources, clip(spec)) as (media, source):
        await media.probe()
        assert source.bytes_read <= 512 * 1024


async def test_mp4_in_fragments_does_not_count_as_streamable(sources: Sources, clip: Clip, tmp_path: Path) -> None:
    fragmented = tmp_path / "fragments.mp4"
    with (
        av.open(str(clip("mp4"))) as given,
        av.open(str(fragmented), "w", format="mp4", options={"movflags": "frag_keyframe+empty_moov"}) as out,
    ):
        track = out.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.size:
                packet.stream = track
                out.mux(packet)
    async with child(sources, fragmented) as (media, _):
        assert (await media.probe()).moov_first is False
        await remuxed(media, tmp_path / "out.mp4")
    assert pictures(tmp_path / "out.mp4") == pictures(clip("mp4"))


@pytest.mark.parametrize("kind", ["mp4", "mp4_moov_last", "mkv", "hevc_mkv", "avi", "webm_vp9"])
async def test_thumbnail_is_a_small_jpeg(kind: str, clip: Clip, sources: Sources) -> None:
    async with child(sources, clip(kind)) as (media, _):
        jpeg = await media.thumbnail()
    assert jpeg is not None
    assert len(jpeg) < 200_000
    with av.open(io.BytesIO(jpeg), "r") as picture:
        frame = next(iter(picture.decode(video=0)))
        assert (frame.width, frame.height) == (320, 180)


@pytest.mark.parametrize("kind", ["mp4", "mp4_moov_last", "mkv", "avi", "webm_vp8", "hevc_mp4"])
async def test_truncated_file_is_told_before_anything_is_uploaded(
    kind: str, clip: Clip, sources: Sources, tmp_path: Path
) -> None:
    for share in (0.95, 0.3):
        cut = truncate_copy(clip(kind), tmp_path / f"{share}-{clip(kind).name}", share)
        assert (await probe_failure(sources, cut)).reason is Reason.TRUNCATED


@pytest.mark.parametrize(
    "content",
    [b"\x00" * 5000, b"just text\n" * 500, bytes(range(256)) * 100, b"\x00\x00\x00\x18ftypmp42" + b"\xff" * 5000],
)
async def test_what_is_no_media_is_told(content: bytes, sources: Sources, tmp_path: Path) -> None:
    file = tmp_path / "film.mkv"
    file.write_bytes(content)
    assert (await probe_failure(sources, file)).reason in (Reason.NOT_MEDIA, Reason.TRUNCATED)


async def test_page_named_like_a_film_is_no_media(sources: Sources, tmp_path: Path) -> None:
    assert (await probe_failure(sources, html_page(tmp_path / "page.mkv"))).reason is Reason.NOT_MEDIA


@pytest.mark.parametrize(
    "playlist",
    [
        b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1/secret.ts\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
    ],
)
async def test_child_follows_no_playlist(playlist: bytes) -> None:
    async with MediaChild.start(HeldSource(playlist)) as media:
        with pytest.raises(SourceError) as raised:
            await media.probe()
    assert raised.value.reason is Reason.NOT_MEDIA


async def test_sound_alone_is_a_probe_without_video(clip: Clip, sources: Sources, tmp_path: Path) -> None:
    file = tmp_path / "song.mp4"
    with av.open(str(clip("mp4"))) as given, av.open(str(file), "w", format="mp4") as out:
        track = out.add_stream_from_template(given.streams.audio[0])
        for packet in given.demux(audio=0):
            if packet.size:
                packet.stream = track
                out.mux(packet)
    async with child(sources, file) as (media, _):
        probe: Probe = await media.probe()
        assert probe.video is None
        assert await media.thumbnail() is None
        with pytest.raises(SourceError) as raised:
            await remuxed(media, tmp_path / "out.mp4")
    assert raised.value.reason is Reason.NOT_MEDIA
