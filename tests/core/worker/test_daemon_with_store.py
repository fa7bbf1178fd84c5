"""The worker against the real coordinator on the real database: claim to channel post, with a crash in between."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest
from tests.core.worker.conftest import ACCOUNT, BOT_TOKEN, CLIP, Daemon, eventually, stored_files
from tests.core.worker.scripted import BOT_USERNAME

from telecine.core.catalogue import (
    ImportedLink,
    ImportedTitle,
    ImportRun,
    PlannedVariant,
    TitleKind,
    VariantDetail,
)
from telecine.core.clock import SystemClock
from telecine.core.config import CoordinatorSettings, TelegramSettings, WorkerSettings
from telecine.core.coordinator.events import Events
from telecine.core.coordinator.metrics import Metrics
from telecine.core.coordinator.server import CoordinatorServer
from telecine.core.coordinator.services import Services
from telecine.core.coordinator.tokens import Scope, Tokens
from telecine.core.emulator.faults import Line
from telecine.core.emulator.media.files import generate
from telecine.core.emulator.server import Emulator
from telecine.core.leases import LinkFate, VariantState
from telecine.core.quality import Quality
from telecine.store.database import Store

SECRET = "a secret of the tests, " + 32 * "x"


class NoImports:
    async def start(self) -> ImportRun:
        raise AssertionError("these tests import by themselves")

    async def run(self, import_id: int) -> ImportRun:
        raise AssertionError("these tests import by themselves")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with Store.open(tmp_path / "telecine.db", clock=SystemClock()) as opened:
        yield opened


@pytest.fixture
async def settings(store: Store, worker_settings: WorkerSettings) -> AsyncIterator[WorkerSettings]:
    clock = SystemClock()
    services = Services(
        settings=CoordinatorSettings(secret=SECRET, channels_per_account=1),
        version="0.0.test",
        clock=clock,
        new_id=map("request-{}".format, itertools.count(1)).__next__,
        tokens=Tokens(SECRET, clock, store.tokens),
        queue=store.queue,
        operations=store.operations,
        sweeper=store.sweeper,
        retention=store.retention,
        catalogue=store.catalogue,
        shelf=store.shelf,
        imports=NoImports(),
        events=Events(store.events),
        metrics=Metrics(),
        bot_username=lambda: BOT_USERNAME,
    )
    server = CoordinatorServer(services)
    await server.start("127.0.0.1", 0)
    token, _ = await services.tokens.issue("cm-ember", Scope.WORKER, ttl_s=3600, jti="ember")
    yield msgspec.structs.replace(worker_settings, coordinator_url=server.url, token=token)
    await server.stop()


async def _plan(store: Store, *films: ImportedTitle) -> None:
    run = await store.intake.begin_import()
    await store.intake.import_titles(run.id, films)
    await store.intake.finish_import(run.id, rejected=0)


def _film(name: str, *urls: str) -> ImportedTitle:
    links = tuple(ImportedLink(f"{name}-{n}", url, Quality.TINY, "field") for n, url in enumerate(urls))
    planned = PlannedVariant(Quality.TINY, tuple(link.cm_id for link in links))
    return ImportedTitle(f"cm-{name}", TitleKind.MOVIE, name, links=links, variants=(planned,))


async def _done(store: Store, count: int) -> list[VariantDetail]:
    """Wait until so many variants are done."""
    async with asyncio.timeout(30):
        while len(done := await store.catalogue.variants(state=VariantState.DONE)) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return [await store.catalogue.variant(one.code) for one in done]


async def test_films_go_from_the_queue_into_the_channel_and_before_the_bot(
    store: Store, settings: WorkerSettings, telegram: TelegramSettings, emulator: Emulator, tmp_path: Path
) -> None:
    await asyncio.to_thread(generate, CLIP, tmp_path / "media")
    url = f"{emulator.media_url}/{CLIP.name}"
    await _plan(store, _film("Night Train", f"{emulator.media_url}/none.mp4", url), _film("Harbour", url))
    daemon = Daemon(settings, telegram)
    variants = await _done(store, 2)
    await daemon.end()
    fates = sorted(source.fate for variant in variants for source in variant.sources)
    assert fates == [LinkFate.FAILED, LinkFate.USED, LinkFate.USED]
    stored = {file.caption: file for file in stored_files(emulator)}
    for variant in variants:
        (kept,) = variant.objects
        file = stored[variant.code]
        assert (kept.channel_id, kept.message_id) == (file.channel_id, file.message_id)
        assert kept.size_bytes == len(file.content)
    posts = await _bot_posts(emulator)
    assert sorted(post["caption"] for post in posts) == sorted(stored)


async def test_a_worker_that_dies_between_sending_and_settling_reports_at_its_next_start(
    store: Store, settings: WorkerSettings, telegram: TelegramSettings, emulator: Emulator, tmp_path: Path
) -> None:
    await asyncio.to_thread(generate, CLIP, tmp_path / "media")
    first = Daemon(settings, telegram)
    await eventually(emulator, emulator.world.channels.all)
    await _plan(store, _film("Night Train", f"{emulator.media_url}/{CLIP.name}"))
    before = emulator.world.stats.requests["channels.getMessages"]
    emulator.faults.set_line(ACCOUNT, Line(latency_s=0.15))
    await eventually(emulator, lambda: emulator.world.stats.requests["channels.getMessages"] > before)  # reading back
    await first.kill()
    emulator.faults.set_line(ACCOUNT, Line())
    second = Daemon(settings, telegram)
    (variant,) = await _done(store, 1)
    await second.end()
    (file,) = stored_files(emulator)
    assert [kept.message_id for kept in variant.objects] == [file.message_id]


async def _bot_posts(emulator: Emulator) -> list[dict[str, str]]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{emulator.bot_api_url}/bot{BOT_TOKEN}/getUpdates") as response,
    ):
        updates = (await response.json())["result"]
    return [update["channel_post"] for update in updates if "channel_post" in update]
