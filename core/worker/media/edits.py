"""Edit lists: what of a track is shown. FFmpeg's muxer shows all that is written; a file that was cut ends before."""

from __future__ import annotations

import struct
from collections.abc import Iterator

BOX = struct.Struct(">I4s")


def ended_at(index: bytes, track: int, end_s: float) -> bytes:
    """The index (a whole `moov` box) with track number `track`, from 0, shown up to `end_s` only.

    Raises ValueError where it does not look as FFmpeg writes it.
    """
    made = bytearray(index)
    movie = dict(_boxes(made, 8, len(made)))
    timescale = _timescale(made, movie[b"mvhd"][0])
    end = int(end_s * timescale)
    traks = [span for kind, span in _boxes(made, 8, len(made)) if kind == b"trak"]
    boxes = dict(_boxes(made, *traks[track]))
    (edits,) = (span for kind, span in _boxes(made, *boxes[b"edts"]) if kind == b"elst")
    _shorten(made, edits[0], end)
    _set_length(made, boxes[b"tkhd"][0], end)
    return bytes(made)


def _boxes(data: bytearray, start: int, end: int) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """Kind and span of the contents of each box."""
    at = start
    while at + BOX.size <= end:
        length, kind = BOX.unpack_from(data, at)
        if length < BOX.size or at + length > end:
            raise ValueError(f"a box {kind!r} of {length} bytes")
        yield kind, (at + BOX.size, at + length)
        at += length


def _timescale(data: bytearray, at: int) -> int:
    (timescale,) = struct.unpack_from(">I", data, at + (20 if data[at] == 1 else 12))
    return int(timescale)


def _shorten(data: bytearray, at: int, end: int) -> None:
    """Edits that start behind `end` last no time, the one that goes on beyond it ends there (14496-12, 8.6.6)."""
    layout = struct.Struct(">QqI" if data[at] == 1 else ">IiI")
    (count,) = struct.unpack_from(">I", data, at + 4)
    done = 0
    for number in range(count):
        entry_at = at + 8 + number * layout.size
        length, media_time, rate = layout.unpack_from(data, entry_at)
        length = min(length, end - done)
        layout.pack_into(data, entry_at, length, media_time, rate)
        done += length


def _set_length(data: bytearray, at: int, length: int) -> None:
    """The length of the track in its header (8.3.2)."""
    if data[at] == 1:
        struct.pack_into(">Q", data, at + 28, length)
    else:
        struct.pack_into(">I", data, at + 20, length)
