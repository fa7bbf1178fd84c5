"""Videos that Telegram converts before it posts them."""

from __future__ import annotations

import pytest
from telethon import errors
from telethon.tl import functions, types
from tests.core.emulator.conftest import Connect, new_channel, send, until, upload_parts, video_of

from telecine.core.emulator.faults import Conversion, FalseResult, Faults
from telecine.core.emulator.telegram.world import World

CAPTION = "CM_M000001_1080P"


async def scheduled(client: object, channel: object) -> list[types.Message]:
    answer = await client(functions.messages.GetScheduledHistoryRequest(channel, hash=0))  # type: ignore[operator]
    return list(answer.messages)


async def test_a_converted_video_is_scheduled_first_and_then_posted(
    connect: Connect, faults: Faults, world: World
) -> None:
    client = await connect()
    channel = await new_channel(client)
    file = await upload_parts(client, b"film", file_id=1)
    faults.plan(Conversion(seconds=3600))
    await send(client, channel, video_of(file), random_id=99)
    (waiting,) = await scheduled(client, channel)
    assert (waiting.message, waiting.video_processing_pending) == (CAPTION, True)
    assert not world.messages.in_channel(world.channels.all()[0])
    world.conversions.finish_all()
    await until(world, lambda: bool(world.messages.in_channel(world.channels.all()[0])))
    assert await scheduled(client, channel) == []
    (posted,) = await client.get_messages(channel, search=CAPTION)
    assert posted.file.size == 4


async def test_a_video_that_is_being_converted_has_spent_its_random_id(connect: Connect, faults: Faults) -> None:
    client = await connect()
    channel = await new_channel(client)
    faults.plan(Conversion(seconds=3600))
    await send(client, channel, video_of(await upload_parts(client, b"one", file_id=1)), random_id=99)
    second = await upload_parts(client, b"two", file_id=2)
    with pytest.raises(errors.RandomIdDuplicateError):
        await send(client, channel, video_of(second), random_id=99)


async def test_strangers_see_nothing_that_is_scheduled(connect: Connect) -> None:
    client, stranger = await connect("cm-ember"), await connect("cm-rora")
    channel = await new_channel(client)
    with pytest.raises(errors.ChannelInvalidError):
        await scheduled(stranger, types.InputChannel(channel.id, channel.access_hash))


async def test_a_part_that_is_answered_with_false_is_not_kept(connect: Connect, faults: Faults, world: World) -> None:
    client = await connect()
    faults.plan(FalseResult(method="upload.saveBigFilePart"))
    request = functions.upload.SaveBigFilePartRequest(7, 0, 1, b"film")
    assert await client(request) is False
    assert world.stats.part_bytes == 0
    assert await client(request) is True
