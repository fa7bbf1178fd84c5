from __future__ import annotations

import asyncio

import pytest
from tests.core.intake.conftest import CmServer, MemoryIntake

from telecine.core.catalogue import ImportRun, ImportState
from telecine.core.errors import ConfigError, ConflictError, NotFoundError, StoreError
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
    done = await intake.finish_import(earlier.id, rejected=0)
    background = imports(cm, intake, Listener())
    assert await background.run(earlier.id) == done
    with pytest.raises(NotFoundError):
        await background.run(99)


async def test_run_of_a_process_that_was_killed_has_failed_for_whoever_looks(
    cm: CmServer, intake: MemoryIntake
) -> None:
    killed = await intake.begin_import()
    background = imports(cm, intake, Listener())
    run = await background.run(killed.id)
    assert (run.state, run.error) == (ImportState.FAILED, "interrupted: the coordinator stopped")
    assert await background.run(killed.id) == run == intake.runs[killed.id]


async def test_run_that_the_catalogue_failed_has_failed_once_it_can_be_written(
    cm: CmServer, intake: MemoryIntake
) -> None:
    closing = asyncio.Event()

    async def disk_is_full() -> None:
        if intake.before_batch is None:
            closing.set()
        intake.before_batch = None
        raise StoreError("the disk is full")

    intake.before_batch = intake.before_finish = disk_is_full
    background = imports(cm, intake, Listener())
    started = await background.start()
    await asyncio.wait_for(closing.wait(), 10)
    with pytest.raises(StoreError):
        await background.run(started.id)
    intake.before_finish = None
    run = await background.run(started.id)
    assert (run.state, run.error) == (ImportState.FAILED, "the disk is full")
    assert await background.run(started.id) == run, "it is closed once"
    assert (await background.start()).id == started.id + 1
    await background.stop()


async def test_run_is_left_alone_while_an_import_goes_on(cm: CmServer, intake: MemoryIntake) -> None:
    background, other = imports(cm, intake, Listener()), await intake.begin_import()
    inside = asyncio.Event()

    async def hang() -> None:
        inside.set()
        await asyncio.Event().wait()

    intake.before_batch = hang
    started = await background.start()
    await asyncio.wait_for(inside.wait(), 10)
    for run in (started, other):
        assert (await background.run(run.id)).state is ImportState.RUNNING
    await background.stop()


async def test_run_that_somebody_else_closes_meanwhile_is_told_as_it_is(cm: CmServer, intake: MemoryIntake) -> None:
    killed = await intake.begin_import()

    async def finished() -> None:
        intake.before_finish = None
        await intake.finish_import(killed.id, rejected=0)

    intake.before_finish = finished
    assert (await imports(cm, intake, Listener()).run(killed.id)).state is ImportState.DONE


async def test_without_a_cm_a_start_says_what_is_missing(intake: MemoryIntake) -> None:
    background = BackgroundImports(None, intake, on_progress=Listener())
    with pytest.raises(ConfigError, match="no CM to import from"):
        await background.start()
    await background.stop()
