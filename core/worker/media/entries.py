"""Where in a film decoding may begin: at a key frame that nothing shown after it looks back beyond.

Containers flag key frames, not always truly. A file that begins with a picture that is no such point shows rubbish
until the next, so the picture's own data is asked (ITU-T H.264 7.4.1, D.2.8; H.265 7.4.2.2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from av.video.stream import VideoStream

from telecine.core.worker.media.packets import MediaPacket
from telecine.core.worker.media.reader import codec_name

UNITS_MAX = 64  # to look at in one picture
HEAD_BYTES_MAX = 64 * 1024  # of a unit; parameter sets and SEI are short

H264_SLICES = range(1, 6)
H264_IDR = 5
H264_SEI = 6
SEI_RECOVERY_POINT = 6
HEVC_SLICES = range(32)
HEVC_RANDOM_ACCESS = range(16, 22)  # BLA, IDR and CRA

EntryCheck: TypeAlias = Callable[[MediaPacket], bool]


def entry_check(stream: VideoStream) -> EntryCheck:
    """Tells of a film's key frames whether a file may begin with them."""
    codec, extradata = codec_name(stream), stream.codec_context.extradata or b""
    if codec == "h264":
        prefix = _prefix_bytes(extradata, at=4)
        return lambda packet: h264_begins(bytes(packet), prefix)
    if codec == "hevc":
        prefix = _prefix_bytes(extradata, at=21)
        return lambda packet: hevc_begins(bytes(packet), prefix)
    return lambda packet: True


def h264_begins(picture: bytes, prefix_bytes: int | None) -> bool:
    """An IDR picture, or one that is a recovery point by itself."""
    recovers = False
    for unit in _units(picture, prefix_bytes):
        kind = unit[0] & 0x1F
        if kind in H264_SLICES:
            return kind == H264_IDR or recovers
        recovers = recovers or (kind == H264_SEI and _is_recovery_point(unit))
    return False


def hevc_begins(picture: bytes, prefix_bytes: int | None) -> bool:
    """A picture for random access."""
    for unit in _units(picture, prefix_bytes):
        kind = unit[0] >> 1 & 0x3F
        if kind in HEVC_SLICES:
            return kind in HEVC_RANDOM_ACCESS
    return False


def _prefix_bytes(extradata: bytes, at: int) -> int | None:
    """How long the lengths before the units are; None where start codes separate them (avcC, hvcC)."""
    return (extradata[at] & 3) + 1 if len(extradata) > at and extradata[0] == 1 else None


def _units(picture: bytes, prefix_bytes: int | None) -> Iterator[bytes]:
    """The beginnings of the units that a picture is made of."""
    at = 0
    for _ in range(UNITS_MAX):
        if prefix_bytes is not None:
            start = at + prefix_bytes
            end = start + int.from_bytes(picture[at:start], "big")
        else:
            code = picture.find(b"\x00\x00\x01", at)
            start = len(picture) if code < 0 else code + 3
            end = picture.find(b"\x00\x00\x01", start, start + HEAD_BYTES_MAX)
            end = start + HEAD_BYTES_MAX if end < 0 else end
        if start >= len(picture):
            return
        if unit := picture[start : min(end, start + HEAD_BYTES_MAX)]:
            yield unit
        at = end


def _is_recovery_point(unit: bytes) -> bool:
    """Whether a unit of SEI says that all is well from this very picture on."""
    at = 1
    while at + 2 < len(unit):
        kind, at = _sei_number(unit, at)
        length, at = _sei_number(unit, at)
        if kind == SEI_RECOVERY_POINT and at < len(unit):
            return bool(unit[at] & 0x80)  # recovery_frame_cnt, ue(v): a leading one bit is 0
        at += length
    return False


def _sei_number(unit: bytes, at: int) -> tuple[int, int]:
    number = 0
    while at < len(unit) and unit[at] == 0xFF:
        number, at = number + 0xFF, at + 1
    return (number + unit[at], at + 1) if at < len(unit) else (number, at)
