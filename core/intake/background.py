"""Imports that go on by themselves: begun by a call, followed by others."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from telecine.core.catalogue import CatalogueIntake, ImportRun
from telecine.core.errors import ConfigError, ConflictError
from telecine.core.intake.importer import Importer

logger = logging.getLogger(__name__)


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
        if self._task is not None and not self._task.done():
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
        """How far a run is, or how it ended. Raises NotFoundError."""
        if self._latest is not None and self._latest.id == import_id:
            return self._latest
        return await self._intake.import_run(import_id)

    async def stop(self) -> None:
        """End a running import; what it has imported stays, and the run is closed as failed."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})


def _tell_failure(task: asyncio.Task[ImportRun]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("the import ended unexpectedly", exc_info=error)
