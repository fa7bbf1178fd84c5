"""What a child reads of its source, on both sides of the pipe."""

from __future__ import annotations

import os
import random
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telecine.core.worker.media import feed as media_feed
from telecine.core.worker.media import reads as media_reads
from telecine.core.worker.media.feed import Feed
from telecine.core.worker.media.reads import Reads
from telecine.core.worker.media.shared import READ_BYTES_MAX, SharedMemory, shared_memory_file

CONTENT = random.Random(3).randbytes(5 * READ_BYTES_MAX + 12345)


class Held:
    """A source in memory that tells how it was read."""

    supports_ranges = True

    def __init__(self) -> None:
        self.streams = 0
        self.open_streams = 0

    async def read(self, offset: int, length: int) -> bytes:
        return CONTENT[offset : offset + length]

    async def chunks(self, start: int = 0) -> AsyncGenerator[bytes]:
        self.streams += 1
        self.open_streams += 1
        try:
            for at in range(start, len(CONTENT), 200_000):
                yield CONTENT[at : at + 200_000]
        finally:
            self.open_streams -= 1


jumps = st.lists(
    st.tuples(
        st.sampled_from(["on", "on", "on", "skip", "jump"]), st.integers(0, len(CONTENT)), st.integers(1, 900_000)
    ),
    max_size=40,
)


def offsets(steps: list[tuple[str, int, int]]) -> Iterator[tuple[int, int]]:
    at = 0
    for kind, number, length in steps:
        if kind == "jump":
            at = number
        elif kind == "skip":
            at += number % 300_000
        yield at, length
        at += length


@settings(max_examples=40, deadline=None)
@given(steps=jumps)
async def test_feed_gives_the_bytes_asked_for_whatever_the_order(steps: list[tuple[str, int, int]]) -> None:
    source = Held()
    feed = Feed(source)  # type: ignore[arg-type]
    for offset, length in offsets(steps):
        assert await feed.read(offset, length) == CONTENT[offset : offset + length]
    await feed.aclose()
    assert source.open_streams == 0


async def test_feed_streams_what_is_read_straight_on_and_nothing_else() -> None:
    source = Held()
    feed = Feed(source)  # type: ignore[arg-type]
    for offset in range(0, len(CONTENT), 250_000):
        await feed.read(offset, 250_000)
    assert source.streams == 1
    for offset in range(0, media_feed.STREAM_AFTER_BYTES, 250_000):
        await feed.read(offset, 250_000)
    assert source.streams == 1
    assert source.open_streams == 0


@contextmanager
def attached() -> Iterator[tuple[SharedMemory, SharedMemory]]:
    """The two sides of one memory."""
    fd = shared_memory_file()
    one, other = SharedMemory(fd), SharedMemory(fd)
    os.close(fd)
    yield one, other
    one.close()
    other.close()


@settings(max_examples=40, deadline=None)
@given(steps=jumps)
def test_reads_give_the_bytes_asked_for_whatever_the_order(steps: list[tuple[str, int, int]]) -> None:
    lengths: list[int] = []
    with attached() as (worker, child):

        def ask(place: int, offset: int, length: int) -> None:
            data = CONTENT[offset : offset + length]
            worker.put_read(place, data)
            lengths.append(len(data))

        reads = Reads(child, ask, lambda: lengths.pop(0))
        for offset, length in offsets(steps):
            assert reads.read(offset, length) == CONTENT[offset : offset + length]


def test_reads_ask_ahead_only_where_reading_goes_straight_on() -> None:
    asked: list[tuple[int, int]] = []
    with attached() as (_, child):
        reads = Reads(child, lambda _, offset, length: asked.append((offset, length)), lambda: asked[-1][1])
        for offset in (0, 500_000, 64, 4_000_000):
            reads.read(offset, 64)
        assert asked == [(0, 64), (500_000, 64), (64, 64), (4_000_000, 64)]
        asked.clear()
        for number in range(20):
            reads.read(number * 65_536, 65_536)
    assert asked[-1][1] == READ_BYTES_MAX
    assert asked[-1][0] > media_reads.AHEAD_AFTER_BYTES + 65_536


def test_memory_can_be_neither_grown_nor_shrunk() -> None:
    fd = shared_memory_file()
    for length in (0, 1 << 30):
        with pytest.raises(PermissionError):
            os.ftruncate(fd, length)
    os.close(fd)
