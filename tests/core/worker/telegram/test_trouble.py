"""Lines that break, Telegram that refuses and slows down: uploads get through, and messages are posted once."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from tests.core.worker.conftest import ACCOUNT, eventually, stored_files
from tests.core.worker.telegram.desk import BIG, CODE, FILM, NOISE, SMALL, Desk, stream
from tests.waiting import until

from telecine.core.clock import SystemClock
from telecine.core.emulator.faults import (
    Conversion,
    Disconnect,
    FalseResult,
    Flood,
    FloodName,
    Line,
    LostReply,
    RpcFailure,
)
from telecine.core.emulator.server import Emulator
from telecine.core.errors import TelegramError
from telecine.core.plans import PART_BYTES
from telecine.core.worker.gate import Gate
from telecine.core.worker.parts import Block
from telecine.core.worker.telegram import calls, senders
from telecine.core.worker.telegram.channels import ConvertingError
from telecine.core.worker.telegram.engine import Engine
from telecine.core.worker.telegram.sending import ExistingFile

PART = "upload.saveBigFilePart"
SEND = "messages.sendMedia"


# ---- uploading -----------------------------------------------------------------------------------


async def test_what_telegram_answers_with_false_is_sent_again(desk: Desk, emulator: Emulator) -> None:
    emulator.faults.plan(FalseResult(method=PART, after=4, count=3))
    await desk.send(await desk.upload(BIG))
    assert stored_files(emulator)[0].content == NOISE


async def test_connections_that_telegram_closes_as_too_many_cost_no_part(desk: Desk, emulator: Emulator) -> None:
    emulator.faults.set_line(ACCOUNT, Line(latency_s=0.01, connections_max=2))  # the account's own, and one more
    await desk.send(await desk.upload(BIG))
    assert stored_files(emulator)[0].content == NOISE
    assert desk.lines.width == 1
    refused = emulator.world.stats.events["connections_refused"]
    assert 1 <= refused <= 8


async def test_connections_stay_for_the_next_file(desk: Desk, emulator: Emulator) -> None:
    await desk.upload(BIG)
    await asyncio.gather(*desk.lines._opening)
    opened = emulator.world.stats.events["connections"]
    width = desk.lines.width
    await desk.upload(SMALL)
    assert emulator.world.stats.events["connections"] == opened
    assert desk.lines.width == width


async def test_connections_that_were_dropped_while_idle_are_opened_again(desk: Desk, emulator: Emulator) -> None:
    await desk.upload(BIG)
    emulator.mtproto.drop_connections(ACCOUNT)
    await desk.send(await desk.upload(BIG))
    assert stored_files(emulator)[0].content == NOISE


async def test_idle_connections_are_asked_whether_they_are_there_and_closed_after_a_while(
    desk: Desk, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(senders, "PING_AFTER_S", 0.02)
    monkeypatch.setattr(senders, "WARM_S", 0.3)
    answered: list[str] = []

    async def noted(sender: Any, request: Any) -> Any:
        result = await calls.answer(sender, request)
        answered.append(calls.method_name(request))
        return result

    monkeypatch.setattr(senders, "answer", noted)
    await desk.upload(BIG)
    await until(lambda: not any(line.is_open for line in desk.lines._lines))
    assert answered.count("ping") >= 2
    await desk.send(await desk.upload(BIG))
    assert stored_files(emulator)[0].content == NOISE


async def test_a_lost_connection_leaves_fewer_parts_under_way(desk: Desk, emulator: Emulator) -> None:
    emulator.faults.plan(Disconnect(method=PART, after=10))
    await desk.upload(BIG)
    assert desk.engine.parts_allowed < 8


@pytest.mark.parametrize("name", list(FloodName))
async def test_a_short_wait_of_any_kind_is_sat_out(desk: Desk, emulator: Emulator, name: FloodName) -> None:
    emulator.faults.plan(Flood(method=PART, seconds=1, after=3, name=name))
    await desk.send(await desk.upload(BIG))
    assert stored_files(emulator)[0].content == NOISE
    assert desk.throttles == (name is FloodName.FLOOD_PREMIUM_WAIT)


async def test_a_wait_for_big_parts_does_not_hold_small_ones_up(desk: Desk, emulator: Emulator) -> None:
    emulator.faults.plan(Flood(method=PART, seconds=2, after=3))
    big = asyncio.create_task(desk.upload(BIG))
    await eventually(emulator, lambda: emulator.faults.taken["flood"])
    await asyncio.wait_for(desk.upload(SMALL), 1.5)
    assert not big.done()
    await big


async def test_uploads_share_the_places_of_one_pool(desk: Desk, emulator: Emulator) -> None:
    emulator.faults.set_line(ACCOUNT, Line(latency_s=0.01))
    await asyncio.gather(*(desk.upload(BIG) for _ in range(3)))
    assert emulator.world.stats.in_flight_max <= 8


async def test_a_closed_gate_stops_parts_and_an_open_one_lets_them_go_on(desk: Desk, emulator: Emulator) -> None:
    gate = Gate()
    engine = Engine(
        desk.lines,
        clock=SystemClock(),
        new_file_id=lambda: 4711,
        parts_in_flight=2,
        flood_wait_in_place_s=2,
        gate=gate,
    )
    stats = emulator.world.stats
    uploading = asyncio.create_task(engine.upload(stream(NOISE), size_bytes=BIG, name="a.mp4"))
    await eventually(emulator, lambda: stats.requests[PART] >= 3)
    gate.close()
    await eventually(emulator, lambda: stats.in_flight == 0)
    seen = stats.requests[PART]
    await desk.channels.newest_message_id(desk.channel_id)  # the rest of the account goes on
    assert stats.requests[PART] <= seen + 2
    assert not uploading.done()
    gate.open()
    assert (await uploading).size_bytes == BIG


# ---- sending -------------------------------------------------------------------------------------


async def test_a_message_is_found_by_the_first_line_of_its_caption(desk: Desk, emulator: Emulator) -> None:
    emulator.faults.plan(LostReply(method=SEND))
    message = await desk.send(await desk.upload(SMALL), caption=f"{CODE}\nTC1 t=NDU")
    assert [file.message_id for file in stored_files(emulator)] == [message.message_id]


async def test_a_file_that_is_stored_already_is_sent_without_its_bytes(desk: Desk, emulator: Emulator) -> None:
    file = await desk.upload(SMALL)
    first = await desk.send(file)
    emulator.world.expire_parts()
    again = await desk.upload(SMALL)
    copy = await desk.send(again, generation=1, existing=ExistingFile(desk.channel_id, first.message_id))
    assert copy.message_id != first.message_id
    stored = stored_files(emulator)
    assert [one.content for one in stored] == [NOISE[:SMALL]] * 2
    assert len(emulator.world._state.documents) == 1


@pytest.mark.parametrize("is_there", [True, False], ids=["of other bytes", "gone"])
async def test_what_is_sent_in_place_of_a_file_that_is_not_there_is_the_upload(
    desk: Desk, emulator: Emulator, is_there: bool
) -> None:
    first = await desk.send(await desk.upload(SMALL))
    if not is_there:
        await desk.channels.delete(desk.channel_id, first.message_id)
    size = SMALL + 1 if is_there else SMALL
    message = await desk.send(
        await desk.upload(size), generation=1, existing=ExistingFile(desk.channel_id, first.message_id)
    )
    assert message.size_bytes == size


async def test_a_reference_that_has_run_out_is_read_anew(desk: Desk, emulator: Emulator) -> None:
    file = await desk.upload(SMALL)
    first = await desk.send(file)
    emulator.faults.plan(RpcFailure(method=SEND, code=400, name="FILE_REFERENCE_EXPIRED", count=2))
    again = await desk.upload(SMALL)
    await desk.send(again, generation=1, existing=ExistingFile(desk.channel_id, first.message_id))
    assert len(stored_files(emulator)) == 2


async def test_a_reference_that_never_holds_is_told(desk: Desk, emulator: Emulator) -> None:
    first = await desk.send(await desk.upload(SMALL))
    emulator.faults.plan(RpcFailure(method=SEND, code=400, name="FILE_REFERENCE_EXPIRED", count=None))
    again = await desk.upload(SMALL)
    with pytest.raises(TelegramError) as caught:
        await desk.send(again, generation=1, existing=ExistingFile(desk.channel_id, first.message_id))
    assert caught.value.name == "FILE_REFERENCE_EXPIRED"


async def test_a_video_that_is_converted_first_is_waited_for(
    desk: Desk, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telecine.core.worker.telegram.sending.PUBLISH_PAUSE_S", 0.05)
    emulator.faults.plan(Conversion(seconds=0.2))
    message = await desk.send(await desk.upload(SMALL))
    assert [file.message_id for file in stored_files(emulator)] == [message.message_id]


async def test_a_video_whose_answer_is_lost_while_it_is_converted_is_found_among_the_scheduled(
    desk: Desk, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telecine.core.worker.telegram.channels.LOOKUP_PAUSE_S", 0.01)
    emulator.faults.plan(Conversion(seconds=3600))
    emulator.faults.plan(LostReply(method=SEND))
    sending = asyncio.create_task(desk.send(await desk.upload(SMALL)))
    await eventually(emulator, lambda: emulator.world.stats.requests["messages.getScheduledHistory"])
    with pytest.raises(ConvertingError):
        await desk.channels.find_settled(desk.channel_id, CODE, after=0)
    monkeypatch.setattr("telecine.core.worker.telegram.sending.PUBLISH_PAUSE_S", 0.05)
    emulator.world.conversions.finish_all()
    message = await asyncio.wait_for(sending, 15)
    assert [file.message_id for file in stored_files(emulator)] == [message.message_id]


async def test_a_thumbnail_that_telegram_does_not_keep_is_told(desk: Desk) -> None:
    async def jpeg() -> object:
        yield Block(0, b"\xff\xd8" + bytes(PART_BYTES - 2))  # more than Telegram takes

    thumbnail = await desk.engine.upload(jpeg(), size_bytes=PART_BYTES, name="thumbnail.jpg")  # type: ignore[arg-type]
    with pytest.raises(TelegramError, match="thumbnail False in place of True"):
        await desk.send(await desk.upload(SMALL), thumbnail=thumbnail)


async def test_a_film_whose_index_is_behind_it_is_not_said_to_stream(desk: Desk) -> None:
    message = await desk.send(await desk.upload(SMALL), film=msgspec.structs.replace(FILM, streamable=False))
    assert message.is_video
    assert not message.streams


async def test_a_film_is_not_made_of_the_same_bytes_that_are_stored_as_a_document(
    desk: Desk, emulator: Emulator
) -> None:
    document = await desk.send(await desk.upload(SMALL), film=None)
    existing = ExistingFile(desk.channel_id, document.message_id)
    film = await desk.send(await desk.upload(SMALL), generation=1, existing=existing)
    assert film.is_video
    assert len(emulator.world._state.documents) == 2
