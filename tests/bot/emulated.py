"""Telegram as the emulator's Bot API and world, without its MTProto half, for a bot that is run as it is deployed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from tests.bot.conftest import PATIENCE_S, TOKEN

from telecine.bot.service import TelecineBot
from telecine.core.clock import SystemClock
from telecine.core.emulator.cm.auth import CmCredentials
from telecine.core.emulator.cm.service import Cm
from telecine.core.emulator.faults import Faults
from telecine.core.emulator.http_half import HttpHalf
from telecine.core.emulator.sources.host import SourceHost
from telecine.core.emulator.telegram.entities import AdminRights, Content, Document, InlineKeyboard, Message, VideoTrait
from telecine.core.emulator.telegram.presses import PressAnswer
from telecine.core.emulator.telegram.world import World


class NoConnections:
    """There is no MTProto half in these tests."""

    def drop_connections(self, account: str | None = None) -> int:
        return 0

    def change_salt(self) -> None:
        return


class Telegram:
    """A world with a storage channel, its uploader, the bot, and a user who looks at the chat with the bot."""

    def __init__(self, world: World, faults: Faults, url: str) -> None:
        self.world, self.faults, self.url = world, faults, url
        self.bot = world.add_bot(TOKEN, "telecine_bot")
        self.user = world.add_user("15550001", "ada", first_name="Ada")
        self.uploader = world.add_user("15550002", "cm-ember", premium=True)
        self.channel = world.channels.create(self.uploader.id, "CM_C000001")
        world.channels.set_admin(self.channel, self.uploader.id, self.bot.id, AdminRights(post_messages=True))
        self._changed = asyncio.Event()
        world.feeds.subscribe(self.user.id, lambda _: self._changed.set())

    def upload(self, caption: str, *, video: bool = True) -> Message:
        """A worker's account posts a file into the storage channel."""
        trait = VideoTrait(61.5, 1920, 1080, supports_streaming=True) if video else None
        name, mime_type = ("film.mp4", "video/mp4") if video else ("film.mkv", "video/x-matroska")
        document = self.world.documents.store(caption.encode() * 100, name, mime_type, trait)
        return self.world.messages.post(
            self.channel, self.uploader.id, Content(caption, document_id=document.id)
        ).message

    def say(self, text: str) -> None:
        self.world.messages.send(self.user.id, self.bot.id, Content(text))

    async def press(self, message: Message, label: str) -> PressAnswer:
        assert isinstance(message.content.markup, InlineKeyboard)
        data = [b.data for row in message.content.markup.rows for b in row if label in b.text]
        return await self.world.presses.press(self.user.id, message, data[0] or b"")

    def from_bot(self) -> list[Message]:
        """What the bot wrote to the user, oldest first."""
        messages = self.world.messages.in_dialog(self.user.id, self.bot.id)
        return [m for m in reversed(messages) if m.sender_id == self.bot.id]

    async def received(self, count: int) -> list[Message]:
        """The first `count` messages from the bot, once they are there."""
        return await self.seen(lambda messages: messages if len(messages) >= count else None)

    async def seen(self, look: Callable[[list[Message]], list[Message] | None]) -> list[Message]:
        async with asyncio.timeout(PATIENCE_S):
            while (found := look(self.from_bot())) is None:
                self._changed.clear()
                await self._changed.wait()
        return found

    def document(self, message: Message) -> Document:
        document = self.world.documents.find(message.content.document_id or 0)
        assert document is not None
        return document


@asynccontextmanager
async def emulated() -> AsyncIterator[Telegram]:
    """A Telegram that listens."""
    clock, faults, world = SystemClock(), Faults(), World.open()
    half = HttpHalf(world, faults, clock, NoConnections(), Cm(CmCredentials(), faults, clock), SourceHost(None, clock))
    await half.start("127.0.0.1", 0)
    yield Telegram(world, faults, half.url)
    await half.stop()


@asynccontextmanager
async def running(bot: TelecineBot) -> AsyncIterator[TelecineBot]:
    task = asyncio.create_task(bot.run())
    try:
        yield bot
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await bot.stop()


@contextmanager
def logged(words: str) -> Iterator[asyncio.Event]:
    """An event that is set when a log record holds these words."""
    event = asyncio.Event()

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if words in record.getMessage():
                event.set()

    ear, logger = Ear(), logging.getLogger("telecine.bot")
    level = logger.level
    logger.addHandler(ear)
    logger.setLevel(logging.INFO)
    yield event
    logger.removeHandler(ear)
    logger.setLevel(level)
