"""Copies on the disk, which leave nothing behind."""

from __future__ import annotations

import asyncio
import random
import threading
from pathlib import Path

import pytest

from telecine.core.emulator.sources.faults import SourceFaultKind as Fault
from telecine.core.reasons import Reason
from telecine.core.worker.sources.source import SourceError
from telecine.core.worker.sources.spool import SpoolFullError

from .conftest import Hosted, whole

NAME = "film.avi"
CONTENT = random.Random(9).randbytes(1_200_000)


@pytest.fixture(autouse=True)
def film(sources: Hosted) -> None:
    sources.add(NAME, CONTENT)


def left_behind(sources: Hosted) -> list[Path]:
    """What is in the folder of copies."""
    return [*sources.settings.session.with_suffix(".spool").iterdir()]


@pytest.mark.parametrize("fault", [Fault.NO_HEAD, Fault.NO_RANGES, Fault.NO_LENGTH])
async def test_copy_is_read_in_any_order(fault: Fault, sources: Hosted) -> None:
    sources.break_link(NAME, fault)
    async with sources.boot() as boot, boot.open(sources.of(NAME)) as source, boot.spooled(source) as copy:
        assert (copy.size_bytes, copy.supports_ranges, copy.stamp) == (len(CONTENT), True, source.stamp)
        for offset in (1_000_000, 5, 600_000, len(CONTENT) - 3):
            assert await copy.read(offset, 1000) == CONTENT[offset : offset + 1000]
        assert await whole(copy, 17) == CONTENT[17:]
        assert copy.bytes_read == source.bytes_read == len(CONTENT)


async def test_copy_has_no_name_that_a_crash_could_leave(sources: Hosted) -> None:
    async with sources.boot() as boot, boot.open(sources.of(NAME)) as source, boot.spooled(source):
        assert not left_behind(sources)


async def test_source_that_is_too_large_is_refused_before_it_is_read(sources: Hosted) -> None:
    async with sources.boot(spool_bytes_max=len(CONTENT) - 1) as boot, boot.open(sources.of(NAME)) as source:
        read = source.bytes_read
        with pytest.raises(SpoolFullError) as refusal:
            async with boot.spooled(source):
                pass
        assert (refusal.value.bytes_needed, source.bytes_read) == (len(CONTENT), read)
        assert boot.spool_free_bytes == len(CONTENT) - 1


async def test_source_that_turns_out_too_large_is_refused_then(sources: Hosted) -> None:
    sources.break_link(NAME, Fault.NO_LENGTH)
    async with sources.boot(spool_bytes_max=len(CONTENT) - 1) as boot, boot.open(sources.of(NAME)) as source:
        with pytest.raises(SpoolFullError):
            async with boot.spooled(source):
                pass
        assert boot.spool_free_bytes == len(CONTENT) - 1


async def test_quota_is_one_for_all_jobs_and_comes_back(sources: Hosted) -> None:
    async with sources.boot(spool_bytes_max=2 * len(CONTENT) - 1) as boot:
        async with boot.open(sources.of(NAME)) as source, boot.spooled(source), boot.open(sources.of(NAME)) as another:
            with pytest.raises(SpoolFullError):
                async with boot.spooled(another):
                    pass
        async with boot.open(sources.of(NAME)) as source, boot.spooled(source) as copy:
            assert await whole(copy) == CONTENT


async def test_source_that_breaks_off_while_it_is_copied_says_so_and_frees_the_quota(sources: Hosted) -> None:
    sources.break_link(NAME, Fault.NO_RANGES)
    sources.break_link(NAME, Fault.TRUNCATED, after_bytes=1_000_000)
    async with sources.boot() as boot, boot.open(sources.of(NAME)) as source:
        free = boot._spool._bytes_used
        with pytest.raises(SourceError) as raised:
            async with boot.spooled(source):
                pass
        assert raised.value.reason is Reason.TRUNCATED
        assert boot._spool._bytes_used == free == 0


async def test_file_is_closed_only_when_what_is_being_written_is_written(
    sources: Hosted, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, going_on = threading.Event(), threading.Event()
    still_open: list[bool] = []

    def write(descriptor: int, data: bytes) -> None:
        writing.set()
        going_on.wait(10)
        still_open.append(Path(f"/proc/self/fd/{descriptor}").exists())

    monkeypatch.setattr("telecine.core.worker.sources.spool._write_all", write)

    async def spool() -> None:
        async with sources.boot() as boot, boot.open(sources.of(NAME)) as source, boot.spooled(source):
            pass

    spooling = asyncio.create_task(spool())
    await asyncio.to_thread(writing.wait, 10)
    spooling.cancel()
    await asyncio.wait([spooling], timeout=0.1)
    going_on.set()
    with pytest.raises(asyncio.CancelledError):
        await spooling
    assert still_open == [True]
