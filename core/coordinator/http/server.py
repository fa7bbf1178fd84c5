"""All clients."""

from __future__ import annotations

import asyncio

from telecine.core.clock import Clock
from telecine.core.coordinator.http.answers import DateLine
from telecine.core.coordinator.http.connection import Connection, Service
from telecine.core.coordinator.http.limits import Limits

BACKLOG = 128


class HttpServer:
    """Listens, and keeps the connections."""

    def __init__(self, service: Service, clock: Clock, limits: Limits) -> None:
        self.limits = limits
        self.service = service
        self._clock = clock
        self._date = DateLine()
        self._listening: asyncio.Server | None = None
        self._connections: set[Connection] = set()
        self._emptied: asyncio.Future[None] | None = None

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._connections)

    @property
    def port(self) -> int:
        """The port it listens on. Raises RuntimeError before `start`."""
        if self._listening is None:
            raise RuntimeError("the server was not started")
        return int(self._listening.sockets[0].getsockname()[1])

    async def start(self, host: str, port: int) -> None:
        """Listen on `host` and `port` (0: a free one). Raises OSError."""
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(
            lambda: Connection(self), host, port, backlog=BACKLOG, reuse_address=True
        )

    def close(self) -> None:
        """Take no new client and no new request."""
        if self._listening is not None:
            self._listening.close()
        for connection in tuple(self._connections):
            connection.finish()

    async def wait_closed(self, grace_s: float) -> None:
        """Wait until every client has its answer, `grace_s` at most; then cut off what is left."""
        if self._connections:
            self._emptied = asyncio.get_running_loop().create_future()
            await asyncio.wait({self._emptied}, timeout=grace_s)
        late = [task for connection in self._connections if (task := connection.answering) is not None]
        for connection in tuple(self._connections):
            connection.abort()
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def date(self) -> bytes:
        """The header `Date` of now."""
        return self._date.at(self._clock.now_ms())

    def entered(self, connection: Connection) -> bool:
        self._connections.add(connection)
        return len(self._connections) <= self.limits.connections_max

    def left(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections and self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)
