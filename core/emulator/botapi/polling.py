"""Long polling: `getUpdates`, one poller a bot."""

from __future__ import annotations

import asyncio
from typing import Any

from telecine.core.emulator.botapi.errors import BotApiError
from telecine.core.emulator.botapi.faces import Faces, Json
from telecine.core.emulator.telegram.entities import Bot
from telecine.core.emulator.telegram.world import World

UPDATES_MAX = 100
TIMEOUT_S_MAX = 50
"""Telegram's server answers sooner than a longer timeout asks."""

TERMINATED = "terminated by other getUpdates request; make sure that only one bot instance is running"
WEBHOOK_ACTIVE = "can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"
WEBHOOK_SET = "terminated by setWebhook request"


class Polls:
    """The long polls under way. A newcomer ends the one before it with 409, as on the real server."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._ends: dict[int, asyncio.Future[str]] = {}

    async def updates(self, bot: Bot, offset: int, limit: int, timeout_s: float) -> list[Json]:
        """The oldest unconfirmed updates, waiting up to `timeout_s` for the first. Raises BotApiError 409."""
        if bot.webhook_url:
            raise BotApiError(409, WEBHOOK_ACTIVE)
        self.end(bot, TERMINATED)
        end: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._ends[bot.id] = end
        try:
            if offset:
                self._world.feeds.confirm(bot, offset)
            await self._wait(bot, end, min(TIMEOUT_S_MAX, timeout_s))
        finally:
            if self._ends.get(bot.id) is end:
                del self._ends[bot.id]
        faces = Faces(self._world, bot)
        count_max = min(max(limit, 1), UPDATES_MAX)
        return [faces.update(update) for update in self._world.feeds.pending(bot, count_max)]

    def end(self, bot: Bot, reason: str) -> None:
        """Answer the poll under way, if any, with 409."""
        end = self._ends.pop(bot.id, None)
        if end is not None and not end.done():
            end.set_result(reason)

    async def _wait(self, bot: Bot, end: asyncio.Future[str], timeout_s: float) -> None:
        if self._world.feeds.pending(bot, 1):
            return
        arrival = asyncio.ensure_future(self._world.feeds.arrival(bot.id).wait())
        try:
            waited: tuple[asyncio.Future[Any], ...] = (arrival, end)
            await asyncio.wait(waited, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            arrival.cancel()
        if end.done():
            raise BotApiError(409, end.result())
