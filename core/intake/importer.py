"""One import after another: everything that CM lists, into the catalogue."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable

import aiohttp
import msgspec

from telecine.core.catalogue import CatalogueIntake, ImportCounts, ImportedTitle, ImportRun
from telecine.core.clock import Clock
from telecine.core.config import CmSettings
from telecine.core.errors import CmError, ConfigError, ConflictError, InputError, TelecineError, UnavailableError
from telecine.core.intake.auth import Authentication, authentication
from telecine.core.intake.client import CmClient
from telecine.core.intake.listing import Listing, Refusal, collections_of
from telecine.core.intake.mapping import compile_mapping
from telecine.core.intake.paging import Pager, PageTurner
from telecine.core.intake.records import Reading

logger = logging.getLogger(__name__)

BATCH_TITLES_MAX = 100
BATCH_LINKS_MAX = 2000  # a series can have thousands: one transaction must not hold up everybody else's

Progress = Callable[[ImportRun], None]
SessionFactory = Callable[[Authentication], aiohttp.ClientSession]


def open_session(auth: Authentication) -> aiohttp.ClientSession:
    """A session for CM: signed, without cookies."""
    return aiohttp.ClientSession(middlewares=(auth,), cookie_jar=aiohttp.DummyCookieJar())


class Importer:
    """Imports from one CM, one run at a time. Raises ConfigError for settings that do not fit together."""

    def __init__(
        self,
        settings: CmSettings,
        intake: CatalogueIntake,
        clock: Clock,
        *,
        session_factory: SessionFactory = open_session,
    ) -> None:
        self._settings = settings
        self._intake = intake
        self._clock = clock
        self._open_session = session_factory
        self._auth = authentication(settings, clock)
        self._mapping = compile_mapping(settings.map)
        self._collections = collections_of(settings.resources)
        self._turner = PageTurner(settings.paging)
        self._running = False

    async def run(self, on_progress: Progress | None = None) -> ImportRun:
        """Import everything and tell how it ended; `on_progress` hears of the start and of every batch.

        A CM that fails ends the run as FAILED, with what was imported until then kept. Raises ConflictError while
        another run goes on, and what the catalogue raises.
        """
        if self._running:
            raise ConflictError("an import is running")
        self._running = True
        try:
            started = await self._intake.begin_import()
            batches = _Batches(self._intake, started, self._clock, on_progress or _ignore)
            return await self._carry_out(batches)
        finally:
            self._running = False

    async def _carry_out(self, batches: _Batches) -> ImportRun:
        """Import, and close the run whatever happens to it."""
        try:
            await self._import(batches)
        except (CmError, UnavailableError, ConfigError) as error:
            logger.warning("the import failed: %s", error)
            return await batches.finish(str(error))
        except asyncio.CancelledError:
            await asyncio.shield(batches.finish("interrupted"))
            raise
        except TelecineError as error:
            await batches.finish(str(error))
            raise
        except BaseException as error:
            await batches.finish(f"unexpected {type(error).__name__}")
            raise
        return await batches.finish()

    async def _import(self, batches: _Batches) -> None:
        batches.report()
        async with self._open_session(self._auth) as session:
            client = CmClient(self._settings, session, self._clock)
            listing = Listing(self._collections, self._mapping, Pager(client, self._turner))
            try:
                await self._read(listing.titles(), batches)
            finally:
                await self._auth.aclose()
        batches.refuse(listing.unplaced())

    async def _read(self, titles: AsyncIterator[Reading | CmError], batches: _Batches) -> None:
        try:
            async for reading in titles:
                if isinstance(reading, CmError):
                    batches.reject(reading)
                else:
                    await batches.add(reading)
        except (CmError, UnavailableError):
            await batches.write()  # what had come before CM failed
            raise
        await batches.write()


class _Batches:
    """Collects titles, writes them in batches and counts."""

    def __init__(self, intake: CatalogueIntake, run: ImportRun, clock: Clock, on_progress: Progress) -> None:
        self._intake = intake
        self._run = run
        self._clock = clock
        self._on_progress = on_progress
        self._titles: dict[str, ImportedTitle] = {}
        self._links = 0

    def report(self) -> None:
        self._on_progress(self._run)

    def reject(self, error: TelecineError) -> None:
        """Leave a title out."""
        logger.warning("not imported: %s", error)
        self._run = msgspec.structs.replace(self._run, rejected=self._run.rejected + 1)

    def refuse(self, refusals: Iterable[Refusal]) -> None:
        """Leave links out."""
        for refusal in refusals:
            logger.warning("link not imported: %s", refusal.problem)
            self._run = msgspec.structs.replace(self._run, refused=self._run.refused + refusal.items)

    async def add(self, reading: Reading) -> None:
        """Take a title; one with the same id in this batch gives way."""
        self.refuse(map(Refusal, reading.refused_links))
        title = reading.title
        self._titles.pop(title.cm_id, None)
        self._titles[title.cm_id] = title
        self._links += len(title.links) + sum(len(episode.links) for episode in title.episodes)
        if len(self._titles) >= BATCH_TITLES_MAX or self._links >= BATCH_LINKS_MAX:
            await self.write()
        await self._clock.sleep(0)  # reading is all computing: let others have a turn

    async def write(self) -> None:
        """Write what is collected."""
        titles, self._titles, self._links = tuple(self._titles.values()), {}, 0
        if not titles:
            return
        counts = await self._written(titles)
        self._run = msgspec.structs.replace(self._run, counts=self._run.counts + counts)
        self.report()

    async def finish(self, error: str | None = None) -> ImportRun:
        """Close the run and report it."""
        run = self._run
        self._run = await self._intake.finish_import(run.id, rejected=run.rejected, refused=run.refused, error=error)
        logger.info(
            "import %d is %s: %s; %d titles and %d links left out",
            run.id, self._run.state, run.counts, run.rejected, run.refused,
        )  # fmt: skip
        self.report()
        return self._run

    async def _written(self, titles: tuple[ImportedTitle, ...]) -> ImportCounts:
        """Write titles at once, or one by one where the catalogue refuses one of them, to leave out that one alone."""
        try:
            return await self._intake.import_titles(self._run.id, titles)
        except InputError as error:
            if len(titles) == 1:
                self.reject(error)
                return ImportCounts()
        counts = ImportCounts()
        for title in titles:
            counts += await self._written((title,))
        return counts


def _ignore(_run: ImportRun) -> None:
    """Progress that nobody asked for."""
