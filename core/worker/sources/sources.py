"""Opens the links of one boot of a worker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, closing
from typing import Self

from aiohttp.abc import AbstractResolver
from yarl import URL

from telecine.core.clock import Clock
from telecine.core.config import WorkerSettings
from telecine.core.quality import Quality
from telecine.core.reasons import Reason
from telecine.core.worker.sources.bandwidth import Bandwidth
from telecine.core.worker.sources.client import WebClient
from telecine.core.worker.sources.errors import SourceError
from telecine.core.worker.sources.files import FileSource
from telecine.core.worker.sources.hls import HlsOrigin
from telecine.core.worker.sources.limits import Room, SourceLimits
from telecine.core.worker.sources.link import Link, parsed
from telecine.core.worker.sources.meter import Meter
from telecine.core.worker.sources.pages import is_page
from telecine.core.worker.sources.playlist import PLAYLIST_BYTES_MAX, looks_like_playlist
from telecine.core.worker.sources.source import Source
from telecine.core.worker.sources.spool import Spool
from telecine.core.worker.sources.streamed import StreamedSource
from telecine.core.worker.sources.surroundings import Surroundings
from telecine.core.worker.sources.web import WebOrigin

READ_AHEAD_BYTES_MAX = 64 * 1024 * 1024  # of all jobs together, beside a few MiB for each
SNIFFED_BYTES = 1024


class Sources:
    """Where all jobs of a worker get their sources from, within budgets that they share. An async context manager.

    `limits`: in place of those that the settings name. `resolver`: what looks names of hosts up, None for the system's.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        clock: Clock,
        *,
        limits: SourceLimits | None = None,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._file_roots = settings.file_roots
        self._clock = clock
        self._limits = limits or SourceLimits.of(settings)
        self._client = WebClient(settings, self._limits, clock, resolver=resolver)
        self._bandwidth = Bandwidth(settings.bandwidth_bytes_per_s, clock)
        self._room = Room(READ_AHEAD_BYTES_MAX)
        self._spool = Spool(settings)

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.__aexit__()

    @property
    def spool_free_bytes(self) -> int:
        """How much can still be spooled, all jobs together."""
        return self._spool.free_bytes

    @asynccontextmanager
    async def open(self, url: str, *, quality: Quality = Quality.AUTO) -> AsyncIterator[Source]:
        """The source behind a link; of a playlist with several qualities, the one asked for or else the best.

        Raises SourceError.
        """
        around = Surroundings(Meter(self._limits, self._clock), self._room, self._limits, self._clock)
        with ExitStack() as stack:
            source = await self._opened(url, quality, around, stack)
            _refuse_what_is_no_file(await source.read(0, SNIFFED_BYTES))
            yield source

    async def _opened(self, url: str, quality: Quality, around: Surroundings, stack: ExitStack) -> Source:
        """What is behind a link; `stack` closes it."""
        if parsed(url).scheme == "file":
            file = await FileSource.open(url, self._file_roots, around.meter, self._bandwidth)
            return _no_playlist(stack.enter_context(closing(file)), await file.read(0, SNIFFED_BYTES))
        link = self._link_to(url)
        origin = stack.enter_context(closing(await WebOrigin.open(link, around)))
        source = stack.enter_context(closing(StreamedSource(origin, around.meter, self._bandwidth)))
        if not looks_like_playlist(await source.read(0, SNIFFED_BYTES)):
            return source
        film = await self._film(source, link.url, quality, around)
        return stack.enter_context(closing(StreamedSource(film, around.meter, self._bandwidth)))

    async def _film(self, playlist: Source, base: URL, quality: Quality, around: Surroundings) -> HlsOrigin:
        text = await playlist.read(0, PLAYLIST_BYTES_MAX + 1)
        playlist.close()
        if len(text) > PLAYLIST_BYTES_MAX:
            raise SourceError(Reason.NOT_MEDIA, f"a playlist of more than {PLAYLIST_BYTES_MAX} bytes")
        return await HlsOrigin.open(text, base, quality, self._link_to, around)

    def _link_to(self, url: str) -> Link:
        return Link(self._client, url, self._limits, self._clock)

    @asynccontextmanager
    async def spooled(self, source: Source) -> AsyncIterator[Source]:
        """A copy of `source` on the disk, which is read in any order; nothing is left of it, even after a crash.

        Raises SourceError, and SpoolFullError where the quota of all jobs together does not allow it.
        """
        async with self._spool.copy(source) as copy:
            yield copy


def _refuse_what_is_no_file(head: bytes) -> None:
    """Raises SourceError NOT_MEDIA for nothing, or a page of HTML in place of the file."""
    if not head:
        raise SourceError(Reason.NOT_MEDIA, "an empty file")
    if is_page(head):
        raise SourceError(Reason.NOT_MEDIA, "a web page in place of a file")


def _no_playlist(file: Source, head: bytes) -> Source:
    if looks_like_playlist(head):
        raise SourceError(Reason.NOT_MEDIA, "a playlist in a file: only those of web servers are followed")
    return file
