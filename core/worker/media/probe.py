"""What a source is, and a picture of it. Runs in the media child."""

from __future__ import annotations

import io

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from telecine.core.plans import AudioTrack, Probe, SubtitleTrack, VideoTrack
from telecine.core.reasons import Reason
from telecine.core.worker.media.layout import Layout, survey
from telecine.core.worker.media.reader import (
    PATIENT_OPTIONS,
    PROBE_OPTIONS,
    PROBE_READ_BYTES,
    MediaError,
    SourceFile,
    codec_name,
    duration_s,
    opened,
    picture_track,
    shown_size_px,
)

THUMBNAIL_SIDE_MAX_PX = 320  # Telegram's limits of a thumbnail
THUMBNAIL_BYTES_MAX = 200_000
THUMBNAIL_AT_SHARE = 0.1  # openings are black or show somebody's logo
THUMBNAIL_AT_MAX_S = 60.0
PACKETS_TO_PICTURE_MAX = 2000


def probe(file: SourceFile) -> Probe:
    """Find out what a source is. Raises MediaError NOT_MEDIA, or TRUNCATED where its end is known to be missing."""
    layout = survey(file.read_at, file.size_bytes)
    if layout.falls_short(file.size_bytes):
        raise MediaError(Reason.TRUNCATED, f"{file.size_bytes} bytes of {layout.declared_bytes}")
    if layout.is_mp4 and not layout.moov_first:
        file.make_seekable()
    found = _probe(file, layout, PROBE_OPTIONS)
    if found.video is not None and not found.video.width_px:
        return _probe(file, layout, PATIENT_OPTIONS)
    return found


def _probe(file: SourceFile, layout: Layout, options: dict[str, str]) -> Probe:
    with opened(file, options, PROBE_READ_BYTES) as container:
        video = picture_track(container)
        return Probe(
            container=container.format.name,
            size_bytes=file.size_bytes,
            duration_s=duration_s(container),
            video=_video_track(video) if video else None,
            audio=tuple(AudioTrack(codec_name(stream)) for stream in container.streams.audio),
            subtitles=tuple(SubtitleTrack(codec_name(stream)) for stream in container.streams.subtitles),
            moov_first=layout.moov_first,
            moov_bytes=layout.moov_bytes,
        )


def _video_track(stream: VideoStream) -> VideoTrack:
    width_px, height_px = shown_size_px(stream)
    return VideoTrack(codec_name(stream), width_px, height_px, pixel_format=stream.pix_fmt)


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
            return _jpeg(frame) if frame else None
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


def _jpeg(frame: VideoFrame) -> bytes | None:
    width, height = _fitted(frame)
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


def _fitted(frame: VideoFrame) -> tuple[int, int]:
    scale = min(1.0, THUMBNAIL_SIDE_MAX_PX / max(frame.width, frame.height))
    return max(2, int(frame.width * scale) // 2 * 2), max(2, int(frame.height * scale) // 2 * 2)
