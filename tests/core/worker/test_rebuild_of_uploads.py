"""What the real worker sends is enough to make the coordinator's index of it anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.core.worker.conftest import Daemon
from tests.core.worker.test_daemon_with_store import WORKER_ACCOUNT, _done, _film, _plan, settings, store

from telecine.core.catalogue import VariantDetail
from telecine.core.clock import SystemClock
from telecine.core.config import TelegramSettings, WorkerSettings
from telecine.core.emulator.server import Emulator
from telecine.core.inventory import FoundAccount, Inventory, open_inventory
from telecine.core.worker.telegram.account import open_account
from telecine.core.worker.telegram.channels import Channels
from telecine.core.worker.telegram.scan import Scan, collect
from telecine.store.database import Store

__all__ = ["settings", "store"]  # fixtures: a coordinator on a real database, and a worker's settings for it


async def test_everything_that_the_index_says_of_an_upload_is_in_its_channel(
    store: Store,
    settings: WorkerSettings,
    telegram: TelegramSettings,
    emulator: Emulator,
    url: str,
    tmp_path: Path,
) -> None:
    await _plan(store, _film("Night Train", url), _film("Harbour", url))
    daemon = Daemon(settings, telegram)
    before = await _done(store, 2)
    await daemon.end()
    path = tmp_path / "ember.jsonl"
    async with open_account(telegram, settings.session, flood_wait_in_place_s=2) as account:
        owner = FoundAccount(WORKER_ACCOUNT, account.user_id, account.premium)
        with open_inventory(path, owner) as file:
            await collect(Scan(account, Channels(account.client, SystemClock()), SystemClock()), file, on_page=_nothing)
    async with Store.open(tmp_path / "anew.db", clock=SystemClock()) as anew:
        report = await anew.rebuild.load([Inventory(path)], generation=1)
        after = [await anew.catalogue.variant(variant.code) for variant in before]
        known = {variant.code for variant in await anew.catalogue.variants()}
    assert [_told(variant) for variant in after] == [_told(variant) for variant in before]
    assert known == {variant.code for variant in before}
    assert (report.uploads, report.unnamed_titles, report.undigested_parts, report.unknown_count) == (2, 0, 0, 0)


def _told(variant: VariantDetail) -> tuple[Any, ...]:
    return variant.code, variant.state, variant.origin, variant.channel, variant.objects


def _nothing(_: object) -> None:
    return
