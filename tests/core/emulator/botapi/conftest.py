from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import aiohttp
import pytest
from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer

from telecine.core.clock import SystemClock
from telecine.core.emulator.cm.auth import CmCredentials
from telecine.core.emulator.cm.service import Cm
from telecine.core.emulator.faults import Faults
from telecine.core.emulator.http_half import HttpHalf
from telecine.core.emulator.sources.host import SourceHost
from telecine.core.emulator.telegram import entities
from telecine.core.emulator.telegram.entities import AdminRights, Content, VideoTrait
from telecine.core.emulator.telegram.messages import Sending
from telecine.core.emulator.telegram.world import World

TOKEN = "700001:AAbot"
OTHER_TOKEN = "700002:AAother"


class NoConnections:
    """There is no MTProto half in these tests."""

    def drop_connections(self, account: str | None = None) -> int:
        return 0

    def change_salt(self) -> None:
        pass


class Telegram:
    """A world with a bot, another bot, a user and a storage channel, served over HTTP."""

    def __init__(self, world: World, faults: Faults, url: str, http: aiohttp.ClientSession) -> None:
        self.world, self.faults, self.url, self.http = world, faults, url, http
        self.bot = world.add_bot(TOKEN, "telecine_bot")
        self.other_bot = world.add_bot(OTHER_TOKEN, "other_bot")
        self.user = world.add_user("15550001", "ada", first_name="Ada", username="ada")
        self.uploader = world.add_user("15550002", "cm-ember", premium=True)
        self.channel = world.channels.create(self.uploader.id, "Storage")
        rights = AdminRights(post_messages=True, edit_messages=True, delete_messages=True)
        world.channels.set_admin(self.channel, self.uploader.id, self.bot.id, rights)
        world.feeds.confirm(self.bot, self.bot.next_update_id)

    def say(self, text: str) -> entities.Message:
        """The user writes to the bot."""
        return self.world.messages.send(self.user.id, self.bot.id, Content(text)).message

    def upload(
        self,
        caption: str = "CM_M000001_1080P",
        *,
        video: bool = True,
        content: bytes = b"film" * 100,
        grouped_id: int | None = None,
    ) -> entities.Message:
        """The uploader posts a file into the storage channel."""
        trait = VideoTrait(61.5, 1920, 1080, supports_streaming=True) if video else None
        name, mime_type = ("film.mp4", "video/mp4") if video else ("film.mkv", "video/x-matroska")
        document = self.world.documents.store(content, name, mime_type, trait)
        posted = self.world.messages.post(
            self.channel,
            self.uploader.id,
            Content(caption, document_id=document.id),
            Sending(grouped_id=grouped_id),
        )
        return posted.message

    def inbox(self) -> list[entities.Message]:
        """What lies between the user and the bot, oldest first."""
        return self.world.messages.in_dialog(self.user.id, self.bot.id)[::-1]

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until what the server does has had its effect."""
        async with asyncio.timeout(5):
            await self.world.until(condition)

    async def raw(self, method: str, *, token: str = TOKEN, **body: object) -> tuple[int, dict[str, object]]:
        """A call with a JSON body, by no framework."""
        return await self.post(method, body, token)

    async def post(self, method: str, body: Mapping[str, object], token: str = TOKEN) -> tuple[int, dict[str, object]]:
        """A call with this JSON body."""
        async with self.http.post(f"{self.url}/bot{token}/{method}", json=body) as response:
            return response.status, await response.json()


@pytest.fixture
async def telegram() -> AsyncIterator[Telegram]:
    clock, faults, world = SystemClock(), Faults(), World.open()
    cm = Cm(CmCredentials(), faults, clock)
    half = HttpHalf(world, faults, clock, NoConnections(), cm, SourceHost(None, clock))
    await half.start("127.0.0.1", 0)
    async with aiohttp.ClientSession() as http:
        yield Telegram(world, faults, half.url, http)
    await half.stop()


@pytest.fixture
async def make_bot(telegram: Telegram) -> AsyncIterator[Callable[..., Bot]]:
    bots: list[Bot] = []

    def make(token: str = TOKEN) -> Bot:
        session = AiohttpSession(api=TelegramAPIServer.from_base(telegram.url))
        bots.append(Bot(token, session=session))
        return bots[-1]

    yield make
    for bot in bots:
        # The session's own `close` sleeps a quarter of a second for the sake of TLS.
        client = await bot.session.create_session()  # type: ignore[attr-defined]
        await client.close()


@pytest.fixture
def bot(make_bot: Callable[..., Bot]) -> Bot:
    return make_bot()


@pytest.fixture
def other_bot(make_bot: Callable[..., Bot]) -> Bot:
    return make_bot(OTHER_TOKEN)
