from __future__ import annotations

import asyncio

import pytest
from tests.core.intake.conftest import CmServer, MemoryIntake

from telecine.core.catalogue import ImportRun, ImportState
from telecine.core.errors import ConfigError, ConflictError, NotFoundError
from telecine.core.intake.background import BackgroundImports
from telecine.core.intake.importer import Importer


class Listener:
    """Hears of progress and wakes whoever waits for the end."""

    def __init__(self) -> None:
        self.heard: list[ImportRun] = []
        self.ended = asyncio.Event()

    def __call__(self, run: ImportRun) -> None:
        self.heard.append(run)
        if run.state is not ImportState.RUNNING:
            self.ended.set()


def imports(cm: CmServer, intake: MemoryIntake, listener: Listener) -> BackgroundImports:
    return BackgroundImports(Importer(cm.settings(), intake, cm.clock), intake, on_progress=listener)


async def test_start_returns_at_once_and_the_run_is_followed(cm: CmServer, intake: MemoryIntake) -> None:
    listener = Listener()
    background = imports(cm, intake, listener)
    started = await background.start()
    assert (started.state, started.counts.titles) == (ImportState.RUNNING, 0)
    await asyncio.wait_for(listener.ended.wait(), 10)
    run = await background.run(started.id)
    assert (run.state, run.counts.titles) == (ImportState.DONE, 3)
    assert listener.heard[-1] == run
    await background.stop()


async def test_second_start_is_refused_and_stop_closes_the_run(cm: CmServer, intake: MemoryIntake) -> None:
    inside = asyncio.Event()

    async def hang() -> None:
        inside.set()
        await asyncio.Event().wait()

    intake.before_batch = hang
    background = imports(cm, intake, Listener())
    started = await background.start()
    await asyncio.wait_for(inside.wait(), 10)
    with pytest.raises(ConflictError):
        await background.start()
    await background.stop()
    run = await background.run(started.id)
    assert (run.state, run.error) == (ImportState.FAILED, "interrupted")


async def test_run_of_an_earlier_process_is_looked_up(cm: CmServer, intake: MemoryIntake) -> None:
    earlier = await intake.begin_import()
    background = imports(cm, intake, Listener())
    assert await background.run(earlier.id) == earlier
    with pytest.raises(NotFoundError):
        await background.run(99)


async def test_without_a_cm_a_start_says_what_is_missing(intake: MemoryIntake) -> None:
    background = BackgroundImports(None, intake, on_progress=Listener())
    with pytest.raises(ConfigError, match="no CM to import from"):
        await background.start()
    await background.stop()
