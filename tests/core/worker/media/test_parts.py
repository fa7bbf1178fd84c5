from __future__ import annotations

import io
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telecine.core.plans import PART_BYTES
from telecine.core.worker.media.sink import PartBytes, PartSink
from telecine.core.worker.parts import Block, blocks_of


async def in_pieces(content: bytes, piece_bytes: int) -> AsyncIterator[bytes]:
    for start in range(0, len(content), piece_bytes):
        yield content[start : start + piece_bytes]


@pytest.mark.parametrize("size", [0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES])
@pytest.mark.parametrize("piece_bytes", [100_000, PART_BYTES, 2_000_000])
async def test_blocks_are_parts_of_the_file_in_order(size: int, piece_bytes: int) -> None:
    content = bytes(range(251)) * (size // 251 + 1)
    blocks: list[Block] = [block async for block in blocks_of(in_pieces(content[:size], piece_bytes))]
    assert [block.index for block in blocks] == list(range(len(blocks)))
    assert all(len(block.data) == PART_BYTES for block in blocks[:-1])
    assert b"".join(block.data for block in blocks) == content[:size]


FTYP = b"\x00\x00\x00\x10ftypisomisom"


def muxed(body_bytes: int, index_bytes: int, room_bytes: int, write_bytes: int) -> tuple[PartSink, dict[int, bytes]]:
    """What FFmpeg does with a sink: `ftyp`, a jump over the room, the body, its length, the index."""
    parts: dict[int, bytes] = {}

    def emit(index: int, data: PartBytes) -> None:
        assert index not in parts
        parts[index] = bytes(data)

    sink = PartSink(emit)
    sink.write(FTYP)
    sink.seek(room_bytes, io.SEEK_CUR)
    mdat_at = sink.tell()
    content = b"\x00\x00\x00\x08free\x00\x00\x00\x00mdat" + b"b" * body_bytes
    for start in range(0, len(content), write_bytes):
        sink.write(content[start : start + write_bytes])
    sink.seek(mdat_at + 8)
    sink.write((body_bytes + 8).to_bytes(4, "big"))
    sink.seek(len(FTYP))
    index = index_bytes.to_bytes(4, "big") + b"moov" + b"i" * (index_bytes - 8)
    sink.write(index)
    if index_bytes + 8 <= room_bytes:
        sink.write((room_bytes - index_bytes).to_bytes(4, "big") + b"free" + bytes(room_bytes - index_bytes - 8))
    return sink, parts


@settings(max_examples=60, deadline=None)
@given(
    body=st.sampled_from([0, 5, 1000, PART_BYTES - 40, PART_BYTES, 2 * PART_BYTES + 17]),
    index=st.integers(8, 3000) | st.just(PART_BYTES + 100),
    room=st.integers(8, 3000) | st.just(PART_BYTES - 20) | st.just(PART_BYTES + 300),
    write_bytes=st.sampled_from([700, PART_BYTES, 3 * PART_BYTES]),
)
def test_every_byte_has_its_place_and_the_index_too(body: int, index: int, room: int, write_bytes: int) -> None:
    sink, parts = muxed(body, index, room, write_bytes)
    in_front = sink.finish()
    assert in_front == (index == room or index + 8 <= room)
    assert sorted(parts) == list(range(len(parts)))
    assert all(len(parts[number]) == PART_BYTES for number in range(len(parts) - 1))
    whole = b"".join(parts[number] for number in sorted(parts))
    assert len(whole) == sink.size_bytes
    boxes = list(boxes_of(whole))
    expected = ["ftyp", "moov", "free", "free", "mdat"] if in_front else ["ftyp", "free", "free", "mdat", "moov"]
    if index == room:
        expected.remove("free")
    assert [kind for kind, _ in boxes] == expected
    assert dict(boxes)["mdat"] == b"b" * body
    assert dict(boxes)["moov"] == b"i" * (index - 8)


def boxes_of(content: bytes) -> list[tuple[str, bytes]]:
    boxes, at = [], 0
    while at < len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        boxes.append((content[at + 4 : at + 8].decode(), content[at + 8 : at + length]))
        at += length
    return boxes


def test_body_is_emitted_while_it_comes() -> None:
    _, parts = muxed(5 * PART_BYTES, 500, 1000, PART_BYTES)
    assert sorted(parts) == [1, 2, 3, 4]


def test_write_into_what_has_been_emitted_is_refused() -> None:
    sink, _ = muxed(5 * PART_BYTES, 500, 1000, PART_BYTES)
    sink.seek(2 * PART_BYTES)
    with pytest.raises(OSError, match="into what has been emitted"):
        sink.write(b"too late")
