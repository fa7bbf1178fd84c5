"""What a source is, and a picture of it. Runs in the media child."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import msgspec
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import FFmpegError
from av.filter import Graph
from av.stream import Stream
from av.subtitles.stream import SubtitleStream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from telecine.core.plans import AudioTrack, Probe, SubtitleTrack, VideoTrack
from telecine.core.reasons import Reason
from telecine.core.worker.media.abridged import patched, patches
from telecine.core.worker.media.layout import Layout, survey
from telecine.core.worker.media.reader import (
    PATIENT_OPTIONS,
    PROBE_JUMP_BYTES,
    PROBE_OPTIONS,
    PROBE_READ_BYTES,
    MediaError,
    SourceFile,
    codec_name,
    duration_s,
    opened,
    picture_track,
    rotation_deg,
    shown_size_px,
)
from telecine.core.worker.media.wire import DURATION_S_MAX

THUMBNAIL_SIDE_MAX_PX = 320  # Telegram's limits of a thumbnail
THUMBNAIL_BYTES_MAX = 200_000
THUMBNAIL_AT_SHARE = 0.1  # openings are black or show somebody's logo
THUMBNAIL_AT_MAX_S = 60.0
PACKETS_TO_PICTURE_MAX = 2000
TURNS: dict[int, list[tuple[str, str | None]]] = {
    90: [("transpose", "clock")],
    180: [("hflip", None), ("vflip", None)],
    270: [("transpose", "cclock")],
}
TRACKS_MAX = 64  # of a kind, to tell of
WORDS_MAX = 100  # letters of a title that a source gives to a track
AVI_MAGIC = b"RIFF"
DOLBY_VISION_TAGS = frozenset({"dvh1", "dvhe", "dva1", "dvav", "dav1"})
DYNAMIC_RANGES = {16: "HDR10", 18: "HLG"}  # transfer characteristics of ITU-T H.273


def probe(file: SourceFile) -> Probe:
    """Find out what a source is. Raises MediaError NOT_MEDIA, or TRUNCATED where its end is known to be missing."""
    layout = survey(file.read_at, file.size_bytes)
    if layout.falls_short(file.size_bytes):
        raise MediaError(Reason.TRUNCATED, f"{file.size_bytes} bytes of {layout.declared_bytes}")
    if layout.is_mp4 and not layout.moov_first:
        file.make_seekable()
    brief = _brief(file, layout)
    abridged = brief.read_at is not file.read_at
    found = _probe(brief, layout, PROBE_OPTIONS, abridged=abridged)
    if found.video is not None and not found.video.width_px:
        return _probe(brief, layout, PATIENT_OPTIONS, abridged=abridged)
    return found


def _brief(file: SourceFile, layout: Layout) -> SourceFile:
    """The source without what a probe need not read: most of its index, its attachments, the index at its end."""
    seekable, read_at = file.seekable(), file.read_at
    if seekable and (changes := patches(read_at, layout)):
        read_at = patched(read_at, changes)
    return SourceFile(read_at, file.size_bytes, seekable=seekable and read_at(0, 4) != AVI_MAGIC)


def _probe(file: SourceFile, layout: Layout, options: dict[str, str], *, abridged: bool) -> Probe:
    with opened(file, options, PROBE_JUMP_BYTES if abridged else PROBE_READ_BYTES) as container:
        video = picture_track(container)
        length_s = layout.duration_s if layout.duration_s and layout.duration_s <= DURATION_S_MAX else None
        length_s = length_s or duration_s(container)
        found = Probe(
            container=container.format.name,
            size_bytes=file.size_bytes,
            duration_s=length_s,
            video=_video_track(container, video) if video else None,
            audio=tuple(_audio_track(stream) for stream in container.streams.audio[:TRACKS_MAX]),
            subtitles=tuple(_subtitle_track(stream) for stream in container.streams.subtitles[:TRACKS_MAX]),
            moov_first=layout.moov_first,
            moov_bytes=layout.moov_bytes,
            moov_at=layout.moov_at,
            bit_rate=int(file.size_bytes * 8 / length_s) if file.size_bytes and length_s else None,
        )
    return _without_track_rates(found) if abridged and found.is_mp4 else found


def _without_track_rates(probe: Probe) -> Probe:
    """FFmpeg makes the bit rate of a track of its index, and has seen the beginning of that only."""
    video = msgspec.structs.replace(probe.video, bit_rate=None) if probe.video else None
    audio = tuple(msgspec.structs.replace(track, bit_rate=None) for track in probe.audio)
    return msgspec.structs.replace(probe, video=video, audio=audio)


def _video_track(container: InputContainer, stream: VideoStream) -> VideoTrack:
    turned_deg = rotation_deg(container, stream)
    width_px, height_px = shown_size_px(stream, turned_deg)
    rate = stream.average_rate or stream.guessed_rate
    return VideoTrack(
        codec_name(stream),
        width_px,
        height_px,
        pixel_format=stream.pix_fmt,
        codec_tag=_tag(stream),
        rotation_deg=turned_deg,
        frames_per_s=round(float(rate), 3) if rate else None,
        bit_rate=stream.codec_context.bit_rate or None,
        dynamic_range=_dynamic_range(stream),
    )


def _audio_track(stream: AudioStream) -> AudioTrack:
    context = stream.codec_context
    return AudioTrack(
        codec_name(stream),
        channels=(context.channels or None) if context else None,
        sample_rate_hz=(context.sample_rate or None) if context else None,
        language=_language(stream),
        title=_words(stream, "title"),
        bit_rate=(context.bit_rate or None) if context else None,
    )


def _subtitle_track(stream: SubtitleStream) -> SubtitleTrack:
    return SubtitleTrack(codec_name(stream), _language(stream), _words(stream, "title"))


def _tag(stream: VideoStream) -> str | None:
    """What the container calls the codec, where it does so in letters."""
    tag = stream.codec_context.codec_tag
    return tag if tag.isascii() and tag.isalnum() else None


def _dynamic_range(stream: VideoStream) -> str | None:
    if _tag(stream) in DOLBY_VISION_TAGS:
        return "Dolby Vision"
    return DYNAMIC_RANGES.get(int(stream.codec_context.color_trc))


def _language(stream: Stream) -> str | None:
    language = _words(stream, "language")
    return None if language == "und" else language


def _words(stream: Stream, key: str) -> str | None:
    """A text of the source's own, fit to be shown: short, without anything that a terminal would obey."""
    text = "".join(letter for letter in stream.metadata.get(key, "") if letter.isprintable()).strip()
    return text[:WORDS_MAX] or None


def thumbnail(file: SourceFile) -> bytes | None:
    """A small JPEG of an early key frame; None where no picture can be decoded. Raises MediaError NOT_MEDIA."""
    with opened(file, PROBE_OPTIONS, PROBE_READ_BYTES) as container:
        video = picture_track(container)
        if video is None:
            return None
        length_s = duration_s(container)
        try:
            if length_s and file.seekable():
                at_s = min(length_s * THUMBNAIL_AT_SHARE, THUMBNAIL_AT_MAX_S)
                container.seek(int(at_s * av.time_base), backward=True)
            frame = _first_picture(container, video)
            return _jpeg(_upright(frame), shown_size_px(video, _turned_deg(frame))) if frame else None
        except FFmpegError:
            return None  # a film without a thumbnail is still a film


def _first_picture(container: InputContainer, video: VideoStream) -> VideoFrame | None:
    video.codec_context.thread_count = 1
    video.codec_context.skip_frame = "NONKEY"
    for count, packet in enumerate(container.demux(video)):
        for frame in packet.decode():
            return frame
        if count > PACKETS_TO_PICTURE_MAX:
            break
    return None


def _turned_deg(frame: VideoFrame) -> int:
    """How far players turn a picture clockwise; PyAV counts against the clock."""
    return -frame.rotation % 360


def _upright(frame: VideoFrame) -> VideoFrame:
    """The picture as players turn it."""
    turns = TURNS.get(_turned_deg(frame))
    if turns is None:
        return frame
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, av.time_base)
    )
    graph.link_nodes(source, *(graph.add(turn, arguments) for turn, arguments in turns), graph.add("buffersink"))
    graph.configure()
    graph.push(frame)
    upright = graph.pull()
    assert isinstance(upright, VideoFrame)  # noqa: S101 - pictures go in
    return upright


def _jpeg(frame: VideoFrame, shown_px: tuple[int, int]) -> bytes | None:
    width, height = _fitted(*shown_px)
    small = frame.reformat(width, height, format="yuvj420p")
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mjpeg") as out:
        stream = out.add_stream("mjpeg", rate=1)
        assert isinstance(stream, VideoStream)  # noqa: S101 - mjpeg is
        stream.width, stream.height, stream.pix_fmt = width, height, "yuvj420p"
        stream.codec_context.thread_count = 1
        small.pts = 0
        out.mux([*stream.encode(small), *stream.encode(None)])
    jpeg = buffer.getvalue()
    return jpeg if 0 < len(jpeg) <= THUMBNAIL_BYTES_MAX else None


def _fitted(width_px: int, height_px: int) -> tuple[int, int]:
    scale = min(1.0, THUMBNAIL_SIDE_MAX_PX / max(width_px, height_px))
    return max(2, int(width_px * scale) // 2 * 2), max(2, int(height_px * scale) // 2 * 2)
