"""A person's own client talks to the bot: searches, presses buttons, downloads what arrives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from telethon import TelegramClient, events
from telethon.crypto import rsa
from telethon.sessions import MemorySession
from tests.bot.conftest import TOKEN, MemoryCatalogue, MemoryShelf, series

from telecine.bot import words
from telecine.bot.service import TelecineBot
from telecine.core.clock import SystemClock
from telecine.core.config import BotSettings, TelegramSettings
from telecine.core.delivery import Deliverable, Resolved
from telecine.core.emulator.control.messages import NewAccount, NewBot
from telecine.core.emulator.server import Emulator, EmulatorSettings
from telecine.core.emulator.telegram.entities import AdminRights, Content, VideoTrait
from telecine.core.emulator.telegram.keys import ServerKey
from telecine.core.leases import VariantState
from telecine.core.quality import Quality

CODE = "CM_S000045_S01E03_720P"
PATIENCE_S = 20.0
PHONE = "15550001"
CONTENT = bytes(range(256)) * 3000


@pytest.fixture
async def emulator(server_key: ServerKey) -> AsyncIterator[Emulator]:
    settings = EmulatorSettings(
        accounts=(NewAccount(phone=PHONE, name="ada"), NewAccount(phone="15550002", name="cm-ember", premium=True)),
        bots=(NewBot(token=TOKEN, username="telecine_bot"),),
    )
    async with Emulator(settings, key=server_key) as emulator:
        yield emulator


@pytest.fixture
async def bot(emulator: Emulator, catalogue: MemoryCatalogue, shelf: MemoryShelf) -> AsyncIterator[TelecineBot]:
    telegram = TelegramSettings(api_id=1, api_hash="0" * 32, bot_token=TOKEN, bot_api_url=emulator.bot_api_url)
    bot = TelecineBot(telegram, BotSettings(), catalogue=catalogue, shelf=shelf, requeue=shelf, clock=SystemClock())
    await bot.start()
    running = asyncio.create_task(bot.run())
    yield bot
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    await bot.stop()


class Person:
    """A signed-in account and what the bot shows it."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self._shown: asyncio.Queue[Any] = asyncio.Queue()
        client.add_event_handler(self._shown.put, events.NewMessage(incoming=True))
        client.add_event_handler(self._shown.put, events.MessageEdited(incoming=True))

    async def say(self, text: str) -> Any:
        await self.client.send_message("telecine_bot", text)
        return await self.shown()

    async def press(self, message: Any, label: str) -> Any:
        """Press a button. What the press was answered with."""
        index = next(i for i, text in enumerate(labels(message)) if label in text)
        return await message.click(index)

    async def shown(self) -> Any:
        """The next message, new or edited."""
        async with asyncio.timeout(PATIENCE_S):
            return (await self._shown.get()).message


def labels(message: Any) -> list[str]:
    return [button.text for row in message.buttons or [] for button in row]


@pytest.fixture
async def person(emulator: Emulator) -> AsyncIterator[Person]:
    rsa.add_key(emulator.public_key_pem, old=False)
    session = MemorySession()
    session.set_dc(2, *emulator.mtproto_address)
    client: Any = TelegramClient(session, api_id=1, api_hash="0" * 32)
    await client.connect()
    try:
        await client.send_code_request(PHONE)
        await client.sign_in(PHONE, emulator.world.login_code(PHONE))
        yield Person(client)
    finally:
        await client.disconnect()


def upload(emulator: Emulator) -> Resolved:
    """A worker's account stores the episode; what the store then answers."""
    world = emulator.world
    uploader = world.directory.user_named("cm-ember")
    bot = world.directory.bot_by_token(TOKEN)
    assert bot is not None
    channel = world.channels.create(uploader.id, "CM_C000001")
    world.channels.set_admin(channel, uploader.id, bot.id, AdminRights(post_messages=True))
    trait = VideoTrait(2.0, 1280, 720, supports_streaming=True)
    document = world.documents.store(CONTENT, f"{CODE}.mp4", "video/mp4", trait)
    post = world.messages.post(channel, uploader.id, Content(CODE, document_id=document.id)).message
    part = Deliverable(1, 1, channel.id, post.post_id, len(CONTENT), 2.0, None)
    return Resolved(CODE, VariantState.DONE, "The Wire", 2002, 1, 3, Quality.HD, (part,))


async def test_a_person_searches_presses_and_downloads_what_was_uploaded(
    bot: TelecineBot, emulator: Emulator, person: Person, catalogue: MemoryCatalogue, shelf: MemoryShelf
) -> None:
    shelf.targets[CODE] = upload(emulator)
    catalogue.details[45] = series(45, "The Wire", [(1, n) for n in range(1, 13)], year=2002)
    async with asyncio.timeout(PATIENCE_S):
        await shelf.saved.wait()

    assert "Welcome" in (await person.say("/start")).message
    screen = await person.say("wire")
    for label in ("The Wire (2002)", "Season 1", "Next", "Previous", "E03"):
        await person.press(screen, label)
        screen = await person.shown()
    assert labels(screen) == ["▶ 720p", "« Back"]
    answer = await person.press(screen, "720p")
    assert (answer.message, bool(answer.alert)) == (words.SENDING, False)
    video = await person.shown()
    assert video.message == "The Wire (2002) · S01E03 · 720p"
    assert (video.file.mime_type, video.file.width, video.file.duration) == ("video/mp4", 1280, 2)
    assert video.forward is None
    assert await person.client.download_media(video, file=bytes) == CONTENT


async def test_a_press_that_leads_nowhere_shows_an_alert(
    bot: TelecineBot, person: Person, catalogue: MemoryCatalogue, shelf: MemoryShelf
) -> None:
    catalogue.details[45] = series(45, "The Wire", [(1, 3)], year=2002)
    screen = await person.say("wire")
    del catalogue.details[45]
    answer = await person.press(screen, "The Wire")
    assert (answer.message, answer.alert) == (words.STALE, True)
