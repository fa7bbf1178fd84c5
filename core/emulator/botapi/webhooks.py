"""Webhooks: updates delivered by POST, one after the other, until the bot's server says that it has them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import aiohttp
import msgspec

from telecine.core.clock import Clock
from telecine.core.emulator.botapi.faces import Faces, Json
from telecine.core.emulator.botapi.parameters import structured
from telecine.core.emulator.telegram.entities import Bot, BotUpdate
from telecine.core.emulator.telegram.world import World

logger = logging.getLogger(__name__)

SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 - the name of a header
REPLY_TIMEOUT_S = 60.0
RETRY_FIRST_S = 1.0
RETRY_MAX_S = 60.0

Reply = Callable[[Bot, str, dict[str, Any]], Awaitable[None]]
"""Carries out the method that a bot names in its answer to an update."""


class FailedDelivery(msgspec.Struct, frozen=True):
    """Why the last delivery failed."""

    date_s: int
    message: str


class Webhooks:
    """Delivers the updates of all bots that have a webhook."""

    def __init__(self, world: World, clock: Clock) -> None:
        self._world = world
        self._clock = clock
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._session: aiohttp.ClientSession | None = None
        self.reply: Reply | None = None
        self.errors: dict[int, FailedDelivery] = {}

    def start(self) -> None:
        """Resume delivery for bots whose webhook was set in an earlier run."""
        for bot in self._world.directory.bots():
            if bot.webhook_url:
                self.restart(bot)

    def restart(self, bot: Bot) -> None:
        """Deliver to the bot's present address, or to none."""
        task = self._tasks.pop(bot.id, None)
        if task is not None:
            task.cancel()
        self.errors.pop(bot.id, None)
        if bot.webhook_url:
            self._tasks[bot.id] = asyncio.create_task(self._deliver_all(bot, bot.webhook_url))

    async def stop(self) -> None:
        """Stop delivering; what was not delivered stays queued."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._session is not None:
            await self._session.close()

    async def _deliver_all(self, bot: Bot, url: str) -> None:
        pause_s = RETRY_FIRST_S
        while True:
            pending = self._world.feeds.pending(bot, 1)
            if not pending:
                await self._world.feeds.arrival(bot.id).wait()
            elif await self._deliver(bot, url, pending[0]):
                self._world.feeds.confirm(bot, pending[0].id + 1)
                pause_s = RETRY_FIRST_S
            else:
                await self._clock.sleep(pause_s)
                pause_s = min(pause_s * 2, RETRY_MAX_S)

    async def _deliver(self, bot: Bot, url: str, update: BotUpdate) -> bool:
        headers = {SECRET_HEADER: bot.webhook_secret} if bot.webhook_secret else {}
        body = Faces(self._world, bot).update(update)
        try:
            async with self._client().post(url, json=body, headers=headers) as response:
                if not HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
                    self._fail(bot, f"Wrong response from the webhook: {response.status} {response.reason}")
                    return False
                await self._carry_out(bot, response)
        except (aiohttp.ClientError, TimeoutError) as error:
            self._fail(bot, str(error) or type(error).__name__)
            return False
        self.errors.pop(bot.id, None)
        return True

    async def _carry_out(self, bot: Bot, response: aiohttp.ClientResponse) -> None:
        values = await _answer(response)
        method = values.pop("method", None)
        if isinstance(method, str) and self.reply is not None:
            await self.reply(bot, method, structured(values))

    def _fail(self, bot: Bot, message: str) -> None:
        logger.warning("webhook of @%s: %s", bot.username, message)
        self._world.stats.events["webhook failed"] += 1
        self._world.noticed()
        self.errors[bot.id] = FailedDelivery(self._clock.now_ms() // 1000, message)

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=REPLY_TIMEOUT_S))
        return self._session


def secret_is_allowed(secret: str) -> bool:
    """Whether a secret token is made of what Telegram allows."""
    return all(sign.isascii() and (sign.isalnum() or sign in "_-") for sign in secret) and len(secret) <= 256


async def _answer(response: aiohttp.ClientResponse) -> Json:
    """The method call in a bot's answer, if it is one: JSON, or a form as aiogram sends it."""
    try:
        if response.content_type == "application/json":
            return msgspec.json.decode(await response.read(), type=Json)
        if response.content_type == "multipart/form-data":
            return await _form(aiohttp.MultipartReader(response.headers, response.content))
    except (msgspec.DecodeError, ValueError):
        logger.debug("the answer of a webhook is no call")  # it need not be one
    return {}


async def _form(reader: aiohttp.MultipartReader) -> Json:
    """The fields of a form that are no files."""
    values: Json = {}
    while (part := await reader.next()) is not None:
        if isinstance(part, aiohttp.BodyPartReader) and part.name and not part.filename:
            values[part.name] = await part.text()
    return values
