"""All clients."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import cast

from aiohttp import web

from telecine.core.coordinator.http.connection import Connection, Service
from telecine.core.coordinator.http.limits import Limits

BACKLOG = 128


class HttpServer:
    """Listens, and keeps the connections."""

    def __init__(self, service: Service, limits: Limits, *, shutdown_grace_s: float) -> None:
        self.limits = limits
        self.service = service
        self.is_closing = False
        self._grace_s = shutdown_grace_s
        self._runner: web.ServerRunner | None = None
        self._connections: set[Connection] = set()

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._connections)

    @property
    def port(self) -> int:
        """The port it listens on. Raises RuntimeError before `start`."""
        if self._runner is None:
            raise RuntimeError("the server was not started")
        return int(self._runner.addresses[0][1])

    async def start(self, host: str, port: int) -> None:
        """Listen on `host` and `port` (0: a free one). Raises OSError, and UnicodeError where `host` can be no name."""
        # aiohttp waits twice: for answers, and again for what became of their tasks.
        runner = web.ServerRunner(_Clients(self), shutdown_timeout=self._grace_s / 2)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port, backlog=BACKLOG, reuse_address=True).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner

    async def stop(self) -> None:
        """Take no new request, wait until every client has its answer, for the grace at most; then cut off the rest."""
        self.is_closing = True
        connections = tuple(self._connections)
        if self._runner is not None:
            await self._runner.cleanup()
        late = [task for connection in connections if (task := connection.answering) is not None]
        await asyncio.gather(*late, return_exceptions=True)
        for connection in tuple(self._connections):
            connection.abort()

    def entered(self, connection: Connection) -> bool:
        self._connections.add(connection)
        return len(self._connections) <= self.limits.connections_max

    def left(self, connection: Connection) -> None:
        self._connections.discard(connection)


class _Clients(web.Server):
    """aiohttp's server, with connections of our own."""

    def __init__(self, home: HttpServer) -> None:
        super().__init__(_answer, handler_cancellation=True)
        self._home = home

    def __call__(self) -> Connection:
        return Connection(self._home, self)


def _answer(head: web.BaseRequest) -> Awaitable[web.StreamResponse]:
    return cast("Connection", head.protocol).answer(head)
