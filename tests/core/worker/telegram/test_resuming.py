"""An upload that was cut off is gone on with: what Telegram still has is not sent again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import blake3
import pytest
from tests.core.worker.conftest import stored_files
from tests.core.worker.telegram.desk import BIG, CODE, FILM, NOISE, Desk, stream
from tests.waiting import until

from telecine.core.clock import SystemClock
from telecine.core.emulator.faults import MissingPart
from telecine.core.emulator.server import Emulator
from telecine.core.errors import UnavailableError
from telecine.core.plans import PART_BYTES
from telecine.core.worker.parts import Block
from telecine.core.worker.shipment import Shipment
from telecine.core.worker.telegram.calls import FileLostError
from telecine.core.worker.telegram.engine import UploadedFile
from telecine.core.worker.telegram.uploads import UploadRecord, Uploads

PARTS = -(-BIG // PART_BYTES)
CUT_AT = PARTS - 1  # more than the first 10 MiB, which are waited for where the size is not known


class PowerCutError(Exception):
    """The process is gone."""


@pytest.fixture
def uploads(tmp_path: Path) -> Uploads:
    return Uploads(tmp_path / "ember.uploads", SystemClock())


def parts_sent(emulator: Emulator) -> int:
    return emulator.world.stats.requests["upload.saveBigFilePart"]


async def cut_off(desk: Desk, record: UploadRecord, *, known: bool) -> int:
    """Upload, and die in the middle; how many parts are known to be with Telegram."""

    least = CUT_AT if known else CUT_AT - 1  # the last that came may be the last of all

    async def blocks() -> AsyncIterator[Block]:
        async for block in stream(NOISE):
            if block.index == CUT_AT:
                await until(lambda: len(record.known) >= least)
                raise PowerCutError
            yield block

    with pytest.raises(PowerCutError):
        await desk.engine.upload(blocks(), size_bytes=BIG if known else None, name=f"{CODE}.mp4", record=record)
    return len(record.known)


async def unread(data: bytes, known: Collection[int]) -> AsyncIterator[Block]:
    """What a source with ranges yields: nothing that is known."""
    async for block in stream(data):
        if block.index not in known:
            yield block


@pytest.mark.parametrize("known", [True, False])
async def test_a_new_process_sends_only_what_is_missing(
    desk: Desk, emulator: Emulator, uploads: Uploads, known: bool
) -> None:
    stored = await cut_off(desk, uploads.open("film"), known=known)
    sent = parts_sent(emulator)
    record = uploads.open("film")
    assert len(record.known) == stored
    await desk.send(await desk.upload(BIG, known=known, record=record))
    assert parts_sent(emulator) - sent == PARTS - stored
    (file,) = stored_files(emulator)
    assert file.content == NOISE


async def test_what_is_known_need_not_even_be_read(desk: Desk, emulator: Emulator, uploads: Uploads) -> None:
    await cut_off(desk, uploads.open("film"), known=True)
    record = uploads.open("film")
    counted: list[int] = []
    file = await desk.engine.upload(
        unread(NOISE, frozenset(record.known)), size_bytes=BIG, name="a.mp4", on_bytes=counted.append, record=record
    )
    assert sum(counted) == BIG
    assert file.sha256 == (await desk.upload(BIG)).sha256
    await desk.send(file)
    assert stored_files(emulator)[0].content == NOISE


async def test_a_file_that_is_all_there_is_not_sent_at_all(desk: Desk, emulator: Emulator, uploads: Uploads) -> None:
    await desk.upload(BIG, record=uploads.open("film"))
    sent = parts_sent(emulator)
    await desk.send(await desk.upload(BIG, record=uploads.open("film")))
    assert parts_sent(emulator) == sent
    assert stored_files(emulator)[0].content == NOISE


async def test_a_muxer_that_makes_other_bytes_has_them_sent(desk: Desk, emulator: Emulator, uploads: Uploads) -> None:
    await cut_off(desk, uploads.open("film"), known=False)
    other = bytearray(NOISE)
    other[3 * PART_BYTES] ^= 1
    record, sent = uploads.open("film"), parts_sent(emulator)
    missing = PARTS - len(record.known)
    file = await desk.engine.upload(stream(bytes(other)), size_bytes=None, name="a.mp4", record=record)
    assert parts_sent(emulator) - sent == missing + 1
    await desk.send(file)
    assert stored_files(emulator)[0].content == bytes(other)


async def test_a_file_that_turns_out_shorter_than_what_is_there_is_uploaded_anew(desk: Desk, uploads: Uploads) -> None:
    await cut_off(desk, uploads.open("film"), known=False)
    record = uploads.open("film")
    with pytest.raises(FileLostError):
        await desk.engine.upload(stream(NOISE[: 15 * PART_BYTES]), size_bytes=None, name="a.mp4", record=record)


async def test_parts_that_telegram_has_lost_meanwhile_are_mended(
    desk: Desk, emulator: Emulator, uploads: Uploads
) -> None:
    await cut_off(desk, uploads.open("film"), known=True)
    file = await desk.upload(BIG, record=uploads.open("film"))
    emulator.faults.plan(MissingPart(part=2))
    emulator.faults.plan(MissingPart(part=7))
    await desk.send(file)
    assert stored_files(emulator)[0].content == NOISE


async def test_a_file_that_telegram_has_lost_is_uploaded_anew(desk: Desk, emulator: Emulator, uploads: Uploads) -> None:
    await cut_off(desk, uploads.open("film"), known=True)
    record = uploads.open("film")
    file = await desk.upload(BIG, record=record)
    emulator.world.expire_parts()
    with pytest.raises(FileLostError):
        await desk.send(file)
    record.discard()
    await desk.send(await desk.upload(BIG, record=record))
    assert stored_files(emulator)[0].content == NOISE


async def test_more_lost_parts_than_are_worth_mending_have_the_file_uploaded_anew(
    desk: Desk, emulator: Emulator
) -> None:
    file = await desk.upload(BIG)
    emulator.faults.plan(MissingPart(part=1, count=None))
    with pytest.raises(FileLostError):
        await desk.send(file)


@pytest.mark.parametrize("size", [70_000, BIG])
async def test_the_content_hash_is_over_the_parts_in_order(desk: Desk, size: int) -> None:
    desk.engine._content_hash = True
    digests = [blake3.blake3(NOISE[:size][at : at + PART_BYTES]).digest() for at in range(0, size, PART_BYTES)]
    file: UploadedFile = await desk.upload(size)
    assert file.blake3 == blake3.blake3(b"".join(digests)).hexdigest()


async def test_without_a_content_hash_there_is_none(desk: Desk) -> None:
    assert (await desk.upload(BIG)).blake3 is None


class Load:
    """A film that is muxed on the way: how large it is shows at its end."""

    kind = (".mp4", "video/mp4")
    file_no = 1
    size_bytes = None
    film = FILM

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def files(self) -> AsyncIterator[Load]:
        yield self

    def blocks(self, known: Collection[int] = ()) -> AsyncIterator[Block]:
        return stream(self._content)


async def test_a_record_of_another_file_is_thrown_away_so_that_the_next_try_succeeds(
    desk: Desk, uploads: Uploads
) -> None:
    await cut_off(desk, uploads.open("film 1"), known=False)
    bench = SimpleNamespace(account=desk.account, engine=desk.engine, uploads=uploads)
    lease, gauge = SimpleNamespace(code=CODE), SimpleNamespace(enter=lambda *_, **__: None, add=lambda _: None)

    async def stow() -> None:
        load: Any = Load(NOISE[: 15 * PART_BYTES])
        await Shipment(cast("Any", bench), cast("Any", lease), None, load, cast("Any", gauge), key="film").stow(None)

    with pytest.raises(UnavailableError, match="uploaded anew"):
        await stow()
    await stow()
