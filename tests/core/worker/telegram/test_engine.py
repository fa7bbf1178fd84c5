from __future__ import annotations

import asyncio
import hashlib
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from telethon.tl import functions
from tests.clocks import JumpingClock

from telecine.core.errors import FloodWaitError, InputError, TelegramError, UnavailableError
from telecine.core.plans import PART_BYTES
from telecine.core.worker.parts import Block
from telecine.core.worker.telegram.engine import Engine, UploadedFile, digest_of

Behaviour = Callable[[Any], Awaitable[bool]]


class Shelf:
    """Keeps parts as Telegram does; `behave` may refuse them first."""

    def __init__(self, behave: Behaviour | None = None) -> None:
        self.parts: dict[int, bytes] = {}
        self.totals: list[tuple[int, int]] = []
        self.small = 0
        self.in_flight = self.most_in_flight = 0
        self._behave = behave

    async def call(self, request: Any) -> bool:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(0)
            if self._behave is not None and not await self._behave(request):
                return False
            return self._keep(request)
        finally:
            self.in_flight -= 1

    def _keep(self, request: Any) -> bool:
        if isinstance(request, functions.upload.SaveFilePartRequest):
            self.small += 1
        else:
            self.totals.append((request.file_part, request.file_total_parts))
        self.parts[request.file_part] = request.bytes
        return True

    @property
    def file(self) -> bytes:
        return b"".join(self.parts[index] for index in sorted(self.parts))


def engine(shelf: Shelf, *, parts_in_flight: int = 4, in_place_s: float = 10.0) -> Engine:
    ids = itertools.count(1000)
    return Engine(
        shelf,
        clock=JumpingClock(),
        new_file_id=lambda: next(ids),
        parts_in_flight=parts_in_flight,
        flood_wait_in_place_s=in_place_s,
    )


def content(size: int) -> bytes:
    return (b"0123456789abcdef" * (size // 16 + 1))[:size]


def cut(data: bytes) -> list[Block]:
    return [Block(i, data[at : at + PART_BYTES]) for i, at in enumerate(range(0, len(data), PART_BYTES))]


async def stream(blocks: list[Block]) -> AsyncIterator[Block]:
    for block in blocks:
        await asyncio.sleep(0)
        yield block


SMALL = 10 * 1024 * 1024
BIG = SMALL + 3 * PART_BYTES + 12345


def digests(data: bytes) -> tuple[bytes, ...]:
    return tuple(hashlib.sha256(block.data).digest() for block in cut(data))


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("size", [1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, SMALL])
async def test_a_file_up_to_ten_mebibytes_goes_up_as_a_small_one_with_its_md5(size: int, known: bool) -> None:
    shelf, data = Shelf(), content(size)
    file = await engine(shelf).upload(stream(cut(data)), size_bytes=size if known else None, name="a.mp4")
    assert shelf.file == data
    assert shelf.small == len(shelf.parts) == file.parts
    assert file.md5 == hashlib.md5(data, usedforsecurity=False).hexdigest()
    assert file.size_bytes == size
    assert file.sha256 == digest_of(digests(data))


@pytest.mark.parametrize("size", [SMALL + 1, BIG, SMALL + PART_BYTES])
async def test_a_big_file_of_known_size_names_its_total_with_every_part(size: int) -> None:
    shelf, data = Shelf(), content(size)
    file = await engine(shelf).upload(stream(cut(data)), size_bytes=size, name="a.mp4")
    assert shelf.file == data
    assert shelf.small == 0
    assert file.md5 is None
    assert {total for _, total in shelf.totals} == {file.parts}
    assert file.digests == digests(data)


@pytest.mark.parametrize("size", [SMALL + 1, BIG, SMALL + PART_BYTES])
async def test_only_the_last_part_names_the_total_where_the_size_comes_with_the_end(size: int) -> None:
    shelf, data = Shelf(), content(size)
    file = await engine(shelf).upload(stream(cut(data)), size_bytes=None, name="a.mp4")
    assert shelf.file == data
    assert [total for index, total in shelf.totals if index < file.parts - 1] == [-1] * (file.parts - 1)
    assert shelf.totals[-1] == (file.parts - 1, file.parts)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), known=st.booleans())
async def test_blocks_may_come_in_any_order(seed: int, known: bool) -> None:
    shelf, data = Shelf(), content(BIG)
    blocks = cut(data)
    random.Random(seed).shuffle(blocks)
    file = await engine(shelf).upload(stream(blocks), size_bytes=BIG if known else None, name="a.mp4")
    assert shelf.file == data
    assert file.digests == digests(data)


async def test_no_more_parts_are_held_than_may_be_in_flight() -> None:
    shelf = Shelf()
    taken = 0

    async def counted() -> AsyncIterator[Block]:
        nonlocal taken
        for block in cut(content(60 * PART_BYTES)):
            taken += 1
            assert taken - len(shelf.parts) <= 4 + 2  # in flight, held back as the last, just handed over
            yield block

    await engine(shelf).upload(counted(), size_bytes=60 * PART_BYTES, name="a.mp4")
    assert shelf.most_in_flight == 4


async def test_a_part_that_fails_is_repeated_by_itself() -> None:
    failures = {3: 2, 7: 1}
    calls: list[int] = []

    async def behave(request: Any) -> bool:
        calls.append(request.file_part)
        if failures.get(request.file_part, 0):
            failures[request.file_part] -= 1
            raise UnavailableError("connection lost")
        return True

    shelf, data = Shelf(behave), content(BIG)
    await engine(shelf).upload(stream(cut(data)), size_bytes=BIG, name="a.mp4")
    assert shelf.file == data
    assert sorted(calls) == sorted([*range(len(cut(data))), 3, 3, 7])


async def test_a_part_that_telegram_answers_with_false_is_repeated() -> None:
    answers = iter([False, True])

    async def behave(request: Any) -> bool:
        return next(answers) if request.file_part == 0 else True

    shelf, data = Shelf(behave), content(100)
    await engine(shelf).upload(stream(cut(data)), size_bytes=100, name="a.mp4")
    assert shelf.file == data


async def test_a_part_that_never_gets_through_ends_the_upload() -> None:
    async def behave(request: Any) -> bool:
        if request.file_part == 5:
            raise UnavailableError("connection lost")
        return True

    with pytest.raises(UnavailableError, match="connection lost"):
        await engine(Shelf(behave)).upload(stream(cut(content(BIG))), size_bytes=BIG, name="a.mp4")


async def test_a_short_wait_stops_all_parts_and_then_goes_on() -> None:
    waits = iter([3.0])

    async def behave(request: Any) -> bool:
        for seconds in waits:
            raise FloodWaitError(seconds, "upload.saveBigFilePart")
        return True

    shelf, data = Shelf(behave), content(BIG)
    await engine(shelf).upload(stream(cut(data)), size_bytes=BIG, name="a.mp4")
    assert shelf.file == data


async def test_a_wait_that_is_too_long_is_passed_on_with_its_seconds() -> None:
    async def behave(request: Any) -> bool:
        raise FloodWaitError(600, "upload.saveBigFilePart")

    with pytest.raises(FloodWaitError) as caught:
        await engine(Shelf(behave)).upload(stream(cut(content(BIG))), size_bytes=BIG, name="a.mp4")
    assert caught.value.seconds == 600


async def test_a_refusal_ends_the_upload_and_cancels_the_other_parts() -> None:
    async def behave(request: Any) -> bool:
        if request.file_part == 2:
            raise TelegramError("no", name="FILE_PART_INVALID")
        await asyncio.Event().wait()
        return True

    with pytest.raises(TelegramError, match="no"):
        await asyncio.wait_for(engine(Shelf(behave)).upload(stream(cut(content(BIG))), size_bytes=BIG, name="a.mp4"), 5)


@pytest.mark.parametrize(
    ("blocks", "size"),
    [
        (cut(content(BIG))[:-1], BIG),
        (cut(content(BIG)), BIG - PART_BYTES),
        (cut(content(BIG))[1:], BIG),
        (cut(content(BIG))[1:], None),
        ([*cut(content(BIG)), Block(0, content(PART_BYTES))], BIG),
        (cut(content(900)), 901),
        (cut(content(900)), 899),
        ([], 5),
        ([], None),
    ],
    ids=["short", "long", "hole", "hole, unknown size", "twice", "small short", "small long", "none", "nothing"],
)
async def test_blocks_that_do_not_make_the_file_are_refused(blocks: list[Block], size: int | None) -> None:
    with pytest.raises(InputError):
        await engine(Shelf()).upload(stream(blocks), size_bytes=size, name="a.mp4")


async def test_a_source_that_fails_in_the_middle_ends_the_upload_with_its_own_error() -> None:
    async def broken() -> AsyncIterator[Block]:
        for block in cut(content(BIG))[:22]:
            yield block
        raise InputError("the source broke")

    with pytest.raises(InputError, match="the source broke"):
        await engine(Shelf()).upload(broken(), size_bytes=BIG, name="a.mp4")


async def test_progress_adds_up_to_the_size() -> None:
    seen: list[int] = []
    await engine(Shelf()).upload(stream(cut(content(BIG))), size_bytes=None, name="a.mp4", on_bytes=seen.append)
    assert sum(seen) == BIG


async def test_a_lost_part_is_sent_again_only_if_it_is_the_same() -> None:
    shelf, data = Shelf(), content(BIG)
    one = engine(shelf)
    file: UploadedFile = await one.upload(stream(cut(data)), size_bytes=BIG, name="a.mp4")
    del shelf.parts[4]
    await one.resend(file, cut(data)[4])
    assert shelf.file == data
    with pytest.raises(InputError, match="part 4"):
        await one.resend(file, Block(4, b"other"))
    with pytest.raises(InputError, match="part 99"):
        await one.resend(file, Block(99, b"other"))


@pytest.mark.parametrize("parts_before", range(12))
async def test_an_upload_that_ends_with_all_places_taken_gives_all_of_them_back(parts_before: int) -> None:
    count = itertools.count()

    async def at_once(data: bytes) -> AsyncIterator[Block]:
        for block in cut(data):
            yield block

    async def refuse(request: Any) -> bool:
        if next(count) == parts_before:
            raise TelegramError("not this one", name="FILE_PART_INVALID")
        return True

    shelf = Shelf(refuse)
    uploads = engine(shelf)
    data = content(30 * PART_BYTES)
    with pytest.raises(TelegramError):
        await uploads.upload(at_once(data), size_bytes=len(data), name="a.mp4")
    shelf.most_in_flight = 0
    async with asyncio.timeout(5):
        await uploads.upload(at_once(data), size_bytes=len(data), name="b.mp4")
    assert shelf.most_in_flight == 4
