"""The coordinator on a socket, with the loop that sweeps its queue."""

from __future__ import annotations

import asyncio
import logging

from aiohttp import web

from telecine.core.coordinator.app import create_app
from telecine.core.coordinator.events import QueueSwept
from telecine.core.coordinator.services import Services
from telecine.core.coordinator.sweeping import sweep_forever
from telecine.core.errors import ConfigError, UnavailableError
from telecine.core.leases import Swept

logger = logging.getLogger(__name__)

SHUTDOWN_GRACE_S = 10.0  # for requests that are being answered when the coordinator stops


class CoordinatorServer:
    """Serves the API and sweeps the queue, from `start` to `stop`."""

    def __init__(self, services: Services, *, shutdown_grace_s: float = SHUTDOWN_GRACE_S) -> None:
        self._services = services
        self._shutdown_grace_s = shutdown_grace_s
        self._runner: web.AppRunner | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._url = ""

    @property
    def url(self) -> str:
        """Where it listens, such as http://127.0.0.1:8750. Empty before `start`."""
        return self._url

    async def start(self, host: str, port: int) -> None:
        """Listen on `host` and `port` (0: a free one). Raises ConfigError where that address cannot be had."""
        await self._services.tokens.load()
        self._runner = web.AppRunner(
            create_app(self._services),
            handler_cancellation=True,
            access_log=None,  # it would log query strings; the application logs its calls itself
            shutdown_timeout=self._shutdown_grace_s,
        )
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
        self._url = _url(host, self._runner)
        self._sweeping = asyncio.create_task(self._sweep(), name="sweep the queue")
        logger.info("listening on %s", self._url)

    async def failed(self) -> None:
        """Wait for as long as all is well; raises what ended the sweeping."""
        if self._sweeping is None:
            raise UnavailableError("the coordinator was not started")
        await asyncio.wait({self._sweeping})
        if not self._sweeping.cancelled():
            self._sweeping.result()

    async def stop(self) -> None:
        """Take no new request, answer long polls at once, finish what is running. Safe to call twice."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.wait({self._sweeping})  # its error, if it had one, is `failed`'s to raise
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
            logger.info("stopped listening on %s", self._url)

    async def _sweep(self) -> None:
        services = self._services
        await sweep_forever(
            services.sweeper, services.clock, services.settings.sweep_interval_s, on_swept=self._tell_swept
        )

    def _tell_swept(self, swept: Swept) -> None:
        self._services.events.publish(QueueSwept(swept.expired, swept.promoted))
        self._services.metrics.count("telecine_swept_total", swept.expired, kind="expired")
        self._services.metrics.count("telecine_swept_total", swept.promoted, kind="promoted")


def _url(host: str, runner: web.AppRunner) -> str:
    port = runner.addresses[0][1]
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}"
