"""Vast films that take next to no room: a short film over and over, its pictures filled up with zeros.

H.264 lets a picture be followed by a unit of filler data, which decoders skip. Written as zeros to a file it becomes a
hole, so that five gigabytes of film are made in seconds and occupy some megabytes. Every frame decodes.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from telecine.core.emulator.media.encoding import encode
from telecine.core.emulator.media.files import drafted
from telecine.core.emulator.media.specs import Container, MediaSpec

LOOP_S = 8  # both a whole number of frames and, at 48 kHz, of AAC packets
FRAMES_PER_S = 24
HOLE_BYTES = 16 * 1024  # shorter runs of zeros are written out
WRITE_BYTES = 1024 * 1024
INDEX_BYTES_MIN = 64 * 1024
FILLER_UNIT = b"\x0c"  # NAL unit type 12
FILLER_END = b"\x80"
_ZEROS = bytes(HOLE_BYTES)


def vast(
    target: Path, *, size_bytes: int, seconds: int, container: Container = Container.MP4, b_frames: int = 0
) -> Path:
    """Make an H.264 film of about `size_bytes` (to a percent, if it is some megabytes) with sound. Blocks.

    `seconds` is rounded up to whole loops of 8. The container is MP4 (index in front) or MKV.
    """
    loops = -(-seconds // LOOP_S)
    film = _film(b_frames)
    padding = max(0, size_bytes - loops * len(film)) // (loops * LOOP_S)
    index_bytes = INDEX_BYTES_MIN + loops * LOOP_S * (FRAMES_PER_S * 24 + 48 * 24)
    options = {"moov_size": str(index_bytes)} if container is Container.MP4 else {}
    with drafted(target) as draft, draft.open("wb") as file:
        sink = cast("Any", _Sparse(file))
        with (
            av.open(sink, "w", format=container.value, options=options, buffer_size=WRITE_BYTES) as out,
            cast("InputContainer", av.open(io.BytesIO(film))) as given,
        ):
            for packet in _looped(given, out, loops, padding):
                out.mux_one(packet)
        file.truncate(sink.size_bytes)
    return target


def _film(b_frames: int) -> bytes:
    """The loop: its pictures depend on each other within a second only."""
    buffer = io.BytesIO()
    spec = MediaSpec(
        name="loop.mp4", width_px=320, height_px=180, seconds=LOOP_S, frames_per_s=FRAMES_PER_S, b_frames=b_frames
    )
    with av.open(buffer, "w", format="mp4") as out:
        encode(spec, out)
    return buffer.getvalue()


def _looped(given: InputContainer, out: OutputContainer, loops: int, padding: int) -> Iterator[Packet[Any]]:
    streams = [given.streams.video[0], *given.streams.audio]
    tracks = {stream.index: out.add_stream_from_template(stream) for stream in streams}
    packets = [packet for packet in given.demux(streams) if packet.size and _belongs(packet)]
    for loop in range(loops):
        picture_no = 0
        for packet in packets:
            data = bytes(packet)
            if isinstance(packet.stream, VideoStream):
                picture_no += 1
                data += _filler(padding) if picture_no % FRAMES_PER_S == 0 else b""
            yield _later(packet, data, loop, tracks[packet.stream_index])


def _belongs(packet: Packet[Any]) -> bool:
    """Not what the sound has before and behind the picture: it would overlap where the loop starts again."""
    if isinstance(packet.stream, VideoStream):
        return True
    return 0 <= (packet.pts or 0) * packet.time_base < LOOP_S


def _filler(payload_bytes: int) -> bytes:
    """To go behind a picture."""
    unit = FILLER_UNIT + bytes(payload_bytes) + FILLER_END
    return len(unit).to_bytes(4, "big") + unit if payload_bytes else b""


def _later(packet: Packet[Any], data: bytes, loop: int, track: Any) -> Packet[Any]:
    shift = int(loop * LOOP_S / packet.time_base)
    moved: Packet[Any] = Packet(data)
    moved.pts, moved.dts = (packet.pts or 0) + shift, (packet.dts or 0) + shift
    moved.duration, moved.time_base = packet.duration, packet.time_base
    moved.is_keyframe = packet.is_keyframe
    moved.stream = track
    return moved


class _Sparse:
    """A file in which long runs of zeros become holes."""

    def __init__(self, file: io.BufferedWriter) -> None:
        self._file = file
        self.size_bytes = 0

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_END:
            offset, whence = self.size_bytes + offset, io.SEEK_SET
        return self._file.seek(offset, whence)

    def write(self, data: bytes) -> int:
        """Whole runs of zeros only, and only behind the end: elsewhere they would not be zeros."""
        at = self._file.tell()
        for start in range(0, len(data), HOLE_BYTES):
            piece = data[start : start + HOLE_BYTES]
            if at + start >= self.size_bytes and piece == _ZEROS:
                self._file.seek(len(piece), io.SEEK_CUR)
            else:
                self._file.write(piece)
            self.size_bytes = max(self.size_bytes, at + start + len(piece))
        return len(data)
