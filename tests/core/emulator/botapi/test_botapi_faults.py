from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from aiogram import Bot
from aiogram.exceptions import (
    TelegramNetworkError,
    TelegramNotFound,
    TelegramRetryAfter,
    TelegramServerError,
    TelegramUnauthorizedError,
)

from telecine.core.emulator.faults import BotFailure, BotFlood, BotLimits, BotLostReply

if TYPE_CHECKING:
    from tests.core.emulator.botapi.conftest import Telegram


async def test_planned_flood_says_how_long_to_wait(telegram: Telegram, bot: Bot) -> None:
    telegram.say("/start")
    telegram.faults.plan(BotFlood(method="sendMessage", seconds=7))
    with pytest.raises(TelegramRetryAfter) as caught:
        await bot.send_message(telegram.user.id, "one")
    assert caught.value.retry_after == 7
    assert "Too Many Requests: retry after 7" in caught.value.message
    await bot.send_message(telegram.user.id, "two")
    assert [message.content.text for message in telegram.inbox()] == ["/start", "two"]


async def test_planned_error_comes_as_planned(telegram: Telegram, bot: Bot) -> None:
    telegram.faults.plan(BotFailure(status=502, description="Bad Gateway"))
    with pytest.raises(TelegramServerError, match="Bad Gateway"):
        await bot.get_me()


async def test_lost_reply_leaves_the_message_sent(telegram: Telegram, bot: Bot) -> None:
    telegram.say("/start")
    telegram.faults.plan(BotLostReply(method="sendMessage"))
    with pytest.raises(TelegramNetworkError):
        await bot.send_message(telegram.user.id, "sent all the same")
    assert telegram.inbox()[-1].content.text == "sent all the same"


async def test_chat_limit_holds_only_when_asked(telegram: Telegram, bot: Bot) -> None:
    telegram.say("/start")
    for n in range(5):
        await bot.send_message(telegram.user.id, f"free {n}")
    telegram.faults.bot_limits = BotLimits()
    await bot.send_message(telegram.user.id, "counted")
    with pytest.raises(TelegramRetryAfter) as caught:
        await bot.send_message(telegram.user.id, "too fast")
    assert caught.value.retry_after == 1
    await bot.send_message(telegram.channel.chat_id, "another chat")


async def test_overall_limit_counts_all_chats(telegram: Telegram, bot: Bot) -> None:
    telegram.say("/start")
    telegram.faults.bot_limits = BotLimits(overall_per_s=3, chat_per_s=None)
    for n in range(3):
        await bot.send_message(telegram.user.id, str(n))
    with pytest.raises(TelegramRetryAfter):
        await bot.send_message(telegram.channel.chat_id, "one too many")


async def test_wrong_token_and_unknown_method_are_told_apart(telegram: Telegram) -> None:
    assert await telegram.raw("getMe", token="700001:wrong") == (
        401,
        {"ok": False, "error_code": 401, "description": "Unauthorized"},
    )
    assert await telegram.raw("getMe", token="nonsense") == (
        404,
        {"ok": False, "error_code": 404, "description": "Not Found"},
    )
    assert (await telegram.raw("launchRocket"))[0] == 404


async def test_unauthorized_and_not_found_reach_the_framework(make_bot: Callable[..., Bot]) -> None:
    with pytest.raises(TelegramUnauthorizedError):
        await make_bot("700001:wrong").get_me()
    with pytest.raises(TelegramNotFound):
        await make_bot("1234:wr!ng").get_me()


@pytest.mark.parametrize(
    "body",
    [
        {"text": "no chat"},
        {"chat_id": [1], "text": "x"},
        {"chat_id": 1, "text": "x", "reply_markup": "not json"},
        {"chat_id": 1, "text": "x", "reply_markup": {"inline_keyboard": "rows"}},
        {"chat_id": 1, "text": "x", "parse_mode": "WordPerfect"},
    ],
)
async def test_bad_parameters_are_bad_requests(telegram: Telegram, body: dict[str, object]) -> None:
    status, answer = await telegram.post("sendMessage", body)
    assert status == 400
    assert str(answer["description"]).startswith("Bad Request: ")


async def test_broken_body_is_a_bad_request(telegram: Telegram) -> None:
    url = f"{telegram.url}/bot{telegram.bot.token}/sendMessage"
    async with telegram.http.post(url, data=b"{broken", headers={"Content-Type": "application/json"}) as response:
        assert response.status == 400
