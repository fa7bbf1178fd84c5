"""The control API: everything that a test or a demo changes from outside, below `/_emulator/`, as JSON.

    GET    /state                          addresses, accounts, bots, channels
    GET    /stats                          calls by method, parts, faults taken, requests of sources and CM
    POST   /accounts                       add one: phone, name, premium, password, first_name, username
    PATCH  /accounts/{name}                change premium or password
    GET    /accounts/{phone}/code          the login code sent last
    POST   /bots                           add one: token, username, first_name
    POST   /bots/{username}/block          an account blocks it: account, blocked
    GET    /channels                       all, with the number of their messages
    DELETE /channels/{chat_id}             delete one with its messages
    POST   /channels/{chat_id}/ban         keep an account out of it, the creator too: account, banned
    GET    /channels/{chat_id}/messages    posts, oldest first; ?digest=1 adds the SHA-256 of their files
    GET    /documents/{id}                 the bytes of a file
    POST   /connections/drop               cut MTProto connections: account
    POST   /salt                           make MTProto salts stale
    POST   /parts/expire                   forget the parts of unfinished uploads
    GET    /faults    POST    DELETE       planned faults, a list of those in `faults`
    GET    /lines            PUT           latency and bandwidth: account, line
    GET    /bot-limits       PUT           messages a second of a bot: limits
    GET    /sources/faults   PUT   DELETE  faults of source files: a list of path and faults
    GET    /cm/content       PUT           all that CM holds
    POST   /cm/{table}                     add a row to titles, episodes or links
    PATCH  /cm/{table}/{id}  DELETE        edit or remove one
    POST   /cm/tokens/expire               end CM's tokens: access, refresh

Bodies and answers are those of `control.messages`. A wrong body is refused with 400 and
`{"code", "message", "field"}`, where `field` names the culprit.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from aiohttp import web

from telecine.core.emulator.cm.service import Cm
from telecine.core.emulator.control import messages, views
from telecine.core.emulator.control.cm import CmControl
from telecine.core.emulator.control.faults import FaultControl
from telecine.core.emulator.control.http import answer_errors, json_response
from telecine.core.emulator.control.telegram import Connections, TelegramControl
from telecine.core.emulator.faults import Faults
from telecine.core.emulator.sources.host import SourceHost
from telecine.core.emulator.telegram.world import World

REQUEST_BYTES_MAX = 64 * 1024 * 1024
"""A whole CM content comes in one body."""


class Control:
    """Turns calls from outside into changes of the emulator's parts."""

    def __init__(
        self,
        world: World,
        faults: Faults,
        connections: Connections,
        cm: Cm,
        sources: SourceHost,
        addresses: Callable[[], messages.Addresses],
    ) -> None:
        self._world = world
        self._faults = faults
        self._connections = connections
        self._cm = cm
        self._sources = sources
        self._addresses = addresses

    def application(self) -> web.Application:
        """The HTTP application, to be mounted at `/_emulator`."""
        app = web.Application(middlewares=[answer_errors], client_max_size=REQUEST_BYTES_MAX)
        app.add_routes([web.get("/state", self._get_state), web.get("/stats", self._get_stats)])
        app.add_routes(TelegramControl(self._world, self._connections).routes())
        app.add_routes(FaultControl(self._faults, self._sources).routes())
        app.add_routes(CmControl(self._cm).routes())
        return app

    async def _get_state(self, request: web.Request) -> web.Response:
        return json_response(
            messages.State(
                addresses=self._addresses(),
                accounts=tuple(views.account(user) for user in self._world.directory.users()),
                bots=tuple(views.bot_state(bot) for bot in self._world.directory.bots()),
                channels=views.channels(self._world),
            )
        )

    async def _get_stats(self, request: web.Request) -> web.Response:
        stats = self._world.stats
        return json_response(
            messages.Stats(
                requests=dict(stats.requests),
                events=dict(stats.events),
                faults_taken=dict(self._faults.taken),
                part_bytes=stats.part_bytes,
                part_duplicates=stats.part_duplicates,
                in_flight_max=stats.in_flight_max,
                cm_requests=dict(self._cm.requests),
                sources={
                    path: messages.SourceStats(**msgspec.structs.asdict(count))
                    for path, count in self._sources.counts().items()
                },
            )
        )
