"""The upload engine and the sending of messages against the embedded Telegram, over sockets."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.core.worker.conftest import ACCOUNT, stored_files
from tests.core.worker.scripted import BOT_USERNAME

from telecine.core.clock import SystemClock
from telecine.core.config import TelegramSettings
from telecine.core.emulator.faults import Disconnect, Flood, FloodName, Line, LostReply, MissingPart, RpcFailure
from telecine.core.emulator.server import Emulator
from telecine.core.errors import FloodWaitError, TelegramError
from telecine.core.plans import PART_BYTES
from telecine.core.protocol import ChannelRef, ObjectReport
from telecine.core.worker.journal import Journal, Sending
from telecine.core.worker.parts import Block
from telecine.core.worker.telegram.account import Account, open_account
from telecine.core.worker.telegram.calls import RANDOM_ID_DUPLICATE, PremiumWaitError
from telecine.core.worker.telegram.channels import Channels, StoredMessage
from telecine.core.worker.telegram.engine import Engine, UploadedFile
from telecine.core.worker.telegram.senders import Lines
from telecine.core.worker.telegram.sending import Film, Parcel, Post, random_id

CODE = "CM_M000321_1080P"
IN_PLACE_S = 2
BIG = 11 * 1024 * 1024 + 4321
SMALL = 70_000
NOISE = os.urandom(BIG)
FILM = Film(duration_s=2.0, width_px=1920, height_px=1080, has_audio=False)


class Desk:
    """An account with one open channel and all that sends."""

    def __init__(self, account: Account, channels: Channels, channel_id: int, journal: Journal) -> None:
        clock = SystemClock()
        ids = random.Random(7)
        self.account = account
        self.channels = channels
        self.channel_id = channel_id
        self.journal = journal
        self.lines = Lines(account, count=4, clock=clock)
        self.engine = Engine(
            self.lines,
            clock=clock,
            new_file_id=lambda: ids.getrandbits(63),
            parts_in_flight=8,
            flood_wait_in_place_s=IN_PLACE_S,
        )
        self.post = Post(account, channels, journal, clock, flood_wait_in_place_s=IN_PLACE_S)
        self._fences = itertools.count(1)

    async def upload(self, size: int, *, known: bool = True) -> UploadedFile:
        return await self.engine.upload(_stream(NOISE[:size]), size_bytes=size if known else None, name=f"{CODE}.mp4")

    async def send(self, file: UploadedFile, *, film: Film | None = FILM, generation: int = 0) -> StoredMessage:
        parcel = Parcel(self.channel_id, CODE, file, f"{CODE}.mp4", "video/mp4", film)
        sending = Sending(
            lease=f"1.1.{next(self._fences)}",
            boot_id="boot",
            variant=CODE,
            code=CODE,
            random_id=0,
            after_message_id=await self.channels.newest_message_id(self.channel_id),
            object=ObjectReport(1, 1, self.channel_id, 0, file.size_bytes, file.sha256),
            plan="direct",
            sources=(),
        )

        async def resend(index: int) -> None:
            await self.engine.resend(file, Block(index, NOISE[index * PART_BYTES :][:PART_BYTES][: file.size_bytes]))

        return await self.post.send(parcel, sending, generation=generation, resend=resend)


async def _stream(data: bytes) -> AsyncIterator[Block]:
    for index, at in enumerate(range(0, len(data), PART_BYTES)):
        yield Block(index, data[at : at + PART_BYTES])


@pytest.fixture
async def desk(telegram: TelegramSettings, session: Path, tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_account(telegram, session, flood_wait_in_place_s=IN_PLACE_S) as account:
        channels = Channels(account.client, SystemClock())
        opened = await channels.open(ChannelRef(1, "CM_C000001"), BOT_USERNAME)
        with Journal(tmp_path / "ember.journal") as journal:
            desk = Desk(account, channels, opened, journal)
            yield desk
            await desk.lines.close()


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("size", [SMALL, BIG])
async def test_what_arrives_is_what_was_sent(desk: Desk, emulator: Emulator, size: int, known: bool) -> None:
    message = await desk.send(await desk.upload(size, known=known))
    (stored,) = stored_files(emulator)
    assert stored.content == NOISE[:size]
    assert (stored.message_id, stored.caption) == (message.message_id, CODE)
    assert (stored.file_name, stored.mime_type) == (f"{CODE}.mp4", "video/mp4")
    assert stored.video is not None
    assert (stored.video.duration_s, stored.video.width_px, stored.video.height_px) == (2.0, 1920, 1080)
    assert stored.video.supports_streaming


async def test_what_is_sent_as_a_document_is_stored_as_one(desk: Desk, emulator: Emulator) -> None:
    message = await desk.send(await desk.upload(SMALL), film=None)
    assert not message.is_video
    (stored,) = stored_files(emulator)
    assert stored.video is None


async def test_parts_travel_side_by_side_over_several_connections(desk: Desk, emulator: Emulator) -> None:
    emulator.faults.set_line(ACCOUNT, Line(latency_s=0.05))
    await desk.upload(BIG)
    assert desk.lines.width > 2
    assert emulator.world.stats.in_flight_max >= 4


async def test_dropped_connections_in_mid_upload_cost_no_part(desk: Desk, emulator: Emulator) -> None:
    for after in (3, 9, 15):
        emulator.faults.plan(Disconnect(method="upload.saveBigFilePart", after=after))
    emulator.faults.plan(LostReply(method="upload.saveBigFilePart", after=5))
    await desk.send(await desk.upload(BIG))
    (stored,) = stored_files(emulator)
    assert stored.content == NOISE


async def test_a_salt_that_changes_in_mid_upload_costs_no_part(desk: Desk, emulator: Emulator) -> None:
    async def blocks() -> AsyncIterator[Block]:
        async for block in _stream(NOISE):
            if block.index == 12:
                emulator.world.change_salt()
            yield block

    await desk.send(await desk.engine.upload(blocks(), size_bytes=BIG, name="a.mp4"))
    (stored,) = stored_files(emulator)
    assert stored.content == NOISE


async def test_trouble_of_telegrams_own_repeats_the_part(desk: Desk, emulator: Emulator) -> None:
    emulator.faults.plan(RpcFailure(method="upload.saveBigFilePart", count=3))
    await desk.send(await desk.upload(BIG))
    assert stored_files(emulator)[0].content == NOISE


async def test_a_short_wait_for_a_part_is_sat_out_in_place(desk: Desk, emulator: Emulator) -> None:
    emulator.faults.plan(Flood(method="upload.saveBigFilePart", seconds=1, after=6))
    await desk.send(await desk.upload(BIG))
    assert stored_files(emulator)[0].content == NOISE
    assert emulator.world.stats.requests["upload.saveBigFilePart"] <= 23 + 1


async def test_a_long_wait_for_a_part_ends_the_upload(desk: Desk, emulator: Emulator) -> None:
    emulator.faults.plan(Flood(method="upload.saveBigFilePart", seconds=900, after=4))
    with pytest.raises(FloodWaitError) as caught:
        await desk.upload(BIG)
    assert (caught.value.seconds, caught.value.request) == (900, "upload.saveBigFilePart")


async def test_the_throttle_of_accounts_without_premium_slows_an_upload_down_and_ends_none(
    desk: Desk, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telecine.core.worker.telegram.engine.PART_FLOODS_MAX", 0)
    throttle = Flood(method="upload.saveFilePart", seconds=1, name=FloodName.FLOOD_PREMIUM_WAIT)
    emulator.faults.plan(throttle)
    await desk.send(await desk.upload(SMALL))
    assert stored_files(emulator)[0].content == NOISE[:SMALL]


async def test_a_long_throttle_is_a_wait_for_uploads(desk: Desk, emulator: Emulator) -> None:
    throttle = Flood(method="upload.saveFilePart", seconds=900, name=FloodName.FLOOD_PREMIUM_WAIT)
    emulator.faults.plan(throttle)
    with pytest.raises(PremiumWaitError) as caught:
        await desk.upload(SMALL)
    assert (caught.value.seconds, caught.value.request) == (900, "upload.saveFilePart")


async def test_a_wait_before_a_further_connection_is_a_wait_for_uploads(desk: Desk, emulator: Emulator) -> None:
    emulator.faults.plan(Flood(method="help.getConfig", seconds=900))
    with pytest.raises(FloodWaitError) as caught:
        await desk.upload(SMALL)
    assert (caught.value.seconds, caught.value.request) == (900, "upload.saveFilePart")


# ---- sending -------------------------------------------------------------------------------------


def test_the_random_id_tells_part_generation_and_channel_apart() -> None:
    ids = {
        random_id(code, generation, channel, turn)
        for code in (CODE, CODE + "_P01OF02")
        for generation in (0, 1)
        for channel in (1, 2)
        for turn in (0, 1)
    }
    assert len(ids) == 16
    assert random_id(CODE, 0, 1) == random_id(CODE, 0, 1)
    assert all(-(2**63) <= one < 2**63 for one in ids)


async def test_a_lost_reply_leaves_one_message_and_it_is_found(desk: Desk, emulator: Emulator) -> None:
    file = await desk.upload(SMALL)
    emulator.faults.plan(LostReply(method="messages.sendMedia"))
    message = await desk.send(file)
    (stored,) = stored_files(emulator)
    assert stored.message_id == message.message_id


async def test_a_connection_lost_before_the_call_sends_once(desk: Desk, emulator: Emulator) -> None:
    file = await desk.upload(SMALL)
    emulator.faults.plan(Disconnect(method="messages.sendMedia"))
    await desk.send(file)
    assert len(stored_files(emulator)) == 1


async def test_trouble_during_the_sending_sends_once(desk: Desk, emulator: Emulator) -> None:
    file = await desk.upload(SMALL)
    emulator.faults.plan(RpcFailure(method="messages.sendMedia", count=2))
    await desk.send(file)
    assert len(stored_files(emulator)) == 1


@pytest.mark.parametrize("part", [0, 3, 22])
async def test_a_lost_part_is_mended_and_only_that(desk: Desk, emulator: Emulator, part: int) -> None:
    file = await desk.upload(BIG)
    before = emulator.world.stats.requests["upload.saveBigFilePart"]
    emulator.faults.plan(MissingPart(part=part))
    await desk.send(file)
    (stored,) = stored_files(emulator)
    assert stored.content == NOISE
    assert emulator.world.stats.requests["upload.saveBigFilePart"] == before + 1


async def test_a_short_wait_before_sending_is_sat_out(desk: Desk, emulator: Emulator) -> None:
    file = await desk.upload(SMALL)
    emulator.faults.plan(Flood(method="messages.sendMedia", seconds=1))
    await desk.send(file)
    assert len(stored_files(emulator)) == 1


async def test_a_long_wait_before_sending_is_passed_on(desk: Desk, emulator: Emulator) -> None:
    file = await desk.upload(SMALL)
    emulator.faults.plan(Flood(method="messages.sendMedia", seconds=1800))
    with pytest.raises(FloodWaitError) as caught:
        await desk.send(file)
    assert (caught.value.seconds, caught.value.request) == (1800, "messages.sendMedia")
    assert stored_files(emulator) == []


async def test_a_refused_file_keeps_telegrams_name_for_it(desk: Desk, emulator: Emulator) -> None:
    file = await desk.upload(SMALL)
    emulator.world.expire_parts()
    with pytest.raises(TelegramError) as caught:
        await desk.send(file)
    assert caught.value.name != RANDOM_ID_DUPLICATE
    assert stored_files(emulator) == []


async def test_a_repeated_sending_of_one_generation_finds_the_first_message(desk: Desk, emulator: Emulator) -> None:
    first = await desk.send(await desk.upload(SMALL))
    second = await desk.send(await desk.upload(SMALL))  # as after a journal that was lost
    assert second == first
    assert len(stored_files(emulator)) == 1


async def test_a_message_of_another_link_makes_room_for_the_one_that_is_sent(desk: Desk, emulator: Emulator) -> None:
    await desk.send(await desk.upload(SMALL))
    second = await desk.send(await desk.upload(SMALL - 1000))
    (stored,) = stored_files(emulator)
    assert (stored.message_id, len(stored.content)) == (second.message_id, SMALL - 1000)


async def test_a_message_that_was_deleted_can_be_sent_again(desk: Desk, emulator: Emulator) -> None:
    first = await desk.send(await desk.upload(SMALL))
    await desk.channels.delete(desk.channel_id, first.message_id)
    second = await desk.send(await desk.upload(SMALL))
    assert second.message_id != first.message_id
    assert [stored.message_id for stored in stored_files(emulator)] == [second.message_id]


async def test_a_new_generation_is_a_new_message(desk: Desk, emulator: Emulator) -> None:
    await desk.send(await desk.upload(SMALL))
    await desk.send(await desk.upload(SMALL), generation=1)
    assert len(stored_files(emulator)) == 2


async def test_the_sending_is_in_the_journal_before_the_call(desk: Desk, emulator: Emulator, tmp_path: Path) -> None:
    file = await desk.upload(SMALL)
    emulator.faults.plan(RpcFailure(method="messages.sendMedia", code=400, name="MEDIA_EMPTY"))
    with pytest.raises(TelegramError):
        await desk.send(file)
    with Journal(tmp_path / "ember.journal") as reopened:
        (posting,) = reopened.postings("1.1.1")
    assert posting.message_id is None
    assert posting.sending.random_id == random_id(CODE, 0, desk.channel_id)


async def test_parts_are_not_gzipped(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from telethon.tl.core.gzippacked import GzipPacked

    packed: list[int] = []
    original = GzipPacked.gzip_if_smaller

    def counted(content_related: bool, data: bytes) -> Any:
        packed.append(len(data))
        return original(content_related, data)

    monkeypatch.setattr(GzipPacked, "gzip_if_smaller", staticmethod(counted))
    await desk.upload(BIG)
    assert all(size < PART_BYTES for size in packed)
