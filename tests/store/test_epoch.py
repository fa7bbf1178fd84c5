"""The number beside a database that fences the leases from before a restore."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pysqlite3 import dbapi2
from tests.clocks import START_MS
from tests.store.conftest import Scene, film, link

from telecine.core.errors import LeaseLostError, StoreError
from telecine.core.leases import LeaseToken
from telecine.store import Store, schema
from telecine.store.epoch import EPOCH_MAX, begin_epoch, epoch_path, raise_epoch, read_epoch, write_epoch

if TYPE_CHECKING:
    from tests.clocks import HandClock


async def epoch_of(path: Path, clock: HandClock) -> int:
    """The epoch that a database is opened under."""
    async with Store.open(path, clock=clock) as store:
        return store.epoch


def left_beside(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.iterdir() if file != path)


async def test_a_new_database_begins_with_the_first_and_keeps_it(path: Path, clock: HandClock) -> None:
    assert read_epoch(path) is None
    assert await epoch_of(path, clock) == 1
    assert epoch_path(path).read_text() == "1\n"
    assert await epoch_of(path, clock) == 1
    write_epoch(path, 7)
    assert await epoch_of(path, clock) == 7


# ---- what is in the file -------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "zero", "0", "-1", "1.5", "ü", str(EPOCH_MAX + 1), "9" * 5000])
async def test_an_epoch_that_makes_no_sense_is_refused_before_anything_is_made(
    path: Path, clock: HandClock, text: str
) -> None:
    epoch_path(path).write_text(text)
    with pytest.raises(StoreError, match=r"\.epoch: expected a whole number"):
        await epoch_of(path, clock)
    assert left_beside(epoch_path(path)) == []


def test_the_largest_epoch_fits_into_the_name_of_a_lease(path: Path) -> None:
    write_epoch(path, EPOCH_MAX)
    token = LeaseToken(read_epoch(path) or 0, 1, 1)
    assert LeaseToken.parse(str(token)) == token


def test_an_epoch_that_cannot_be_read_or_written_is_an_error(tmp_path: Path) -> None:
    nowhere, folder = tmp_path / "missing" / "telecine.db", tmp_path / "telecine.db"
    why = r"missing/telecine\.db\.epoch: cannot be written: No such file or directory$"
    with pytest.raises(StoreError, match=why):
        write_epoch(nowhere, 1)
    with pytest.raises(StoreError, match=why):
        begin_epoch(nowhere, 1)
    epoch_path(folder).mkdir()
    with pytest.raises(StoreError, match=r"telecine\.db\.epoch: cannot be read: Is a directory$"):
        read_epoch(folder)
    with pytest.raises(StoreError, match=r"telecine\.db\.epoch: cannot be written: Is a directory$"):
        write_epoch(folder, 1)
    assert list(tmp_path.iterdir()) == [epoch_path(folder)], "what was to take its place is gone"


def test_of_two_processes_that_begin_at_once_the_first_counts_for_both(path: Path) -> None:
    assert begin_epoch(path, 1) == 1
    assert begin_epoch(path, 1_700_000_000) == 1


def test_a_raised_epoch_is_larger_than_any_before_and_not_behind_the_time(path: Path) -> None:
    assert raise_epoch(path, START_MS) == START_MS // 1000
    assert raise_epoch(path, START_MS) == START_MS // 1000 + 1 == read_epoch(path)


# ---- a database without its epoch, an epoch without its database ---------------------------------


async def test_a_restored_database_that_came_without_its_epoch_refuses_the_leases_from_before(
    path: Path, clock: HandClock
) -> None:
    async with Store.open(path, clock=clock) as store:
        before = Scene(store, clock, path)
        await before.enrol("w")
        await before.imports(film("1", link("a")))
    shutil.copy(path, path.with_name("replica.db"))
    async with Store.open(path, clock=clock) as store:
        lease = await Scene(store, clock, path).lease("w")
    path.with_name("replica.db").replace(path)
    epoch_path(path).unlink()
    async with Store.open(path, clock=clock) as store:
        assert store.epoch == START_MS // 1000
        with pytest.raises(LeaseLostError, match="restored"):
            await Scene(store, clock, path).done("w", lease)
    assert await epoch_of(path, clock) == START_MS // 1000, "it is written down"


async def test_a_first_start_that_was_killed_before_the_epoch_was_written_goes_on(path: Path, clock: HandClock) -> None:
    raw: Any = dbapi2.connect(str(path), isolation_level=None)
    schema.migrate(raw, schema.load()[:2], START_MS)
    raw.close()
    assert await epoch_of(path, clock) == START_MS // 1000


def empty(path: Path) -> None:
    path.write_bytes(b"")


def lose_wal(path: Path) -> None:
    path.with_name("alone.db").replace(path)


@pytest.mark.parametrize("lose", [Path.unlink, empty, lose_wal])
async def test_a_database_of_which_only_the_epoch_is_left_is_not_begun_anew(
    path: Path, clock: HandClock, lose: Callable[[Path], None]
) -> None:
    async with Store.open(path, clock=clock, replicated=True) as store:
        await store.shelf.note_user(7, "en")
        shutil.copy(path, path.with_name("alone.db"))  # everything is in the WAL still
    lose(path)
    before = left_beside(epoch_path(path))
    with pytest.raises(StoreError, match="what the database held is gone") as refusal:
        await epoch_of(path, clock)
    assert refusal.value.hint is not None
    assert left_beside(epoch_path(path)) == before
    epoch_path(path).unlink()
    assert await epoch_of(path, clock) == 1
