"""Starting, polling through trouble, stopping; and the token, which nobody may see."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

import pytest
from aiogram.exceptions import TelegramNetworkError
from aiogram.methods import (
    DeleteWebhook,
    GetMe,
    GetUpdates,
    SendMessage,
    SendVideo,
    SetMyCommands,
)
from aiohttp import web
from aiohttp.test_utils import TestServer
from tests.bot.conftest import (
    BOT_ID,
    FILM,
    PATIENCE_S,
    TOKEN,
    MemoryCatalogue,
    MemoryShelf,
    RecordingSession,
    Talk,
    stored,
    target,
)
from tests.clocks import JumpingClock

from telecine.bot import words
from telecine.bot.lanes import LANE_LENGTH_MAX
from telecine.bot.polling import ALLOWED_UPDATES, BACKOFF_S
from telecine.bot.service import TelecineBot
from telecine.core.clock import SystemClock
from telecine.core.config import BotSettings, TelegramSettings
from telecine.core.errors import ConfigError, UnavailableError


def bot_at(url: str, token: str = TOKEN) -> TelecineBot:
    """A bot on real HTTP."""
    shelf = MemoryShelf()
    telegram = TelegramSettings(api_id=1, api_hash="0" * 32, bot_token=token, bot_api_url=url)
    return TelecineBot(
        telegram, BotSettings(), catalogue=MemoryCatalogue(), shelf=shelf, requeue=shelf, clock=SystemClock()
    )


async def test_start_learns_the_name_and_sets_the_commands(bot: TelecineBot, session: RecordingSession) -> None:
    assert (bot.bot_id, bot.username) == (BOT_ID, None)
    await bot.start()
    assert bot.username == "telecine_bot"
    commands = next(r for r in session.requests if isinstance(r, SetMyCommands))
    assert {c.command for c in commands.commands} == {"start", "browse", "help"}
    webhook = next(r for r in session.requests if isinstance(r, DeleteWebhook))
    assert webhook.drop_pending_updates is False
    await bot.stop()
    assert session.closed


async def test_polling_asks_for_channel_posts_and_drops_nothing(talk: Talk) -> None:
    first = await talk.next(GetUpdates)
    assert first.allowed_updates == ALLOWED_UPDATES
    assert {"channel_post", "edited_channel_post"} <= set(ALLOWED_UPDATES)
    assert first.offset is None


@pytest.mark.parametrize(("status", "text"), [(401, "Unauthorized"), (404, "Not Found")])
async def test_a_token_that_telegram_does_not_know_ends_the_bot(
    bot: TelecineBot, session: RecordingSession, status: int, text: str
) -> None:
    session.refuse(GetMe, status, text)
    with pytest.raises(ConfigError, match="bot_token"):
        await bot.run()
    session.refuse(GetUpdates, status, text)
    with pytest.raises(ConfigError, match="bot_token"):
        await bot.run()


@pytest.mark.parametrize("token", [None, "", "no token", "12:34 56"])
def test_a_token_that_is_none_is_refused_without_being_repeated(token: str | None) -> None:
    with pytest.raises(ConfigError, match="bot_token") as raised:
        bot_at("http://127.0.0.1:1", token)  # type: ignore[arg-type]
    assert not token or token not in str(raised.value)


async def test_start_raises_and_run_waits_where_telegram_is_away(
    bot: TelecineBot, session: RecordingSession, clock: JumpingClock
) -> None:
    away = TelegramNetworkError(GetMe(), "Cannot connect")
    session.fail(GetMe, away)
    with pytest.raises(UnavailableError):
        await bot.start()
    for _ in range(2):
        session.fail(GetMe, away)
    running = asyncio.create_task(bot.run())
    async with asyncio.timeout(PATIENCE_S), session.changed:
        await session.changed.wait_for(lambda: any(isinstance(r, GetUpdates) for r in session.requests))
    assert clock.slept_s == list(BACKOFF_S[:2])
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_a_start_waits_as_long_as_telegram_asks(
    bot: TelecineBot, session: RecordingSession, clock: JumpingClock
) -> None:
    session.refuse(GetMe, 429, "Too Many Requests: retry after 900", retry_after=900)
    running = asyncio.create_task(bot.run())
    async with asyncio.timeout(PATIENCE_S), session.changed:
        await session.changed.wait_for(lambda: any(isinstance(r, GetUpdates) for r in session.requests))
    assert clock.slept_s == [900]
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_polling_rides_out_outages_conflicts_and_waits(
    bot: TelecineBot, session: RecordingSession, shelf: MemoryShelf, clock: JumpingClock
) -> None:
    session.fail(GetUpdates, TelegramNetworkError(GetUpdates(), "ServerDisconnectedError"))
    session.refuse(GetUpdates, 502, "Bad Gateway")
    session.refuse(GetUpdates, 409, "Conflict: terminated by other getUpdates request")
    session.refuse(GetUpdates, 429, "Too Many Requests: retry after 60", retry_after=60)
    running = asyncio.create_task(bot.run())
    talk = Talk(bot, session, shelf, clock)
    await talk.say("/start")
    assert await talk.reply() == words.WELCOME
    assert clock.slept_s == [*BACKOFF_S[:3], 60]
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_stopping_finishes_what_is_under_way_and_confirms_it(
    bot: TelecineBot, session: RecordingSession, shelf: MemoryShelf, clock: JumpingClock
) -> None:
    shelf.targets[FILM] = target(FILM, 11)
    shelf.files[BOT_ID, 777, 11] = stored(11)
    running = asyncio.create_task(bot.run())
    talk = Talk(bot, session, shelf, clock)
    for _ in range(3):
        await talk.say(FILM)
    await talk.next(SendVideo)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert len(shelf.deliveries) == 3
    last = [r for r in session.requests if isinstance(r, GetUpdates)][-1]
    assert (last.offset, last.timeout) == (4, 0)


async def test_one_users_flood_is_bounded_and_leaves_others_alone(talk: Talk) -> None:
    held = asyncio.Event()
    note_user = talk.shelf.note_user

    async def hold(user_id: int, language: str | None) -> None:
        if user_id == 99:
            await held.wait()
        await note_user(user_id, language)

    talk.shelf.note_user = hold  # type: ignore[method-assign]
    for _ in range(LANE_LENGTH_MAX + 10):
        await talk.say("/help")
    await talk.say("/start", user_id=100)
    assert await talk.reply() == words.WELCOME
    held.set()
    for _ in range(LANE_LENGTH_MAX):
        assert await talk.reply() == words.HELP
    await talk.nothing_more_of()
    assert sum(isinstance(r, SendMessage) and r.chat_id == 99 for r in talk.session.requests) == LANE_LENGTH_MAX + 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (502, "<h1>Passerelle défectueuse</h1>".encode("latin-1")),
        (502, b"<h1>Bad Gateway</h1>"),
        (200, b""),
        (200, b"[]"),
        (200, b'{"ok": true}'),
    ],
)
async def test_an_answer_in_no_form_of_telegrams_is_an_outage(status: int, body: bytes) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body, content_type="text/html")

    app = web.Application()
    app.router.add_post("/{anything:.*}", answer)
    async with TestServer(app) as server:
        bot = bot_at(str(server.make_url("")))
        with pytest.raises(UnavailableError):
            await bot.start()
        await bot.stop()


async def test_the_token_is_in_no_error_and_no_log(unused_tcp_port: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for url in (f"http://127.0.0.1:{unused_tcp_port}", "http://[", "nonsense://x", "no url"):
        bot = bot_at(url)
        with pytest.raises(UnavailableError) as raised:
            await bot.start()
        logging.getLogger(__name__).error("failed", exc_info=raised.value)
        await bot.stop()
    secret = TOKEN.split(":")[1]
    assert "127.0.0.1" in caplog.text
    assert secret not in caplog.text


async def test_an_update_in_an_unknown_form_holds_nobody_up(
    talk: Talk, session: RecordingSession, caplog: pytest.LogCaptureFixture
) -> None:
    async with session.changed:  # so that all three come in one answer
        session.pending += [
            _started(1),
            {"update_id": 2, "message": "of a kind that is newer than we are"},
            _started(3),
        ]
        session.changed.notify_all()
    assert await talk.reply() == words.WELCOME
    assert await talk.reply() == words.WELCOME
    assert [r.message for r in caplog.records if "passed over" in r.message] == [
        "update 2 is passed over: it is in no form known here"
    ]


def _started(update_id: int) -> dict[str, object]:
    user = {"id": 99, "is_bot": False, "first_name": "U"}
    chat = {"id": 99, "type": "private", "first_name": "U"}
    return {
        "update_id": update_id,
        "message": {"message_id": update_id, "date": 1, "chat": chat, "from": user, "text": "/start"},
    }
