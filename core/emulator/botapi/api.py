"""The Bot API over HTTP: `/bot{token}/{method}` and `/file/bot{token}/{path}`."""

from __future__ import annotations

import logging
import re
from typing import Any

import msgspec
from aiohttp import hdrs, web

from telecine.core.clock import Clock
from telecine.core.emulator.botapi import chats, copying, editing, sending, updates
from telecine.core.emulator.botapi.errors import BotApiError, too_many_requests, translated
from telecine.core.emulator.botapi.parameters import UPLOAD_BYTES_MAX, Arguments, read_arguments
from telecine.core.emulator.botapi.polling import Polls
from telecine.core.emulator.botapi.rates import SendRates
from telecine.core.emulator.botapi.registry import Call, Methods
from telecine.core.emulator.botapi.webhooks import Webhooks
from telecine.core.emulator.faults import Faults
from telecine.core.emulator.telegram.entities import Bot
from telecine.core.emulator.telegram.refusals import RefusalError
from telecine.core.emulator.telegram.world import World

logger = logging.getLogger(__name__)

METHOD_CHARS_LOGGED_MAX = 64
REQUEST_BYTES_MAX = UPLOAD_BYTES_MAX + 1024 * 1024
_TOKEN = re.compile(r"\d+:[A-Za-z0-9_-]+")


class BotApi:
    """The HTTP side of all bots of one world."""

    def __init__(self, world: World, faults: Faults, clock: Clock) -> None:
        self._world = world
        self._faults = faults
        self._clock = clock
        self._rates = SendRates(faults, clock)
        self._polls = Polls(world)
        self._webhooks = Webhooks(world, clock)
        self._webhooks.reply = self._reply
        self._methods = Methods()
        for subject in (updates, sending, copying, editing, chats):
            self._methods.include(subject.METHODS)

    def routes(self) -> list[web.RouteDef]:
        """What the HTTP application has to route here."""
        return [
            web.route("*", "/bot{token}/{method:.*}", self._serve),
            web.get("/file/bot{token}/{path:.+}", self._serve_file),
        ]

    def start(self) -> None:
        """Begin to deliver to webhooks of an earlier run."""
        self._webhooks.start()

    async def stop(self) -> None:
        """End long polls and deliveries."""
        for bot in self._world.directory.bots():
            self._polls.end(bot, "server is shutting down")
        await self._webhooks.stop()

    async def _serve(self, request: web.Request) -> web.Response:
        try:
            bot = self._bot(request)
            name = self._name(request.match_info["method"])
            arguments = await read_arguments(request)
            await self._meet_faults(bot, name)
            result = await self._run(bot, name, arguments)
        except BotApiError as error:
            return _refused(error)
        except web.HTTPRequestEntityTooLarge:
            return _refused(BotApiError(413))
        if self._faults.take_bot_lost_reply(name, bot.username) and request.transport:
            request.transport.abort()
        return _json({"ok": True, "result": result})

    async def _serve_file(self, request: web.Request) -> web.Response:
        try:
            call = self._call(self._bot(request), {})
            document = chats.downloadable(call, request.match_info["path"])
        except BotApiError as error:
            return _refused(error)
        body = self._world.documents.read(document)
        return web.Response(body=body, content_type="application/octet-stream")

    def _bot(self, request: web.Request) -> Bot:
        token = request.match_info["token"]
        if not _TOKEN.fullmatch(token):
            raise BotApiError(404)
        bot = self._world.directory.bot_by_token(token)
        if bot is None:
            raise BotApiError(401)
        return bot

    def _name(self, name: str) -> str:
        spelled = self._methods.names.get(name.lower())
        if spelled is None:
            logger.info("the Bot API's %s is not emulated", name[:METHOD_CHARS_LOGGED_MAX])
            raise BotApiError(404)
        return spelled

    async def _meet_faults(self, bot: Bot, name: str) -> None:
        latency_s = self._faults.latency_s(bot.username)
        if latency_s:
            await self._clock.sleep(latency_s)
        seconds = self._faults.take_bot_flood(name, bot.username)
        if seconds is not None:
            raise too_many_requests(seconds)
        if failure := self._faults.take_bot_error(name, bot.username):
            raise PlannedError(failure.status, failure.description)

    async def _run(self, bot: Bot, name: str, arguments: Arguments) -> object:
        run = self._methods.get(name)
        if run is None:
            raise BotApiError(404)
        self._world.stats.requests[f"bot.{name}"] += 1
        self._world.noticed()
        try:
            return await run(self._call(bot, arguments.uploads), arguments)
        except RefusalError as refusal:
            raise translated(refusal) from refusal

    async def _reply(self, bot: Bot, name: str, values: dict[str, Any]) -> None:
        """Carry out the method in an answer to a webhook; as on the real server, nobody learns what became of it."""
        try:
            await self._run(bot, self._name(name), Arguments(values, {}))
        except BotApiError as error:
            self._world.stats.events[f"webhook reply refused: {error.description}"] += 1
            self._world.noticed()

    def _call(self, bot: Bot, uploads: Any) -> Call:
        return Call(bot, self._world, self._rates, self._polls, self._webhooks, uploads)


class PlannedError(BotApiError):
    """A refusal whose description was planned word by word."""

    def __init__(self, status: int, description: str) -> None:
        super().__init__(status)
        self.description = description


def _refused(error: BotApiError) -> web.Response:
    body: dict[str, object] = {"ok": False, "error_code": error.status, "description": error.description}
    if error.retry_after_s is not None:
        body["parameters"] = {"retry_after": error.retry_after_s}
    response = _json(body, error.status)
    if error.retry_after_s is not None:
        response.headers[hdrs.RETRY_AFTER] = str(error.retry_after_s)
    return response


def _json(body: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")
