"""Channels through Telethon: who may do what, and what is found in them."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from telethon import errors
from telethon.tl import functions, types
from tests.core.emulator.conftest import BOT_TOKEN, Connect, call, new_channel, send, upload_parts, video_of

from telecine.core.emulator.telegram.entities import MediaKind, UpdateKind
from telecine.core.emulator.telegram.world import World


async def fill(client: Any, channel: Any, captions: list[str]) -> None:
    for number, caption in enumerate(captions, start=1):
        file = await upload_parts(client, f"film {number}".encode(), file_id=number)
        await send(client, channel, video_of(file), random_id=number, caption=caption)


async def test_bot_made_admin_is_told_and_gets_every_post(connect: Connect, world: World) -> None:
    client = await connect()
    channel = await new_channel(client)
    await client.edit_admin(channel, await client.get_entity("film_bot"), post_messages=True)
    await fill(client, channel, ["CM_M000001_1080P"])
    bot = world.directory.bot_by_token(BOT_TOKEN)
    assert bot is not None
    joined, posted = world.feeds.pending(bot)
    assert joined.member is not None
    assert (joined.member.old_status, joined.member.new_status) == ("left", "administrator")
    assert posted.kind is UpdateKind.CHANNEL_POST
    assert posted.message is not None
    document = world.documents.find(posted.message.content.document_id or 0)
    assert document is not None
    assert document.kind is MediaKind.VIDEO
    assert posted.message.content.text == "CM_M000001_1080P"


async def test_bot_cannot_be_a_plain_member(connect: Connect) -> None:
    client = await connect()
    channel = await new_channel(client)
    with pytest.raises(errors.UserBotError):
        await client(functions.channels.InviteToChannelRequest(channel, ["film_bot"]))


async def test_history_is_newest_first_and_ends_with_the_creation_note(connect: Connect) -> None:
    client = await connect()
    channel = await new_channel(client)
    await fill(client, channel, ["a", "b", "c"])
    history = await client.get_messages(channel, limit=None)
    assert [message.id for message in history] == [4, 3, 2, 1]
    assert isinstance(history[-1].action, types.MessageActionChannelCreate)


async def test_history_pages_forward_and_backward(connect: Connect, world: World) -> None:
    client = await connect()
    channel = await new_channel(client)
    me = world.directory.user_named("cm-ember")
    from telecine.core.emulator.telegram.entities import Content

    for number in range(250):
        world.messages.post(world.channels.all()[0], me.id, Content(f"post {number}"))
    ids = [message.id async for message in client.iter_messages(channel, wait_time=0)]
    assert ids == list(range(251, 0, -1))
    ids = [message.id async for message in client.iter_messages(channel, reverse=True, wait_time=0)]
    assert ids == list(range(1, 252))
    ids = [message.id async for message in client.iter_messages(channel, min_id=10, max_id=14)]
    assert ids == [13, 12, 11]


async def test_search_finds_the_coded_caption_and_nothing_else(connect: Connect) -> None:
    client = await connect()
    channel = await new_channel(client)
    await fill(client, channel, ["CM_M000001_1080P", "CM_M000002_720P", "CM_M000002_1080P"])
    found = await client.get_messages(channel, search="cm_m000002_720p")
    assert [message.message for message in found] == ["CM_M000002_720P"]
    assert await client.get_messages(channel, search="CM_M000003") == []


async def test_search_may_ask_for_videos_only(connect: Connect) -> None:
    client = await connect()
    channel = await new_channel(client)
    await fill(client, channel, ["film"])
    await client.send_file(channel, b"text", caption="film notes", force_document=True)
    videos = await client.get_messages(channel, search="film", filter=types.InputMessagesFilterVideo)
    documents = await client.get_messages(channel, search="film", filter=types.InputMessagesFilterDocument)
    assert ([m.message for m in videos], [m.message for m in documents]) == (["film"], ["film notes"])


async def test_history_and_search_keep_to_the_day_that_is_asked_for(connect: Connect, world: World) -> None:
    client = await connect()
    channel = await new_channel(client)
    await fill(client, channel, ["film one", "film two", "film three"])
    posts = world.messages.in_channel(world.channels.all()[0])
    for days, post in enumerate(posts):
        post.date_s -= days * 86_400
    today = dt.datetime.fromtimestamp(posts[0].date_s, dt.UTC)
    assert [m.id for m in await client.get_messages(channel, offset_date=today)] == [3]
    assert [m.id for m in await client.get_messages(channel, limit=2, offset_date=today)] == [3, 2]
    newer = client.iter_messages(channel, offset_date=today - dt.timedelta(days=1, hours=1), reverse=True)
    assert [m.message async for m in newer] == ["film two", "film three"]
    assert [m.id for m in await client.get_messages(channel, limit=9, search="film", offset_date=today)] == [3, 2]
    long_ago = today - dt.timedelta(days=99)
    assert await client.get_messages(channel, limit=9, search="film", offset_date=long_ago) == []


async def test_messages_are_fetched_by_id_and_missing_ones_are_none(connect: Connect) -> None:
    client = await connect()
    channel = await new_channel(client)
    await fill(client, channel, ["a", "b"])
    assert [m and m.message for m in await client.get_messages(channel, ids=[3, 2, 77])] == ["b", "a", None]


async def test_deleted_messages_are_gone_and_their_numbers_not_given_again(connect: Connect) -> None:
    client = await connect()
    channel = await new_channel(client)
    await fill(client, channel, ["a", "b"])
    (affected,) = await client.delete_messages(channel, [3, 99])
    assert affected.pts_count == 1
    assert await client.get_messages(channel, ids=3) is None
    await client.send_message(channel, "c")
    assert [message.id for message in await client.get_messages(channel, limit=2)] == [4, 2]


async def test_caption_can_be_edited_but_not_to_the_same(connect: Connect) -> None:
    client = await connect()
    channel = await new_channel(client)
    await fill(client, channel, ["a"])
    edited = await client.edit_message(channel, 2, "b")
    assert (edited.message, edited.edit_date is not None) == ("b", True)
    with pytest.raises(errors.MessageNotModifiedError):
        await client.edit_message(channel, 2, "b")


async def test_album_shares_one_group_and_is_all_or_nothing(connect: Connect, world: World) -> None:
    client = await connect()
    channel = await new_channel(client)
    videos = [await client(_stored(channel, await upload_parts(client, bytes([n]) * 9, file_id=n))) for n in (1, 2)]
    singles = [
        types.InputSingleMedia(_again(video.document), f"CM_M000001_1080P_P0{n}OF02", random_id=n)
        for n, video in enumerate(videos, start=1)
    ]
    await client(functions.messages.SendMultiMediaRequest(channel, singles))
    second, first = await client.get_messages(channel, limit=2)
    assert first.grouped_id == second.grouped_id is not None
    singles[0].random_id = 3
    with pytest.raises(errors.RandomIdDuplicateError):
        await call(client, functions.messages.SendMultiMediaRequest(channel, singles))
    assert len(world.messages.in_channel(world.channels.all()[0])) == 2


async def test_album_takes_only_what_is_stored(connect: Connect) -> None:
    client = await connect()
    channel = await new_channel(client)
    fresh = video_of(await upload_parts(client, bytes(9), file_id=1))
    with pytest.raises(errors.MediaInvalidError):
        await client(functions.messages.SendMultiMediaRequest(channel, [types.InputSingleMedia(fresh, "", 1)]))


async def test_telethon_sends_albums_by_itself(connect: Connect) -> None:
    client = await connect()
    channel = await new_channel(client)
    messages = await client.send_file(channel, [b"one", b"two"], caption=["1", "2"], force_document=True)
    assert len({message.grouped_id for message in messages}) == 1
    assert [message.message for message in messages] == ["1", "2"]


async def test_private_channel_is_closed_to_strangers(connect: Connect) -> None:
    ember, rora = await connect("cm-ember"), await connect("cm-rora")
    channel = await new_channel(ember)
    with pytest.raises(errors.ChannelInvalidError):  # the hash belongs to another account
        await rora.get_messages(types.InputPeerChannel(channel.id, channel.access_hash), limit=1)
    assert [dialog.name for dialog in await rora.get_dialogs()] == []


async def test_member_reads_but_writes_only_with_the_right(connect: Connect) -> None:
    ember, rora = await connect("cm-ember"), await connect("cm-rora")
    channel = await new_channel(ember)
    invite = await ember(functions.messages.ExportChatInviteRequest(channel))
    joined = (await rora(functions.messages.ImportChatInviteRequest(invite.link.rpartition("+")[2]))).chats[0]
    with pytest.raises(errors.ChatWriteForbiddenError):
        await rora.send_message(joined, "hello")
    with pytest.raises(errors.ChatAdminRequiredError):
        await rora.edit_admin(joined, "film_bot", post_messages=True)
    imported = await ember(
        functions.contacts.ImportContactsRequest([types.InputPhoneContact(0, "15550002", "Rora", "")])
    )
    await ember.edit_admin(channel, imported.users[0], post_messages=True)
    assert (await rora.send_message(joined, "hello")).id == 2
    assert [d.entity.admin_rights.post_messages for d in await rora.get_dialogs()] == [True]


async def test_removed_member_is_shut_out(connect: Connect) -> None:
    ember, rora = await connect("cm-ember"), await connect("cm-rora")
    channel = await new_channel(ember)
    invite = await ember(functions.messages.ExportChatInviteRequest(channel))
    joined = (await rora(functions.messages.ImportChatInviteRequest(invite.link.rpartition("+")[2]))).chats[0]
    await rora.delete_dialog(joined)
    with pytest.raises(errors.ChannelPrivateError):
        await rora.get_messages(joined, limit=1)


async def test_participants_tell_creator_and_admins(connect: Connect) -> None:
    client = await connect()
    channel = await new_channel(client)
    bot = await client.get_entity("film_bot")
    await client.edit_admin(channel, bot, post_messages=True)
    admins = await client.get_participants(channel, filter=types.ChannelParticipantsAdmins())
    assert {admin.username or admin.phone for admin in admins} == {"film_bot", "15550001"}
    assert (await client.get_permissions(channel, bot)).post_messages
    with pytest.raises(errors.UserNotParticipantError):
        await client.get_permissions(channel, await client.get_entity("viewer"))


async def test_channel_can_be_renamed_described_and_deleted(connect: Connect) -> None:
    client = await connect()
    channel = await new_channel(client, "CM_C000001")
    await client(functions.channels.EditTitleRequest(channel, "CM_C000002"))
    full = await client(functions.channels.GetFullChannelRequest(channel))
    assert (full.chats[0].title, full.full_chat.participants_count) == ("CM_C000002", 1)
    await client(functions.channels.DeleteChannelRequest(channel))
    with pytest.raises(errors.ChannelInvalidError):
        await client.get_messages(channel, limit=1)


async def test_forwarding_keeps_the_file_and_tells_the_origin(connect: Connect) -> None:
    client = await connect()
    source, log = await new_channel(client, "CM_C000001"), await new_channel(client, "log")
    await fill(client, source, ["a"])
    forwarded = await client.forward_messages(log, 2, source)
    assert forwarded.forward.channel_post == 2
    assert await client.download_media(forwarded, bytes) == b"film 1"


def _stored(channel: Any, file: Any) -> Any:
    return functions.messages.UploadMediaRequest(channel, video_of(file))


def _again(document: Any) -> Any:
    return types.InputMediaDocument(types.InputDocument(document.id, document.access_hash, document.file_reference))
