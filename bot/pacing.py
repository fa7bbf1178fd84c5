"""How fast messages go out, and what happens when Telegram says wait.

Telegram lets a bot send about one message a second to a chat and thirty a second overall; an album counts as its
items. Both are kept by spacing, so that a burst never earns a wait that would hold everybody up.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from aiogram import Bot
from aiogram.client.session.middlewares.base import BaseRequestMiddleware, NextRequestMiddlewareType
from aiogram.exceptions import TelegramBadRequest, TelegramForbiddenError, TelegramRetryAfter
from aiogram.methods import (
    CopyMessage,
    EditMessageText,
    Response,
    SendDocument,
    SendMediaGroup,
    SendMessage,
    SendVideo,
    TelegramMethod,
)
from aiogram.methods.base import TelegramType

from telecine.core.clock import Clock
from telecine.core.errors import FloodWaitError

CHAT_SPACING_S = 1.0
OVERALL_SPACING_S = 1 / 30
RETRY_AFTER_MAX_S = 30.0  # longer waits are told to the user instead
ATTEMPTS_MAX = 3
CHATS_REMEMBERED_MAX = 10_000

logger = logging.getLogger(__name__)


class Pace:
    """When the next message may go out: to a chat, and at all."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._overall = asyncio.Lock()  # first come, first served
        self._overall_free_at_s = 0.0
        self._chat_free_at_s: dict[int | str, float] = {}

    async def turn(self, chat_id: int | str | None, messages: int) -> None:
        """Wait until `messages` more may be sent to the chat (None: the pace of no chat matters)."""
        while messages:
            await self._sleep_until(self._chat_is_free_at_s(chat_id))  # holds up nobody else
            async with self._overall:
                await self._sleep_until(self._overall_free_at_s)
                if self._chat_is_free_at_s(chat_id) <= self._clock.monotonic_s():
                    self._book(chat_id, messages)
                    return

    def answered(self, chat_id: int | str | None, messages: int) -> None:
        """Count anew what a turn was taken for: `messages` were sent, 0 where Telegram refused.

        A chat's next turn is reckoned from here, because Telegram saw the messages some time before its answer came,
        but nobody knows when.
        """
        if chat_id is not None:
            self._chat_free_at_s[chat_id] = self._clock.monotonic_s() + messages * CHAT_SPACING_S

    def _chat_is_free_at_s(self, chat_id: int | str | None) -> float:
        return 0.0 if chat_id is None else self._chat_free_at_s.get(chat_id, 0.0)

    def _book(self, chat_id: int | str | None, messages: int) -> None:
        now = self._clock.monotonic_s()
        self._overall_free_at_s = now + messages * OVERALL_SPACING_S
        if chat_id is None:
            return
        if len(self._chat_free_at_s) >= CHATS_REMEMBERED_MAX:
            self._chat_free_at_s = {chat: free for chat, free in self._chat_free_at_s.items() if free > now}
        self._chat_free_at_s[chat_id] = now + messages * CHAT_SPACING_S

    async def _sleep_until(self, at_s: float) -> None:
        wait_s = at_s - self._clock.monotonic_s()
        if wait_s > 0:
            await self._clock.sleep(wait_s)


class Pacing(BaseRequestMiddleware):
    """Keeps the pace of everything that the bot sends, and sits through short waits that Telegram asks for."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pace = Pace(clock)

    async def __call__(
        self,
        make_request: NextRequestMiddlewareType[TelegramType],
        bot: Bot,
        method: TelegramMethod[TelegramType],
    ) -> Response[TelegramType]:
        """Raises FloodWaitError for a wait over `RETRY_AFTER_MAX_S`, or one that is asked for again and again."""
        attempts = 0
        while True:
            attempts += 1
            try:
                return await self._request(make_request, bot, method)
            except TelegramRetryAfter as error:
                wait_s, name = error.retry_after, method.__api_method__
                if wait_s > RETRY_AFTER_MAX_S or attempts == ATTEMPTS_MAX:
                    raise FloodWaitError(wait_s, name) from error
            logger.warning("Telegram asks to wait %d s before %s", wait_s, name)
            await self._clock.sleep(wait_s)

    async def _request(
        self,
        make_request: NextRequestMiddlewareType[TelegramType],
        bot: Bot,
        method: TelegramMethod[TelegramType],
    ) -> Response[TelegramType]:
        chat_id, messages = _load(method)
        await self._pace.turn(chat_id, messages)
        try:
            return await make_request(bot, method)
        except (TelegramBadRequest, TelegramForbiddenError):
            messages = 0
            raise
        finally:
            self._pace.answered(chat_id, messages)


def _load(method: TelegramMethod[Any]) -> tuple[int | str | None, int]:
    """The chat whose pace a request has to keep, and the messages that it counts for."""
    if isinstance(method, SendMediaGroup):
        return method.chat_id, len(method.media)
    if isinstance(method, SendMessage | SendVideo | SendDocument | CopyMessage):
        return method.chat_id, 1
    return None, int(isinstance(method, EditMessageText))
