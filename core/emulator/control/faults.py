"""Control of what goes wrong: planned faults, slow lines, bot limits, broken links."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web

from telecine.core.emulator.control import messages
from telecine.core.emulator.control.http import json_response, read_body
from telecine.core.emulator.faults import Faults, PlannedFault
from telecine.core.emulator.sources.host import SourceHost


class FaultControl:
    """Changes the fault plan and the faults of the source host from outside."""

    def __init__(self, faults: Faults, sources: SourceHost) -> None:
        self._faults = faults
        self._sources = sources

    def routes(self) -> list[web.RouteDef]:
        """What the HTTP application has to route here."""
        return [
            web.get("/faults", self._get_faults),
            web.post("/faults", self._plan_faults),
            web.delete("/faults", self._clear_faults),
            web.get("/lines", self._get_lines),
            web.put("/lines", self._set_line),
            web.get("/bot-limits", self._get_bot_limits),
            web.put("/bot-limits", self._set_bot_limits),
            web.get("/sources/faults", self._get_source_faults),
            web.put("/sources/faults", self._set_source_faults),
            web.delete("/sources/faults", self._clear_source_faults),
        ]

    async def _get_faults(self, request: web.Request) -> web.Response:
        return json_response(self._faults.planned())

    async def _plan_faults(self, request: web.Request) -> web.Response:
        faults = await read_body(request, list[PlannedFault])
        for fault in faults:
            self._faults.plan(fault)
        return json_response(messages.Amount(count=len(faults)), HTTPStatus.CREATED)

    async def _clear_faults(self, request: web.Request) -> web.Response:
        self._faults.clear()
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def _get_lines(self, request: web.Request) -> web.Response:
        lines = self._faults.lines().items()
        return json_response([messages.AccountLine(account=account, line=line) for account, line in lines])

    async def _set_line(self, request: web.Request) -> web.Response:
        change = await read_body(request, messages.AccountLine)
        self._faults.set_line(change.account, change.line)
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def _get_bot_limits(self, request: web.Request) -> web.Response:
        return json_response(messages.BotLimitsSwitch(limits=self._faults.bot_limits))

    async def _set_bot_limits(self, request: web.Request) -> web.Response:
        self._faults.bot_limits = (await read_body(request, messages.BotLimitsSwitch)).limits
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def _get_source_faults(self, request: web.Request) -> web.Response:
        return json_response(self._sources.faults())

    async def _set_source_faults(self, request: web.Request) -> web.Response:
        for change in await read_body(request, list[messages.SourceFaults]):
            self._sources.set_faults(change.path, change.faults)
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def _clear_source_faults(self, request: web.Request) -> web.Response:
        self._sources.clear_faults()
        return web.Response(status=HTTPStatus.NO_CONTENT)
