"""Opens the links of one boot of a worker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Self

from telecine.core.clock import Clock
from telecine.core.config import WorkerSettings
from telecine.core.quality import Quality
from telecine.core.worker.sources.addresses import source_session
from telecine.core.worker.sources.body import SourceLimits
from telecine.core.worker.sources.source import Source, open_source
from telecine.core.worker.sources.spool import Spool


class Sources:
    """Where all jobs of a worker get their sources from, within budgets that they share. An async context manager."""

    def __init__(self, settings: WorkerSettings, clock: Clock, *, limits: SourceLimits | None = None) -> None:
        self._settings = settings
        self._clock = clock
        self._limits = limits or SourceLimits(
            connect_timeout_s=settings.connect_timeout_s,
            stall_bytes_per_s=settings.stall_bytes_per_s,
            stall_window_s=settings.stall_window_s,
        )
        self._stack = AsyncExitStack()
        self._spool = Spool(settings)

    async def __aenter__(self) -> Self:
        self._session = await self._stack.enter_async_context(
            source_session(
                allow_private=self._settings.allow_private_sources, connect_timeout_s=self._limits.connect_timeout_s
            )
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def spool_free_bytes(self) -> int:
        """How much can still be spooled, all jobs together."""
        return self._spool.free_bytes

    @asynccontextmanager
    async def open(self, url: str, *, quality: Quality = Quality.AUTO) -> AsyncIterator[Source]:
        """The source behind a link; of a playlist with several qualities, the one asked for or else the best.

        Raises SourceError.
        """
        async with open_source(self._session, url, self._limits, self._clock) as source:
            yield source

    @asynccontextmanager
    async def spooled(self, source: Source) -> AsyncIterator[Source]:
        """A copy of `source` on the disk, which is read in any order; nothing is left of it, even after a crash.

        Raises SourceError, and SpoolFullError where the quota of all jobs together does not allow it.
        """
        async with self._spool.copy(source) as copy:
            yield copy
