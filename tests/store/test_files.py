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


@pytest.mark.parametrize("suffix", ["", "-wal"])
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
