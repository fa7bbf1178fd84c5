"""What is known of the hosts that sources are fetched from: what was configured, and what was learned."""

from __future__ import annotations

import asyncio

from aiohttp import hdrs
from yarl import URL

from telecine.core.clock import Clock
from telecine.core.config import SourceHostSettings, WorkerSettings
from telecine.core.errors import ConfigError

ALONE_S = 600.0  # how long a host that refused several connections at once is asked over one at a time
HOSTS_MAX = 1000  # beyond which what was learned of hosts is forgotten
NOT_IN_HEADERS = frozenset("\r\n\0")


class Host:
    """One host, as all jobs know it."""

    def __init__(self, settings: SourceHostSettings, worker: WorkerSettings, clock: Clock) -> None:
        self.headers = dict(settings.headers)
        if settings.cookies:
            self.headers[hdrs.COOKIE] = "; ".join(f"{name}={value}" for name, value in settings.cookies.items())
        self.proxy = settings.proxy or worker.proxy
        self._ranges_max = settings.ranges or worker.ranges_per_source
        self._slots = asyncio.Semaphore(settings.connections) if settings.connections else None
        self._clock = clock
        self._alone_until_s = clock.monotonic_s()

    @property
    def ranges_max(self) -> int:
        """How many ranges of one file may be read at once."""
        return 1 if self._clock.monotonic_s() < self._alone_until_s else self._ranges_max

    def refuse_company(self) -> None:
        """Remember that this host does not like several connections at once."""
        self._alone_until_s = self._clock.monotonic_s() + ALONE_S

    async def take_slot(self) -> None:
        """Wait until one connection more is allowed."""
        if self._slots is not None:
            await self._slots.acquire()

    def give_slot_back(self) -> None:
        """Allow somebody else a connection."""
        if self._slots is not None:
            self._slots.release()


class Hosts:
    """The hosts by name. Raises ConfigError for headers that cannot be sent."""

    def __init__(self, settings: WorkerSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._configured = {name.lower(): Host(host, settings, clock) for name, host in settings.hosts.items()}
        self._others: dict[str, Host] = {}
        for name, host in self._configured.items():
            if any(NOT_IN_HEADERS & set(key + value) for key, value in host.headers.items()):
                raise ConfigError(f"worker.hosts.{name}: a header or cookie holds a line break", field=name)

    def of(self, url: URL) -> Host:
        """The host that a URL names."""
        name = (url.host or "").rstrip(".").lower()
        known = self._configured.get(name) or self._others.get(name)
        if known is None:
            if len(self._others) >= HOSTS_MAX:
                self._others.clear()
            known = self._others[name] = Host(SourceHostSettings(), self._settings, self._clock)
        return known
