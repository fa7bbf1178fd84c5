"""The whole way: from the emulator's CM over a socket into the real database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.core.intake.conftest import EMAIL, PASSWORD, cm_settings, film, jwt_refresh, links, series

from telecine.core.catalogue import CatalogueCounts, ImportState
from telecine.core.clock import SystemClock
from telecine.core.emulator.cm.auth import CmCredentials
from telecine.core.emulator.cm.content import CmContent, Table
from telecine.core.emulator.server import Emulator, EmulatorSettings
from telecine.core.emulator.telegram.keys import ServerKey
from telecine.core.intake.importer import Importer
from telecine.store.database import Store

CONTENT = CmContent(
    titles=(
        film(1, *links(1, "1080p", "720p", "1080p", None)),
        film(2),
        series(3, 120, "720p", "480p"),
    )
)


@pytest.fixture
async def emulator(server_key: ServerKey) -> AsyncIterator[Emulator]:
    settings = EmulatorSettings(cm_credentials=CmCredentials(email=EMAIL, password=PASSWORD))
    async with Emulator(settings, key=server_key) as emulator:
        emulator.cm.catalogue.replace(CONTENT)
        yield emulator


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with Store.open(tmp_path / "telecine.db", clock=SystemClock()) as store:
        yield store


def importer(emulator: Emulator, store: Store, folder: Path) -> Importer:
    settings = cm_settings(
        emulator.cm_url,
        auth=jwt_refresh(token_file=folder / "tokens.json"),
        paging={"kind": "keyset", "size": 2},
    )
    return Importer(settings, store.intake, SystemClock())


async def counts_of(store: Store) -> CatalogueCounts:
    return await store.catalogue.counts()


async def test_catalogue_holds_every_link_of_cm_in_a_variant(emulator: Emulator, store: Store, tmp_path: Path) -> None:
    run = await importer(emulator, store, tmp_path).run()
    assert (run.state, run.rejected, run.error) == (ImportState.DONE, 0, None)
    counts = await counts_of(store)
    assert (counts.titles, counts.episodes, counts.links) == (3, 120, 244)
    assert counts.links_planned == counts.links
    assert counts.variants == 3 + 240
    assert await store.intake.import_run(run.id) == run


async def test_importing_again_changes_only_what_cm_changed(emulator: Emulator, store: Store, tmp_path: Path) -> None:
    both = importer(emulator, store, tmp_path)
    await both.run()
    before = await counts_of(store)
    again = await both.run()
    assert (again.counts.titles_new, again.counts.links_new, again.counts.variants_new) == (0, 0, 0)
    assert await counts_of(store) == before
    emulator.cm.catalogue.add(Table.LINKS, {"title_id": 2, "url": "https://cdn.example/new.2160p.mp4"})
    emulator.cm.catalogue.delete(Table.LINKS, 4)
    third = await both.run()
    assert (third.counts.links_new, third.counts.variants_new) == (1, 1)
    after = await counts_of(store)
    assert after.links == before.links + 1  # the deleted one is still known
    assert after.links_planned == after.links
