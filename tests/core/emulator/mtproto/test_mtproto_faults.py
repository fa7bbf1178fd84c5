"""What the fault plan orders happens, and what a client did before is not lost or done twice."""

from __future__ import annotations

import asyncio
import random

import pytest
from telethon import errors
from telethon.tl import functions, types
from tests.core.emulator.conftest import BOT_TOKEN, Connect, new_channel, send, until, upload_parts, video_of

from telecine.core.emulator.faults import Disconnect, Faults, Flood, FloodName, Line, LostReply, RpcFailure
from telecine.core.emulator.mtproto.server import MtprotoServer
from telecine.core.emulator.telegram.entities import Bot
from telecine.core.emulator.telegram.world import World

PART_BYTES = 512 * 1024


def bot_of(world: World) -> Bot:
    bot = world.directory.bot_by_token(BOT_TOKEN)
    assert bot is not None
    return bot


def captions(world: World) -> list[str]:
    """What stands in the only channel, newest first."""
    (channel,) = world.channels.all()
    return [message.content.text for message in world.messages.in_channel(channel)]


@pytest.mark.parametrize(
    ("name", "error"),
    [
        (FloodName.FLOOD_WAIT, errors.FloodWaitError),
        (FloodName.SLOWMODE_WAIT, errors.SlowModeWaitError),
        (FloodName.FLOOD_PREMIUM_WAIT, errors.FloodPremiumWaitError),
    ],
)
async def test_flood_wait_meets_one_account_and_one_method(
    connect: Connect, faults: Faults, name: FloodName, error: type[errors.FloodError]
) -> None:
    ember, rora = await connect("cm-ember"), await connect("cm-rora")
    faults.plan(Flood(account="cm-ember", method="messages.sendMessage", seconds=3, name=name))
    await rora.send_message("me", "unhindered")
    await ember.get_me()
    with pytest.raises(error) as refused:
        await ember.send_message("me", "held back")
    assert refused.value.seconds == 3
    await ember.send_message("me", "let through")  # Telethon itself would hold back for longer waits


async def test_planned_error_reaches_the_client_by_name(connect: Connect, faults: Faults) -> None:
    client = await connect()
    faults.plan(RpcFailure(method="messages.getDialogs", code=406, name="AUTH_KEY_DUPLICATED"))
    with pytest.raises(errors.AuthKeyDuplicatedError):
        await client.get_dialogs()


async def test_same_random_id_is_refused_and_posts_nothing(connect: Connect, world: World) -> None:
    client = await connect()
    channel = await new_channel(client)
    first = await upload_parts(client, b"one", file_id=1)
    await send(client, channel, video_of(first), random_id=99)
    second = await upload_parts(client, b"two", file_id=2)
    with pytest.raises(errors.RandomIdDuplicateError):
        await send(client, channel, video_of(second), random_id=99)
    assert captions(world) == ["CM_M000001_1080P"]


async def test_lost_reply_leaves_the_message_posted_once(connect: Connect, faults: Faults, world: World) -> None:
    client = await connect()
    channel = await new_channel(client)
    file = await upload_parts(client, b"film", file_id=1)
    faults.plan(LostReply(method="messages.sendMedia"))
    with pytest.raises(errors.RandomIdDuplicateError):  # Telethon reconnects and sends the request again
        await send(client, channel, video_of(file), random_id=99)
    assert captions(world) == ["CM_M000001_1080P"]
    found = await client.get_messages(channel, search="CM_M000001_1080P")
    assert [message.id for message in found] == [2]


async def test_disconnect_before_execution_loses_nothing(connect: Connect, faults: Faults, world: World) -> None:
    client = await connect()
    channel = await new_channel(client)
    file = await upload_parts(client, b"film", file_id=1)
    faults.plan(Disconnect(method="messages.sendMedia"))
    await send(client, channel, video_of(file), random_id=99)
    assert captions(world) == ["CM_M000001_1080P"]


async def test_salt_change_in_mid_upload_is_survived(connect: Connect, server: MtprotoServer, world: World) -> None:
    client = await connect()
    content = random.Random(3).randbytes(PART_BYTES * 6)
    parts = [content[i : i + PART_BYTES] for i in range(0, len(content), PART_BYTES)]
    for index, part in enumerate(parts):
        if index % 2:
            server.change_salt()
        assert await client(functions.upload.SaveBigFilePartRequest(5, index, 6, part))
    file = types.InputFileBig(5, 6, "film.mp4")
    message = await send(client, await new_channel(client), video_of(file), random_id=1)
    assert await client.download_media(message, bytes) == content
    assert world.stats.events["bad_server_salt"] >= 3


async def test_dropped_connections_in_mid_upload_are_survived(
    connect: Connect, server: MtprotoServer, faults: Faults, world: World
) -> None:
    client = await connect()
    channel = await new_channel(client)
    faults.set_line("cm-ember", Line(latency_s=0.02))
    content = random.Random(4).randbytes(PART_BYTES * 4)
    upload = asyncio.create_task(upload_parts(client, content, file_id=5))
    await until(world, lambda: world.stats.in_flight >= 2)
    assert server.drop_connections("cm-ember") == 1
    message = await send(client, channel, video_of(await upload), random_id=1)
    assert await client.download_media(message, bytes) == content


async def test_dropping_one_accounts_connections_spares_the_others(connect: Connect, server: MtprotoServer) -> None:
    await connect("cm-ember")
    rora = await connect("cm-rora")
    assert server.drop_connections("cm-ember") == 1
    assert server.drop_connections("nobody") == 0
    assert rora.is_connected()
    assert (await rora.get_me()).phone == "15550002"


async def test_latency_delays_requests_side_by_side(connect: Connect, faults: Faults, world: World) -> None:
    client = await connect()
    faults.set_line("cm-ember", Line(latency_s=0.1))
    started_s = world.clock.monotonic_s()
    await asyncio.gather(*(client.get_me() for _ in range(40)))
    assert 0.1 <= world.clock.monotonic_s() - started_s < 3
    assert world.stats.in_flight_max >= 5


async def test_failing_method_of_an_unknown_kind_says_so(connect: Connect) -> None:
    client = await connect()
    with pytest.raises(errors.RPCError):
        await client(functions.stories.GetAllStoriesRequest())


async def test_a_post_is_queued_for_the_bot_though_the_reply_was_lost(
    connect: Connect, faults: Faults, world: World
) -> None:
    client = await connect()
    channel = await new_channel(client)
    await client.edit_admin(channel, await client.get_entity("film_bot"), post_messages=True)
    file = await upload_parts(client, b"film", file_id=1)
    faults.plan(LostReply(method="messages.sendMedia"))
    with pytest.raises(errors.RandomIdDuplicateError):
        await send(client, channel, video_of(file), random_id=99)
    kinds = [update.kind.value for update in world.feeds.pending(bot_of(world))]
    assert kinds == ["my_chat_member", "channel_post"]
