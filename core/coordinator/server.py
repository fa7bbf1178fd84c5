"""The coordinator on a socket, with the loops that run beside it."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import Coroutine

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from telecine.core.coordinator.app import create_app
from telecine.core.coordinator.events import QueueSwept
from telecine.core.coordinator.services import Services
from telecine.core.coordinator.sweeping import sweep_forever
from telecine.core.errors import ConfigError, UnavailableError
from telecine.core.leases import Swept

logger = logging.getLogger(__name__)
connection_logger = logging.getLogger(f"{__name__}.connections")

SHUTDOWN_GRACE_S = 10.0  # for requests that are being answered when the coordinator stops


class WithoutHeaders(logging.Filter):
    """Keeps what a client sent out of the log: aiohttp quotes a line that it cannot parse, token and all."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            record.exc_info = None
            record.levelno, record.levelname = logging.INFO, "INFO"  # any port scan causes one
        return True


connection_logger.addFilter(WithoutHeaders())


class CoordinatorServer:
    """Serves the API, sweeps the queue and heeds revoked tokens, from `start` to `stop`."""

    def __init__(self, services: Services, *, shutdown_grace_s: float = SHUTDOWN_GRACE_S) -> None:
        self._services = services
        self._shutdown_grace_s = shutdown_grace_s
        self._runner: web.AppRunner | None = None
        self._beside: set[asyncio.Task[None]] = set()
        self._url = ""

    @property
    def url(self) -> str:
        """Where it listens, such as http://127.0.0.1:8750. Empty before `start`."""
        return self._url

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        server = None if self._runner is None else self._runner.server
        return 0 if server is None else len(server.connections)

    async def start(self, host: str, port: int) -> None:
        """Listen on `host` and `port` (0: a free one). Raises ConfigError where that address cannot be had."""
        await self._services.tokens.load()
        self._runner = web.AppRunner(
            create_app(self._services),
            handler_cancellation=True,
            logger=connection_logger,
            access_log=None,  # it would log query strings; the application logs its calls itself
            shutdown_timeout=self._shutdown_grace_s,
        )
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise _cannot_listen(host, port, error) from error
        self._url = _url(host, self._runner)
        self._beside = {asyncio.create_task(loop) for loop in self._loops()}
        logger.info("listening on %s", self._url)

    async def failed(self) -> None:
        """Wait for as long as all is well; raises what ended a loop that must run."""
        if not self._beside:
            raise UnavailableError("the coordinator was not started")
        ended, _ = await asyncio.wait(self._beside, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            if not task.cancelled():
                task.result()

    async def stop(self) -> None:
        """Take no new request, answer long polls at once, finish what is running. Safe to call twice."""
        for task in self._beside:
            task.cancel()
        await asyncio.gather(*self._beside, return_exceptions=True)  # an error is `failed`'s to raise
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
            logger.info("stopped listening on %s", self._url)

    def _loops(self) -> tuple[Coroutine[None, None, None], ...]:
        services, interval_s = self._services, self._services.settings.sweep_interval_s
        return (
            sweep_forever(services.sweeper, services.clock, interval_s, on_swept=self._tell_swept),
            services.tokens.load_forever(interval_s),
        )

    def _tell_swept(self, swept: Swept) -> None:
        self._services.events.publish(QueueSwept(swept.expired, swept.promoted))
        self._services.metrics.count("telecine_swept_total", swept.expired, kind="expired")
        self._services.metrics.count("telecine_swept_total", swept.promoted, kind="promoted")


def _cannot_listen(host: str, port: int, error: OSError) -> ConfigError:
    """asyncio wraps the kernel's words in its own; a name that is not known has no number of the kernel's."""
    why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
    taken = error.errno == errno.EADDRINUSE
    return ConfigError(
        f"cannot listen on {host}:{port}: {why}",
        hint="is another coordinator running? coordinator.port takes another port" if taken else None,
        field="coordinator.port" if taken else "coordinator.host",
    )


def _url(host: str, runner: web.AppRunner) -> str:
    port = runner.addresses[0][1]
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}"
