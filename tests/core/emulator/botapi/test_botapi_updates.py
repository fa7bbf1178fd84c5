from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from aiogram import Bot, Dispatcher, F
from aiogram.exceptions import TelegramBadRequest, TelegramConflictError
from aiogram.filters import CommandStart
from aiogram.methods import SendMessage
from aiogram.types import Message, Update
from aiogram.webhook.aiohttp_server import SimpleRequestHandler
from aiohttp import web

from telecine.core.emulator.botapi import webhooks
from telecine.core.emulator.telegram.entities import AdminRights

if TYPE_CHECKING:
    from tests.core.emulator.botapi.conftest import Telegram


async def test_updates_come_once_confirmed_by_offset(telegram: Telegram, bot: Bot) -> None:
    for text in ("one", "two", "three"):
        telegram.say(text)
    first = await bot.get_updates(limit=2)
    assert [update.message and update.message.text for update in first] == ["one", "two"]
    assert [update.update_id for update in await bot.get_updates(limit=2)] == [one.update_id for one in first]
    rest = await bot.get_updates(offset=first[-1].update_id + 1)
    assert [update.message and update.message.text for update in rest] == ["three"]
    assert await bot.get_updates(offset=rest[-1].update_id + 1) == []


async def test_long_poll_answers_when_something_comes(telegram: Telegram, bot: Bot) -> None:
    poll = asyncio.create_task(bot.get_updates(timeout=20))
    await telegram.until(lambda: telegram.world.stats.requests["bot.getUpdates"])
    telegram.say("/start now")
    updates = await asyncio.wait_for(poll, 5)
    message = updates[0].message
    assert message is not None
    assert (message.text, message.chat.id) == ("/start now", telegram.user.id)
    assert message.entities is not None
    assert (message.entities[0].type, message.entities[0].length) == ("bot_command", 6)


async def test_channel_post_carries_a_file_id_of_each_bot(telegram: Telegram, bot: Bot, other_bot: Bot) -> None:
    rights = AdminRights(post_messages=True)
    telegram.world.channels.set_admin(telegram.channel, telegram.uploader.id, telegram.other_bot.id, rights)
    telegram.upload("CM_M000001_1080P")
    posts = [(await one.get_updates(allowed_updates=[]))[-1].channel_post for one in (bot, other_bot)]
    videos = [post.video for post in posts if post]
    assert all(videos)
    assert posts[0] is not None
    assert (posts[0].caption, posts[0].chat.id) == ("CM_M000001_1080P", telegram.channel.chat_id)
    ids = {video.file_id for video in videos if video}
    unique_ids = {video.file_unique_id for video in videos if video}
    assert (len(ids), len(unique_ids)) == (2, 1)


async def test_bot_learns_that_it_became_an_administrator(telegram: Telegram, other_bot: Bot) -> None:
    telegram.world.channels.set_admin(
        telegram.channel, telegram.uploader.id, telegram.other_bot.id, AdminRights(post_messages=True)
    )
    change = (await other_bot.get_updates())[-1].my_chat_member
    assert change is not None
    assert (change.old_chat_member.status, change.new_chat_member.status) == ("left", "administrator")


async def test_kinds_not_asked_for_are_not_queued(telegram: Telegram, bot: Bot) -> None:
    await bot.get_updates(allowed_updates=["message"])
    telegram.upload()
    telegram.say("hello")
    assert [update.event_type for update in await bot.get_updates()] == ["message"]


async def test_second_poller_ends_the_first(telegram: Telegram, bot: Bot) -> None:
    first = asyncio.create_task(bot.get_updates(timeout=20))
    await telegram.until(lambda: telegram.world.stats.requests["bot.getUpdates"])
    assert await bot.get_updates() == []
    with pytest.raises(TelegramConflictError, match="terminated by other getUpdates request"):
        await first


async def test_dispatcher_polls_and_answers(telegram: Telegram, bot: Bot) -> None:
    dispatcher = Dispatcher()

    @dispatcher.message(CommandStart())
    async def start(message: Message) -> None:
        await message.answer("Welcome")
        await dispatcher.stop_polling()

    telegram.say("/start")
    await asyncio.wait_for(dispatcher.start_polling(bot, handle_signals=False, polling_timeout=1), 10)
    assert telegram.inbox()[-1].content.text == "Welcome"


# -- webhooks


@asynccontextmanager
async def server_of(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    finally:
        await runner.cleanup()


async def test_webhook_reaches_an_unmodified_dispatcher(telegram: Telegram, bot: Bot) -> None:
    dispatcher, app = Dispatcher(), web.Application()

    @dispatcher.message(F.text)
    async def echo(message: Message) -> None:
        await message.answer(f"got {message.text}")

    SimpleRequestHandler(dispatcher, bot, secret_token="s3cret").register(app, "/hook")
    async with server_of(app) as url:
        telegram.say("waiting")
        await bot.set_webhook(url, secret_token="s3cret")
        telegram.say("live")
        await telegram.until(lambda: len(telegram.inbox()) == 4)
        info = await bot.get_webhook_info()
        assert (info.url, info.pending_update_count) == (url, 0)
        with pytest.raises(TelegramConflictError, match="can't use getUpdates method while webhook is active"):
            await bot.get_updates()
        await bot.delete_webhook()
    assert await bot.get_updates() == []


async def test_method_in_the_webhooks_answer_is_carried_out(telegram: Telegram, bot: Bot) -> None:
    dispatcher, app = Dispatcher(), web.Application()

    @dispatcher.message(F.text)
    async def echo(message: Message) -> SendMessage:
        return SendMessage(chat_id=message.chat.id, text="by answer")

    SimpleRequestHandler(dispatcher, bot, handle_in_background=False).register(app, "/hook")
    async with server_of(app) as url:
        await bot.set_webhook(url)
        telegram.say("hello")
        await telegram.until(lambda: telegram.inbox()[-1].content.text == "by answer")
        await bot.delete_webhook()


async def test_failing_webhook_is_tried_again_with_the_same_update(
    telegram: Telegram, bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "RETRY_FIRST_S", 0.01)
    seen: list[tuple[int, str | None]] = []

    async def hook(request: web.Request) -> web.Response:
        update = Update.model_validate(await request.json())
        seen.append((update.update_id, request.headers.get("X-Telegram-Bot-Api-Secret-Token")))
        return web.Response(status=500 if len(seen) == 1 else 200)

    app = web.Application()
    app.router.add_post("/hook", hook)
    async with server_of(app) as url:
        await bot.set_webhook(url, secret_token="a_b-C")
        telegram.say("hello")
        await telegram.until(lambda: seen)
        await telegram.until(lambda: telegram.bot.updates == [])
        info = await bot.get_webhook_info()
        await bot.delete_webhook()
    assert seen[0] == seen[1]
    assert seen[0][1] == "a_b-C"
    assert info.last_error_message is None


@pytest.mark.parametrize(
    ("kind", "body"),
    [("multipart/form-data", b"no boundary"), ("application/json", b"{"), ("application/json", b"[]")],
)
async def test_answer_of_a_webhook_that_is_no_call_is_passed_over(
    telegram: Telegram, bot: Bot, kind: str, body: bytes
) -> None:
    async def hook(_request: web.Request) -> web.Response:
        return web.Response(body=body, headers={"Content-Type": kind})

    app = web.Application()
    app.router.add_post("/hook", hook)
    async with server_of(app) as url:
        await bot.set_webhook(url)
        for text in ("one", "two"):
            telegram.say(text)
            await telegram.until(lambda: telegram.bot.updates == [])
        assert (await bot.get_webhook_info()).last_error_message is None
        await bot.delete_webhook()


async def test_webhook_that_is_down_is_reported_and_loses_nothing(telegram: Telegram, bot: Bot) -> None:
    async with server_of(web.Application()) as url:
        pass
    telegram.say("hello")
    await bot.set_webhook(url)
    await telegram.until(lambda: telegram.world.stats.events["webhook failed"])
    info = await bot.get_webhook_info()
    assert info.last_error_message
    assert info.pending_update_count == 1
    await bot.delete_webhook()
    assert len(await bot.get_updates()) == 1


async def test_pending_updates_are_dropped_only_on_demand(telegram: Telegram, bot: Bot) -> None:
    telegram.say("one")
    await bot.delete_webhook()
    assert len(await bot.get_updates()) == 1
    await bot.delete_webhook(drop_pending_updates=True)
    assert await bot.get_updates() == []


async def test_webhook_parameters_are_checked(telegram: Telegram, bot: Bot) -> None:
    with pytest.raises(TelegramBadRequest, match="bad webhook"):
        await bot.set_webhook("ftp://example.com")
    for address in ("http://[bad", "https://"):
        with pytest.raises(TelegramBadRequest, match="invalid webhook URL specified"):
            await bot.set_webhook(address)
    with pytest.raises(TelegramBadRequest, match="secret token contains unallowed characters"):
        await bot.set_webhook("http://127.0.0.1:1/", secret_token="no spaces")
