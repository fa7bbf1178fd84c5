"""Opens untrusted media for reading. Runs in the media child, where there is neither network nor disk."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from telecine.core.reasons import Reason
from telecine.core.worker.media.wire import DURATION_S_MAX, FRAME_SIDE_MAX_PX

FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,rm,mxf,h264,hevc,ivf,mp3,aac,flac"
)
"""What FFmpeg may take a source for. Playlists and other formats that make it open further files are not among it."""

PROBE_OPTIONS = {"probesize": str(512 * 1024), "analyzeduration": "1000000", "format_whitelist": FORMATS}
PATIENT_OPTIONS = {"probesize": str(5 * 1024 * 1024), "analyzeduration": "5000000", "format_whitelist": FORMATS}
PROBE_READ_BYTES = 64 * 1024
PROBE_JUMP_BYTES = 16 * 1024  # where much is jumped over
COPY_READ_BYTES = 256 * 1024


class MediaError(Exception):
    """The source is at fault: `reason` says how."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class SourceFile:
    """A source as the file that FFmpeg reads: `read_at(offset, length)` brings the bytes."""

    def __init__(self, read_at: Callable[[int, int], bytes], size_bytes: int | None, *, seekable: bool) -> None:
        self.read_at = read_at
        self.size_bytes = size_bytes
        self._seekable = seekable and size_bytes is not None
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._seekable

    def make_seekable(self) -> None:
        """Let FFmpeg jump although it costs: an index at the end cannot be had otherwise."""
        self._seekable = self.size_bytes is not None

    def rewind(self) -> None:
        """Start again from the beginning."""
        self._position = 0

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size_bytes or 0}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, length: int) -> bytes:
        """At most COPY_READ_BYTES: FFmpeg asks for large packets at once, and is content with less."""
        data = self.read_at(self._position, min(length, COPY_READ_BYTES))
        self._position += len(data)
        return data


@contextmanager
def opened(file: SourceFile, options: dict[str, str], read_bytes: int) -> Iterator[InputContainer]:
    """A source demuxed from its start. Raises MediaError NOT_MEDIA for what FFmpeg cannot read."""
    file.rewind()
    try:
        container = av.open(file, mode="r", options=options, buffer_size=read_bytes, metadata_errors="replace")
    except (FFmpegError, ValueError) as error:
        raise MediaError(Reason.NOT_MEDIA, f"cannot be read as media: {_brief(error)}") from error
    with container:
        yield container


@contextmanager
def demuxing() -> Iterator[None]:
    """Raises MediaError TRUNCATED where FFmpeg stumbles behind the head of a file."""
    try:
        yield
    except FFmpegError as error:
        raise MediaError(Reason.TRUNCATED, f"breaks off or is damaged: {_brief(error)}") from error


def picture_track(container: InputContainer) -> VideoStream | None:
    """The film itself, rather than a cover picture."""
    films = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    best = container.streams.best("video")
    chosen = best if best in films else next(iter(films), None)
    return chosen if isinstance(chosen, VideoStream) else None


def codec_name(stream: Stream) -> str:
    """FFmpeg's name of the codec, not of the decoder that happens to be there."""
    context = stream.codec_context
    return context.codec.canonical_name if context is not None else "unknown"


def rotation_deg(container: InputContainer, stream: VideoStream) -> int:
    """How far players turn a picture clockwise: 0, 90, 180 or 270 degrees.

    PyAV tells it only with a decoded frame. The header of an MP4 with such a track says it too, and costs no reading.
    """
    if not {"mov", "matroska"} & set(container.format.name.split(",")):
        return 0
    header = io.BytesIO()
    try:
        with av.open(header, "w", format="mp4", options={"movflags": "empty_moov"}) as out:
            out.add_stream_from_template(stream)
            out.start_encoding()
    except (FFmpegError, ValueError):
        return 0  # no codec for an MP4
    return _turned_deg(header.getvalue())


def _turned_deg(header: bytes) -> int:
    """The angle in the matrix of a track header (ISO/IEC 14496-12, 8.3.2)."""
    at = header.find(b"tkhd") + 4
    matrix_at = at + (52 if header[at] else 40)
    cosine, sine = (int.from_bytes(header[matrix_at + n : matrix_at + n + 4], "big", signed=True) for n in (0, 4))
    return round(math.degrees(math.atan2(sine, cosine)) / 90) * 90 % 360


def shown_size_px(stream: VideoStream, turned_deg: int = 0) -> tuple[int, int]:
    """Width and height as displayed: anamorphic pictures are stretched to their width, turned ones turned."""
    width, height, aspect = stream.width, stream.height, stream.sample_aspect_ratio
    if aspect and 0 < aspect != 1 and width * aspect <= FRAME_SIDE_MAX_PX:  # else it is nonsense
        width = round(width * aspect)
    return (height, width) if turned_deg % 180 else (width, height)


def duration_s(container: InputContainer) -> float | None:
    """Declared length in seconds; None where the container does not say."""
    length_s = (container.duration or 0) / av.time_base
    return length_s if 0 < length_s <= DURATION_S_MAX else None


def _brief(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
