"""A person talks to a bot through Telethon: pushes, buttons, received files, missed messages."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from telethon import errors, events
from tests.core.emulator.conftest import BOT_TOKEN, Connect, until

from telecine.core.emulator.mtproto.server import MtprotoServer
from telecine.core.emulator.telegram.entities import (
    Bot,
    Content,
    InlineButton,
    InlineKeyboard,
    ReplyKeyboard,
    UpdateKind,
    VideoTrait,
)
from telecine.core.emulator.telegram.presses import PressAnswer
from telecine.core.emulator.telegram.world import World

KEYBOARD = InlineKeyboard(((InlineButton("1080p", b"v:1"), InlineButton("Site", url="https://example.org/")),))


@pytest.fixture
def bot(world: World) -> Bot:
    bot = world.directory.bot_by_token(BOT_TOKEN)
    assert bot is not None
    return bot


class Inbox:
    """What a client is pushed."""

    def __init__(self, client: Any) -> None:
        self.new: asyncio.Queue[Any] = asyncio.Queue()
        self.edited: asyncio.Queue[Any] = asyncio.Queue()
        self.deleted: asyncio.Queue[Any] = asyncio.Queue()
        client.add_event_handler(self.new.put, events.NewMessage(incoming=True))
        client.add_event_handler(self.edited.put, events.MessageEdited())
        client.add_event_handler(self.deleted.put, events.MessageDeleted())

    async def next(self) -> Any:
        async with asyncio.timeout(5):
            return (await self.new.get()).message


async def test_bot_gets_what_the_user_writes_and_the_user_gets_the_answer(
    connect: Connect, world: World, bot: Bot
) -> None:
    client = await connect("viewer")
    inbox = Inbox(client)
    await client.send_message("film_bot", "/start")
    (update,) = world.feeds.pending(bot)
    assert update.kind is UpdateKind.MESSAGE
    assert update.message is not None
    assert (update.message.content.text, update.message.ids[bot.id]) == ("/start", 1)
    world.messages.send(bot.id, update.message.sender_id, Content("Welcome", markup=KEYBOARD))
    answer = await inbox.next()
    assert (answer.message, answer.sender_id) == ("Welcome", bot.id)
    assert [[button.text for button in row] for row in answer.buttons] == [["1080p", "Site"]]


async def test_pressed_button_reaches_the_bot_and_its_answer_comes_back(
    connect: Connect, world: World, bot: Bot
) -> None:
    client = await connect("viewer")
    message = await _talk(client, world, bot, Content("Choose", markup=KEYBOARD))
    click = asyncio.create_task(message.click(text="1080p"))
    await until(world, lambda: bool(world.feeds.pending(bot)) and world.feeds.pending(bot)[-1].press is not None)
    press = world.feeds.pending(bot)[-1].press
    assert press is not None
    assert press.data == b"v:1"
    world.presses.answer(bot, press.id, PressAnswer("Sending", alert=True))
    answer = await click
    assert (answer.message, answer.alert) == ("Sending", True)
    with pytest.raises(Exception, match="QUERY_ID_INVALID"):
        world.presses.answer(bot, press.id, PressAnswer())


async def test_button_that_is_not_there_cannot_be_pressed(connect: Connect, world: World, bot: Bot) -> None:
    client = await connect("viewer")
    message = await _talk(client, world, bot, Content("Choose", markup=KEYBOARD))
    with pytest.raises(errors.DataInvalidError):
        await message.click(data=b"v:2")


async def test_bots_edits_and_deletions_are_pushed(connect: Connect, world: World, bot: Bot) -> None:
    client = await connect("viewer")
    inbox = Inbox(client)
    viewer = world.directory.user_named("viewer")
    await client.send_message("film_bot", "/start")
    message, _ = world.messages.send(bot.id, viewer.id, Content("one"))
    await inbox.next()
    world.messages.edit(message, bot.id, Content("two"))
    async with asyncio.timeout(5):
        assert (await inbox.edited.get()).message.message == "two"
    world.messages.delete(bot.id, bot.id, [message.ids[bot.id]])
    async with asyncio.timeout(5):
        assert (await inbox.deleted.get()).deleted_ids == [message.ids[viewer.id]]


async def test_video_sent_by_the_bot_downloads_identical(connect: Connect, world: World, bot: Bot) -> None:
    client = await connect("viewer")
    content = bytes(range(256)) * 3000
    document = world.documents.store(content, "film.mp4", "video/mp4", VideoTrait(3.5, 640, 360, True))
    message = await _talk(client, world, bot, Content("CM_M000001", document_id=document.id))
    assert message.video.attributes[0].supports_streaming
    assert await client.download_media(message, bytes) == content


async def test_reply_keyboard_is_shown_and_reply_refers_to_the_message(
    connect: Connect, world: World, bot: Bot
) -> None:
    client = await connect("viewer")
    message = await _talk(client, world, bot, Content("Ask", markup=ReplyKeyboard((("Search",),), resize=True)))
    assert message.reply_markup.rows[0].buttons[0].text == "Search"
    reply = await message.reply("The Third Man")
    assert reply.reply_to_msg_id == message.id


async def test_bot_cannot_write_first_nor_to_who_blocked_it(world: World, bot: Bot) -> None:
    viewer = world.directory.user_named("viewer")
    with pytest.raises(Exception, match="BOT_NOT_STARTED"):
        world.messages.send(bot.id, viewer.id, Content("Buy!"))
    world.messages.send(viewer.id, bot.id, Content("/start"))
    bot.blocked_by.add(viewer.id)
    with pytest.raises(Exception, match="USER_IS_BLOCKED"):
        world.messages.send(bot.id, viewer.id, Content("Buy!"))


async def test_messages_missed_while_offline_are_caught_up(
    connect: Connect, server: MtprotoServer, world: World, bot: Bot
) -> None:
    client = await connect("viewer")
    inbox = Inbox(client)
    viewer = world.directory.user_named("viewer")
    await client.send_message("film_bot", "/start")
    world.messages.send(bot.id, viewer.id, Content("first"))
    assert (await inbox.next()).message == "first"
    server.drop_connections("viewer")
    for text in ("second", "third"):
        world.messages.send(bot.id, viewer.id, Content(text))
    await client.get_me()  # Telethon has reconnected
    await client.catch_up()
    assert [(await inbox.next()).message for _ in range(2)] == ["second", "third"]
    world.messages.send(bot.id, viewer.id, Content("fourth"))
    assert (await inbox.next()).message == "fourth"


async def test_channel_posts_missed_while_offline_are_caught_up(
    connect: Connect, server: MtprotoServer, world: World
) -> None:
    client = await connect("viewer")
    inbox = Inbox(client)
    viewer = world.directory.user_named("viewer")
    ember = world.directory.user_named("cm-ember")
    channel = world.channels.create(ember.id, "CM_C000001")
    world.channels.invite(channel, ember.id, viewer.id)
    await client.get_dialogs()
    world.messages.post(channel, ember.id, Content("one"))
    assert (await inbox.next()).message == "one"
    server.drop_connections("viewer")
    world.messages.post(channel, ember.id, Content("two"))
    world.messages.delete(ember.id, channel.chat_id, [2])
    await client.get_me()
    await client.catch_up()
    assert (await inbox.next()).message == "two"


async def test_second_session_of_an_account_sees_what_the_first_sent(connect: Connect, world: World, bot: Bot) -> None:
    sender, watcher = await connect("viewer"), await connect("viewer")
    seen: asyncio.Queue[Any] = asyncio.Queue()
    watcher.add_event_handler(seen.put, events.NewMessage(outgoing=True))
    await sender.send_message("film_bot", "hello")
    async with asyncio.timeout(5):
        assert (await seen.get()).message.message == "hello"


async def test_client_that_wants_no_updates_gets_none(connect: Connect, world: World, bot: Bot) -> None:
    quiet, listening = await connect("viewer", receive_updates=False), await connect("viewer")
    unheard, heard = Inbox(quiet), Inbox(listening)
    await quiet.send_message("film_bot", "/start")
    world.messages.send(bot.id, world.directory.user_named("viewer").id, Content("news"))
    assert (await heard.next()).message == "news"
    await quiet.get_me()  # a push would have come before this answer
    assert unheard.new.empty()


async def test_two_accounts_are_isolated(connect: Connect) -> None:
    ember, rora = await connect("cm-ember"), await connect("cm-rora")
    await ember.send_message("me", "mine")
    assert [message.message for message in await ember.get_messages("me")] == ["mine"]
    assert list(await rora.get_messages("me")) == []


async def _talk(client: Any, world: World, bot: Bot, content: Content) -> Any:
    """Start the bot, have it say something, and return that as the client sees it."""
    await client.send_message("film_bot", "/start")
    world.messages.send(bot.id, world.directory.user_named("viewer").id, content)
    return (await client.get_messages("film_bot", limit=1))[0]
