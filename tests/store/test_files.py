"""A database whose files are taken away, or exchanged, while it is open."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from telecine.core.errors import StoreError
from telecine.store import Store

if TYPE_CHECKING:
    from tests.clocks import HandClock


def move(source: Path, target: Path) -> None:
    source.rename(target)


def exchange(source: Path, target: Path) -> None:
    source.rename(target)
    shutil.copy(target, source)


def put_behind_link(path: Path, name: str) -> Path:
    real = path.with_name(name)
    path.symlink_to(real)
    return real


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
@pytest.mark.parametrize(("away", "why"), [(move, "is gone"), (exchange, "is another file now")])
async def test_nothing_is_answered_that_nobody_would_find_again(
    path: Path, clock: HandClock, away: Callable[[Path, Path], None], why: str, suffix: str
) -> None:
    file = path.with_name(path.name + suffix)
    async with Store.open(path, clock=clock) as store:
        await store.shelf.note_user(7, "en")
        away(file, path.with_name("aside"))
        with pytest.raises(StoreError, match=rf"cannot be written: .*{file.name} {why}"):
            await store.shelf.note_user(8, "en")
        assert (await store.catalogue.counts()).titles == 0, "what was there can be read still"
        move(path.with_name("aside"), file)
        await store.shelf.note_user(9, "en")
    async with Store.open(path, clock=clock) as store:
        rows = await store.catalogue._readers.run(lambda tx: tx._cursor.execute("SELECT id FROM users").fetchall())
    assert rows == [(7,), (9,)]


async def test_the_files_of_a_database_behind_a_symbolic_link_are_looked_for_where_they_are(
    path: Path, clock: HandClock
) -> None:
    wal = put_behind_link(path, "real.db").with_name("real.db-wal")
    async with Store.open(path, clock=clock, replicated=True) as store:
        await store.shelf.note_user(7, "en")
        assert store.files.measure().wal_bytes == wal.stat().st_size > 0
        move(wal, path.with_name("aside"))
        with pytest.raises(StoreError, match=r"real\.db-wal is gone"):
            await store.shelf.note_user(8, "en")
        move(path.with_name("aside"), wal)
        await store.shelf.note_user(9, "en")
