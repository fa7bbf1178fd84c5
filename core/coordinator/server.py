"""The coordinator on a socket, with the loops that run beside it."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import Coroutine

from telecine.core.coordinator.app import Api
from telecine.core.coordinator.http.limits import Limits
from telecine.core.coordinator.http.server import HttpServer
from telecine.core.coordinator.pruning import prune_forever
from telecine.core.coordinator.services import Services
from telecine.core.coordinator.sweeping import sweep_forever
from telecine.core.errors import ConfigError, UnavailableError
from telecine.core.leases import Swept

logger = logging.getLogger(__name__)
SHUTDOWN_GRACE_S = 10.0  # for requests that are being answered when the coordinator stops


class CoordinatorServer:
    """Serves the API, sweeps the queue and heeds revoked tokens, from `start` to `stop`."""

    def __init__(
        self, services: Services, *, limits: Limits | None = None, shutdown_grace_s: float = SHUTDOWN_GRACE_S
    ) -> None:
        self._services = services
        self._limits = limits or Limits()
        self._shutdown_grace_s = shutdown_grace_s
        self._api: Api | None = None
        self._http: HttpServer | None = None
        self._beside: set[asyncio.Task[None]] = set()
        self._url = ""

    @property
    def url(self) -> str:
        """Where it listens, such as http://127.0.0.1:8750. Empty before `start`."""
        return self._url

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return 0 if self._http is None else self._http.connections

    async def start(self, host: str, port: int) -> None:
        """Listen on `host` and `port` (0: a free one). Raises ConfigError where that address cannot be had."""
        await self._services.tokens.load()
        api = Api(self._services)
        http = HttpServer(api, self._limits, shutdown_grace_s=self._shutdown_grace_s)
        try:
            await http.start(host, port)
        except OSError as error:
            raise _cannot_listen(host, port, error) from error
        except UnicodeError as error:
            raise ConfigError(f"{host!r} can be no host's name", field="coordinator.host") from error
        self._api, self._http = api, http
        self._url = _url(host, http.port)
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
        if self._http is not None and self._api is not None:
            self._api.close()
            await self._http.stop()
            await self._api.wait_closed()
            self._http = None
            logger.info("stopped listening on %s", self._url)

    def _loops(self) -> tuple[Coroutine[None, None, None], ...]:
        services, interval_s = self._services, self._services.settings.sweep_interval_s
        return (
            sweep_forever(services.sweeper, services.clock, interval_s, on_swept=self._count_swept),
            prune_forever(services.retention, services.clock, services.settings, on_pruned=self._count_pruned),
            services.tokens.load_forever(interval_s),
        )

    def _count_swept(self, swept: Swept) -> None:
        self._services.metrics.count("telecine_swept_total", swept.expired, kind="expired")
        self._services.metrics.count("telecine_swept_total", swept.promoted, kind="promoted")

    def _count_pruned(self, kind: str, rows: int) -> None:
        self._services.metrics.count("telecine_pruned_total", rows, kind=kind)


def _cannot_listen(host: str, port: int, error: OSError) -> ConfigError:
    """asyncio wraps the kernel's words in its own; a name that is not known has no number of the kernel's."""
    why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
    taken = error.errno == errno.EADDRINUSE
    return ConfigError(
        f"cannot listen on {host}:{port}: {why}",
        hint="is another coordinator running? coordinator.port takes another port" if taken else None,
        field="coordinator.port" if taken else "coordinator.host",
    )


def _url(host: str, port: int) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}"
