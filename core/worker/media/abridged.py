"""A source with the bulk of its index and its attachments left out, as a probe reads it. Runs in the media child.

The index of a film of two hours has several MB, and FFmpeg reads all of it to tell what the film is. The first samples
of each track are enough: tables are cut off behind them by changed headers, and the rest is called free space, which
FFmpeg jumps over. Nothing moves, so all offsets stay true.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from telecine.core.worker.media.layout import EBML_MAGIC, Layout, ReadAt, ebml_size

MOOV_BYTES_MIN = 256 * 1024  # a smaller index is read as it is
BOX_BYTES_MAX = 16 * 1024  # larger ones are cut off or left out
ENTRIES_KEPT = 256  # of each table: some seconds of film
BOXES_MAX = 256  # to look at, in all
ELEMENT_BYTES_MAX = 64 * 1024  # of what a Matroska file has beside its tracks: fonts, covers, an index

_PARENTS = frozenset({b"trak", b"mdia", b"minf", b"stbl"})
# Table -> bytes before its first entry, the last four of which count entries; bytes of an entry (ISO/IEC 14496-12, 8.6)
_TABLES = {
    b"stts": (16, 8),
    b"ctts": (16, 8),
    b"stss": (16, 4),
    b"stsc": (16, 12),
    b"stsz": (20, 4),
    b"stco": (16, 4),
    b"co64": (16, 8),
}
_BULK = frozenset({b"udta", b"meta", b"sdtp", b"sbgp", b"sgpd", b"subs", b"saiz", b"saio", b"senc", b"stz2", b"padb"})
_CHUNK_MAP = b"stsc"
_FREE_BOX = b"free"
_MKV_BULK = frozenset({b"\x19\x41\xa4\x69", b"\x1c\x53\xbb\x6b", b"\x12\x54\xc3\x67"})  # Attachments, Cues, Tags
_MKV_CLUSTER = b"\x1f\x43\xb6\x75"
_VOID = 0xEC


class Patch(msgspec.Struct, frozen=True):
    """Bytes that are read in place of those at `at`."""

    at: int
    data: bytes


def patches(read: ReadAt, layout: Layout) -> tuple[Patch, ...]:
    """What to change of a source so that reading it for a probe is short. Total; usually nothing."""
    if layout.moov_at is not None and (layout.moov_bytes or 0) >= MOOV_BYTES_MIN:
        end = layout.moov_at + (layout.moov_bytes or 0)
        return tuple(_of_boxes(read, layout.moov_at + 8, end, [BOXES_MAX]))
    if read(0, 4) == EBML_MAGIC:
        return tuple(_of_elements(read))
    return ()


def patched(read: ReadAt, changes: tuple[Patch, ...]) -> ReadAt:
    """`read` with the changes made."""

    def read_at(offset: int, length: int) -> bytes:
        data = read(offset, length)
        for patch in changes:
            start, end = max(offset, patch.at), min(offset + len(data), patch.at + len(patch.data))
            if start < end:
                changed = patch.data[start - patch.at : end - patch.at]
                data = data[: start - offset] + changed + data[end - offset :]
        return data

    return read_at


def _of_boxes(read: ReadAt, at: int, end: int, budget: list[int]) -> Iterator[Patch]:
    while at + 8 <= end and budget[0] > 0:
        budget[0] -= 1
        header = read(at, 8)
        length, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if length < 8 or at + length > end:
            return
        if kind in _PARENTS:
            yield from _of_boxes(read, at + 8, at + length, budget)
        elif length > BOX_BYTES_MAX and kind in _BULK:
            yield Patch(at + 4, _FREE_BOX)
        elif kind in _TABLES and (length > BOX_BYTES_MAX or kind == _CHUNK_MAP):
            yield from _cut_off(read, at, length, kind)
        at += length


def _cut_off(read: ReadAt, at: int, length: int, kind: bytes) -> Iterator[Patch]:
    head_bytes, entry_bytes = _TABLES[kind]
    head = read(at, head_bytes)
    count = min(ENTRIES_KEPT, int.from_bytes(head[-4:], "big"))
    if kind == _CHUNK_MAP:
        count = _runs_of_kept_chunks(read(at + head_bytes, count * entry_bytes))
    kept_bytes = head_bytes + count * entry_bytes
    if len(head) < head_bytes or kept_bytes + 8 > length:
        return
    yield Patch(at, kept_bytes.to_bytes(4, "big") + head[4:-4] + count.to_bytes(4, "big"))
    yield Patch(at + kept_bytes, (length - kept_bytes).to_bytes(4, "big") + _FREE_BOX)


def _runs_of_kept_chunks(runs: bytes) -> int:
    """How many runs begin with a chunk that is kept: FFmpeg refuses a run of chunks that are not there."""
    firsts = (int.from_bytes(runs[at : at + 4], "big") for at in range(0, len(runs), _TABLES[_CHUNK_MAP][1]))
    return sum(1 for first in firsts if first <= ENTRIES_KEPT)


def _of_elements(read: ReadAt) -> Iterator[Patch]:
    """Of a Matroska file: large attachments, and whatever else stands between its tracks and its film."""
    head = read(0, 64)
    header_bytes, start = ebml_size(head, 4)
    _, at = ebml_size(head, start + (header_bytes or 0) + 4)
    for _ in range(BOXES_MAX):
        element = read(at, 12)
        length, start = ebml_size(element, _ebml_id_bytes(element))
        if length is None or element[:4] == _MKV_CLUSTER:
            return
        if element[:4] in _MKV_BULK and length > ELEMENT_BYTES_MAX:
            yield Patch(at, _void(start + length))
        at += start + length


def _ebml_id_bytes(element: bytes) -> int:
    return 9 - element[0].bit_length() if element and element[0] else 8


def _void(length: int) -> bytes:
    """The head of a void element of `length` bytes in all (RFC 8794, 11.3.2)."""
    return bytes([_VOID, 1]) + (length - 9).to_bytes(7, "big")
