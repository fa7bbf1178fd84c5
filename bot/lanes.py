"""One lane a chat: a user's updates one after the other, different users' at the same time."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from aiogram.types import Update

LANE_LENGTH_MAX = 20  # a user this far ahead of the bot is not heard until it has caught up
LANES_RUNNING_MAX = 256

logger = logging.getLogger(__name__)


class Lanes:
    """Feeds updates to `handle`, which must not raise."""

    def __init__(self, handle: Callable[[Update], Awaitable[None]]) -> None:
        self._handle = handle
        self._waiting: dict[int, deque[Update]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(LANES_RUNNING_MAX)

    def put(self, chat_id: int, update: Update) -> bool:
        """Queue an update behind the chat's others; False where too many wait already and it is dropped."""
        lane = self._waiting.get(chat_id)
        if lane is None:
            self._waiting[chat_id] = deque([update])
            task = asyncio.create_task(self._run(chat_id))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            return True
        if len(lane) >= LANE_LENGTH_MAX:
            logger.warning("dropped update %d: too many wait in one chat", update.update_id)
            return False
        lane.append(update)
        return True

    async def drain(self, grace_s: float) -> None:
        """Wait until every lane is empty, then end what is not after `grace_s`."""
        if not self._running:
            return
        _, late = await asyncio.wait(self._running, timeout=grace_s)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _run(self, chat_id: int) -> None:
        lane = self._waiting[chat_id]
        try:
            while lane:
                async with self._room:
                    await self._handle(lane[0])
                lane.popleft()
        finally:
            del self._waiting[chat_id]
