"""Pressed callback buttons: from the user who waits to the bot and back."""

from __future__ import annotations

import asyncio
import random

import msgspec

from telecine.core.emulator.telegram.entities import Bot, InlineKeyboard, Message, Press, UpdateKind, WorldState
from telecine.core.emulator.telegram.feeds import Feeds, snapshot
from telecine.core.emulator.telegram.limits import TelegramLimits
from telecine.core.emulator.telegram.refusals import RefusalError, bad_request


class PressAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the bot shows to who pressed."""

    text: str | None = None
    alert: bool = False
    url: str | None = None
    cache_time_s: int = 0


class Presses:
    """Presses of one world that wait for their bot. They are not kept over a restart, as Telegram's time out."""

    def __init__(self, state: WorldState, feeds: Feeds, rng: random.Random, limits: TelegramLimits) -> None:
        self._state = state
        self._feeds = feeds
        self._rng = rng
        self._limits = limits
        self._waiting: dict[int, tuple[Press, asyncio.Future[PressAnswer]]] = {}

    async def press(self, user_id: int, message: Message, data: bytes) -> PressAnswer:
        """Press a button and wait for the bot. Refusals: DATA_INVALID, BOT_RESPONSE_TIMEOUT."""
        bot = self._state.bots.get(message.sender_id)
        if bot is None or not _has_button(message, data):
            raise bad_request("DATA_INVALID")
        press = Press(self._rng.getrandbits(62) | 1, bot.id, user_id, snapshot(message), data)
        future: asyncio.Future[PressAnswer] = asyncio.get_running_loop().create_future()
        self._waiting[press.id] = press, future
        self._feeds.push(bot, UpdateKind.CALLBACK_QUERY, press=press)
        try:
            return await asyncio.wait_for(future, self._limits.press_answer_s_max)
        except TimeoutError:
            raise RefusalError(502, "BOT_RESPONSE_TIMEOUT") from None
        finally:
            del self._waiting[press.id]

    def answer(self, bot: Bot, press_id: int, answer: PressAnswer) -> None:
        """Answer once and in time: QUERY_ID_INVALID otherwise."""
        press, future = self._waiting.get(press_id, (None, None))
        if press is None or future is None or press.bot_id != bot.id or future.done():
            raise bad_request("QUERY_ID_INVALID")
        future.set_result(answer)


def _has_button(message: Message, data: bytes) -> bool:
    markup = message.content.markup
    if not isinstance(markup, InlineKeyboard):
        return False
    return any(button.data == data for row in markup.rows for button in row)
