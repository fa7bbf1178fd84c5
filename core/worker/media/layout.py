"""The outermost structure of a media file, read by a few bytes of it: how long it ought to be, and where its index is.

FFmpeg plays what is there of a file; whether some of it is missing shows in the lengths that the container declares.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

BOXES_MAX = 64  # top-level boxes to look at
SLACK_BYTES = 64  # some writers declare a few bytes more than they write
EBML_MAGIC = b"\x1a\x45\xdf\xa3"
MKV_SEGMENT = b"\x18\x53\x80\x67"
RIFF_BYTES_MAX = 0xFFFF_FF00  # a larger one was never filled in
MP4_FIRST_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"})

ReadAt = Callable[[int, int], bytes]


class Layout(msgspec.Struct, frozen=True):
    """`declared_bytes`: how long the file says it is, where it says so. The rest is known of MP4 only."""

    declared_bytes: int | None = None
    is_mp4: bool = False
    moov_at: int | None = None
    moov_bytes: int | None = None
    mdat_at: int | None = None
    duration_s: float | None = None
    is_fragmented: bool = False

    @property
    def moov_first(self) -> bool | None:
        """Whether playing can begin before the end is there. None where the question makes no sense."""
        if not self.is_mp4:
            return None
        if self.moov_at is None or self.is_fragmented:
            return False
        return self.mdat_at is None or self.moov_at < self.mdat_at

    def falls_short(self, size_bytes: int | None) -> bool:
        """Whether a file of `size_bytes` lacks its end."""
        return None not in (size_bytes, self.declared_bytes) and (
            (size_bytes or 0) + SLACK_BYTES < (self.declared_bytes or 0)
        )


def survey(read: ReadAt, size_bytes: int | None) -> Layout:
    """Look at the outermost structure. Total: what is not understood has no declared length."""
    head = read(0, 64)
    if head[4:8] in MP4_FIRST_BOXES:
        return _survey_mp4(read, size_bytes)
    if head[:4] == EBML_MAGIC:
        return Layout(declared_bytes=_mkv_bytes(head))
    if head[:4] == b"RIFF":
        declared = int.from_bytes(head[4:8], "little")
        return Layout(declared_bytes=declared + 8 if 0 < declared < RIFF_BYTES_MAX else None)
    return Layout()


def _survey_mp4(read: ReadAt, size_bytes: int | None) -> Layout:
    layout, at = Layout(is_mp4=True), 0
    for _ in range(BOXES_MAX):
        header = read(at, 16)
        if len(header) < 8:
            break
        kind, length = header[4:8], _box_bytes(header, at, size_bytes)
        layout = _with_box(layout, kind, at, length, read)
        if length is None or length < 8:
            break
        at += length
        if (layout.moov_at is not None and layout.mdat_at is not None) or layout.is_fragmented:
            break
        if size_bytes is not None and at >= size_bytes:
            break
    return msgspec.structs.replace(layout, declared_bytes=at)


def _with_box(layout: Layout, kind: bytes, at: int, length: int | None, read: ReadAt) -> Layout:
    if kind == b"moov":
        end = at + (length or 0)
        return msgspec.structs.replace(
            layout,
            moov_at=at,
            moov_bytes=length,
            duration_s=_duration_s(read, _child_at(read, at + 8, end, b"mvhd")),
            is_fragmented=_child_at(read, at + 8, end, b"mvex") is not None,
        )
    if kind == b"mdat" and layout.mdat_at is None:
        return msgspec.structs.replace(layout, mdat_at=at)
    if kind == b"moof":
        return msgspec.structs.replace(layout, is_fragmented=True)
    return layout


def _child_at(read: ReadAt, at: int, end: int, kind: bytes) -> int | None:
    for _ in range(BOXES_MAX):
        header = read(at, 8) if at + 8 <= end else b""
        length = int.from_bytes(header[:4], "big")
        if len(header) < 8 or length < 8:
            return None
        if header[4:8] == kind:
            return at
        at += length
    return None


def _duration_s(read: ReadAt, mvhd_at: int | None) -> float | None:
    """Length of an MP4 as its movie header says (ISO/IEC 14496-12, 8.2.2)."""
    header = b"" if mvhd_at is None else read(mvhd_at, 40)
    if len(header) < 40:
        return None
    at, width = (28, 8) if header[8] else (20, 4)
    units_per_s, units = int.from_bytes(header[at : at + 4], "big"), header[at + 4 : at + 4 + width]
    unknown = units == b"\xff" * width
    return int.from_bytes(units, "big") / units_per_s if units_per_s and any(units) and not unknown else None


def _box_bytes(header: bytes, at: int, size_bytes: int | None) -> int | None:
    """Length of a box; None where it goes on to an end that is not known (ISO/IEC 14496-12, 4.2)."""
    length = int.from_bytes(header[:4], "big")
    if length == 0:
        return None if size_bytes is None else size_bytes - at
    return int.from_bytes(header[8:16], "big") if length == 1 else length


def _mkv_bytes(head: bytes) -> int | None:
    """Where the segment ends that follows the EBML header (RFC 8794, 6)."""
    header_bytes, start = ebml_size(head, 4)
    if header_bytes is None:
        return None
    segment_at = start + header_bytes
    if head[segment_at : segment_at + 4] != MKV_SEGMENT:
        return None
    segment_bytes, start = ebml_size(head, segment_at + 4)
    return None if segment_bytes is None else start + segment_bytes


def ebml_size(data: bytes, at: int) -> tuple[int | None, int]:
    """A variable-size integer at `at` and where it ends; None where it is missing or means `unknown`."""
    if at >= len(data) or not data[at]:
        return None, at
    width = 9 - data[at].bit_length()
    ones = (1 << 7 * width) - 1
    value = int.from_bytes(data[at : at + width], "big") & ones
    return (None if value == ones or at + width > len(data) else value), at + width
