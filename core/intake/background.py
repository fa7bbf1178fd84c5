"""Imports that go on by themselves: begun by a call, followed by others."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from telecine.core.catalogue import CatalogueIntake, ImportRun, ImportState
from telecine.core.errors import ConfigError, ConflictError
from telecine.core.intake.importer import Importer

logger = logging.getLogger(__name__)

CUT_OFF = "interrupted: the coordinator stopped"


class BackgroundImports:
    """One importer behind the API's calls. Without one (`importer` None) a start says what is missing.

    `on_progress` hears of every batch; of its beginning and its end, the catalogue tells.
    """

    def __init__(
        self, importer: Importer | None, intake: CatalogueIntake, *, on_progress: Callable[[ImportRun], None]
    ) -> None:
        self._importer = importer
        self._intake = intake
        self._on_progress = on_progress
        self._latest: ImportRun | None = None
        self._task: asyncio.Task[ImportRun] | None = None

    async def start(self) -> ImportRun:
        """Begin an import and return at once. Raises ConflictError while one runs, ConfigError without a CM."""
        if self._importer is None:
            raise ConfigError("this coordinator has no CM to import from", hint="add the table [cm] to its settings")
        if self._is_running:
            raise ConflictError("an import is running", hint="`telecine import` follows it when it is started after")
        begun: asyncio.Future[ImportRun] = asyncio.get_running_loop().create_future()

        def note(run: ImportRun) -> None:
            self._latest = run
            if not begun.done():
                begun.set_result(run)
            else:
                self._on_progress(run)

        self._task = asyncio.create_task(self._importer.run(note), name="import from CM")
        self._task.add_done_callback(_tell_failure)
        await asyncio.wait({self._task, begun}, return_when=asyncio.FIRST_COMPLETED)
        return begun.result() if begun.done() else self._task.result()

    async def run(self, import_id: int) -> ImportRun:
        """How far a run is, or how it ended. Where its end could not be written down, because the process was killed or
        the catalogue failed, that is done now. Raises NotFoundError, and what the catalogue raises."""
        latest = self._latest if self._latest is not None and self._latest.id == import_id else None
        run = latest or await self._intake.import_run(import_id)
        if run.state is not ImportState.RUNNING or self._is_running:
            return run
        closed = await self._closed(run, self._failure if latest else CUT_OFF)
        if latest:
            self._latest = closed
        return closed

    async def stop(self) -> None:
        """End a running import; what it has imported stays, and the run is closed as failed."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    @property
    def _is_running(self) -> bool:
        return self._task is not None and not self._task.done()

    @property
    def _failure(self) -> str:
        """What ended the latest run."""
        error = None if self._task is None or self._task.cancelled() else self._task.exception()
        return CUT_OFF if error is None else str(error)

    async def _closed(self, run: ImportRun, error: str) -> ImportRun:
        try:
            return await self._intake.finish_import(run.id, rejected=run.rejected, refused=run.refused, error=error)
        except ConflictError:  # somebody else closed it meanwhile
            return await self._intake.import_run(run.id)


def _tell_failure(task: asyncio.Task[ImportRun]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("the import ended unexpectedly", exc_info=error)
