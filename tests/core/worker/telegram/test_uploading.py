"""The upload engine and the sending of messages against the embedded Telegram, over sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.core.worker.conftest import ACCOUNT, stored_files
from tests.core.worker.telegram.desk import BIG, CODE, NOISE, SMALL, Desk, stream

from telecine.core.emulator.faults import Disconnect, Flood, FloodName, Line, LostReply, MissingPart, RpcFailure
from telecine.core.emulator.server import Emulator
from telecine.core.errors import FloodWaitError, TelegramError
from telecine.core.plans import PART_BYTES
from telecine.core.worker.journal import Journal
from telecine.core.worker.parts import Block
from telecine.core.worker.telegram.calls import RANDOM_ID_DUPLICATE, PremiumWaitError
from telecine.core.worker.telegram.sending import random_id


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
        async for block in stream(NOISE):
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
