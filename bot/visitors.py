"""Who has spoken to the bot."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

from aiogram import BaseMiddleware
from aiogram.types import TelegramObject, User

from telecine.core.clock import Clock
from telecine.core.delivery import Shelf
from telecine.core.errors import StoreError

logger = logging.getLogger(__name__)

NOTED_FOR_S = 3600.0  # a user who goes on talking is written down once an hour
NOTED_MAX = 10_000


class Visitors(BaseMiddleware):
    """Notes every user before anything else is done for them; one who cannot be noted is served all the same."""

    def __init__(self, shelf: Shelf, clock: Clock) -> None:
        self._shelf = shelf
        self._clock = clock
        self._noted_at_s: OrderedDict[tuple[int, str | None], float] = OrderedDict()

    async def __call__(
        self,
        handler: Callable[[TelegramObject, dict[str, Any]], Awaitable[Any]],
        event: TelegramObject,
        data: dict[str, Any],
    ) -> Any:
        user = data.get("event_from_user")
        if isinstance(user, User):
            await self._note(user)
        return await handler(event, data)

    async def _note(self, user: User) -> None:
        now, key = self._clock.monotonic_s(), (user.id, user.language_code)
        noted_at = self._noted_at_s.get(key)
        if noted_at is not None and now - noted_at < NOTED_FOR_S:
            return
        try:
            await self._shelf.note_user(user.id, user.language_code)
        except StoreError as error:
            logger.warning("a user could not be noted: %s", error)
            return
        self._noted_at_s[key] = now
        self._noted_at_s.move_to_end(key)
        if len(self._noted_at_s) > NOTED_MAX:
            self._noted_at_s.popitem(last=False)
