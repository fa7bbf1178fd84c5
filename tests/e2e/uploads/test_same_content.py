"""Two titles whose links lead to the same film: the account keeps one file, and both are delivered."""

from __future__ import annotations

import asyncio
from pathlib import Path

from aiogram import Bot
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from tests.e2e.uploads.deployment import BOT_TOKEN, Deployment, deployed

from telecine.bot.courier import BotCourier
from telecine.core.delivery import DeliveryDesk, DeliveryOutcome
from telecine.core.emulator.media.vast import vast
from telecine.core.emulator.telegram.entities import Content
from telecine.core.emulator.telegram.keys import ServerKey

FILM_BYTES = 12_000_000


async def test_the_second_title_is_a_copy_of_the_firsts_file_and_both_are_delivered(
    tmp_path: Path, server_key: ServerKey
) -> None:
    async with deployed(tmp_path, server_key, jobs=1, content_hash=True) as deployment:
        film = await asyncio.to_thread(vast, deployment.media / "one.mp4", size_bytes=FILM_BYTES, seconds=16)
        (deployment.media / "same.mp4").hardlink_to(film)
        other = await asyncio.to_thread(vast, deployment.media / "other.mp4", size_bytes=FILM_BYTES + 1, seconds=24)
        codes = [await deployment.plan(name) for name in ("one.mp4", "same.mp4", "other.mp4")]
        for code in codes:
            await deployment.done(code)
        stored = [one for code in codes for one in deployment.uploaded(code)]
        assert [one.code for one in stored] == codes
        assert [deployment.content(one) for one in stored] == [path.read_bytes() for path in (film, film, other)]
        first, second, third = documents = [one.document.id for one in stored]
        assert first == second != third
        assert await delivered(deployment, codes) == documents
        assert deployment.left_behind() == []


async def delivered(deployment: Deployment, codes: list[str]) -> list[int | None]:
    """Have the bot send uploads to a user; which of Telegram's files arrived."""
    world = deployment.emulator.world
    ada = world.add_user("15550009", "ada")
    bot_id = int(BOT_TOKEN.partition(":")[0])
    world.messages.send(ada.id, bot_id, Content("/start"))
    api = TelegramAPIServer.from_base(deployment.emulator.bot_api_url)
    async with Bot(BOT_TOKEN, session=AiohttpSession(api=api)) as bot:
        courier = BotCourier(bot, protect_content=False)
        desk = DeliveryDesk(deployment.store.shelf, deployment.store.operations, courier, bot_id=bot_id)
        for code in codes:
            assert await desk.deliver(await desk.resolve(code), ada.id) is DeliveryOutcome.COPIED
    got = [m.content for m in reversed(world.messages.in_dialog(ada.id, bot_id)) if m.sender_id == bot_id]
    return [content.document_id for content in got]
