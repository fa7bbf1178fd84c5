"""Everything of the emulator that speaks HTTP, on one port: Bot API, CM, source host, control API."""

from __future__ import annotations

from aiohttp import web

from telecine.core.clock import Clock
from telecine.core.emulator.botapi import REQUEST_BYTES_MAX, BotApi
from telecine.core.emulator.cm.service import CM_PREFIX, Cm
from telecine.core.emulator.control.app import Control
from telecine.core.emulator.control.messages import Addresses
from telecine.core.emulator.control.telegram import Connections
from telecine.core.emulator.faults import Faults
from telecine.core.emulator.sources.host import SourceHost
from telecine.core.emulator.telegram.world import World

CONTROL_PREFIX = "/_emulator"
SHUTDOWN_TIMEOUT_S = 1.0


class HttpHalf:
    """The HTTP server of one emulator."""

    def __init__(
        self, world: World, faults: Faults, clock: Clock, connections: Connections, cm: Cm, sources: SourceHost
    ) -> None:
        self._bot_api = BotApi(world, faults, clock)
        self._control = Control(world, faults, connections, cm, sources, self.addresses)
        self._cm = cm
        self._sources = sources
        self._runner: web.AppRunner | None = None
        self._address: tuple[str, int] = ("", 0)
        self.mtproto_address: tuple[str, int] = ("", 0)
        """Where the other half listens; told by whoever starts both."""

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 takes a free one."""
        app = web.Application(client_max_size=REQUEST_BYTES_MAX)
        app.add_routes([*self._bot_api.routes(), *self._sources.routes()])
        app.add_subapp(CM_PREFIX, self._cm.application())
        app.add_subapp(CONTROL_PREFIX, self._control.application())
        # A poll or a stalled download ends when its client goes; nothing outlives the server.
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=SHUTDOWN_TIMEOUT_S, access_log=None)
        await runner.setup()
        self._runner = runner
        await web.TCPSite(runner, host, port).start()
        self._address = (host, int(runner.addresses[0][1]))
        self._bot_api.start()

    async def stop(self) -> None:
        """Stop listening and end what is under way."""
        self._sources.close()
        await self._bot_api.stop()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def url(self) -> str:
        """The base of every URL below."""
        return f"http://{authority(*self._address)}"

    def addresses(self) -> Addresses:
        """How to reach everything."""
        return Addresses(
            mtproto=authority(*self.mtproto_address),
            bot_api_url=self.url,
            cm_url=f"{self.url}{CM_PREFIX}",
            media_url=f"{self.url}/media",
            control_url=f"{self.url}{CONTROL_PREFIX}",
        )


def authority(host: str, port: int) -> str:
    """Host and port as a URL has them: an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
