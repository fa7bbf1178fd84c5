"""The worker against the real coordinator on the real database: claim to channel post, with a crash in between."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest
from tests.core.worker.conftest import (
    ACCOUNT,
    BOT_TOKEN,
    CLIP,
    Daemon,
    HeldSource,
    eventually,
    stall,
    stored_files,
    until_state,
)
from tests.core.worker.scripted import BOT_USERNAME
from tests.waiting import found, until

from telecine.core import captions
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
from telecine.core.emulator.faults import Line, RpcFailure
from telecine.core.emulator.server import Emulator
from telecine.core.errors import ConfigError
from telecine.core.leases import AttemptOutcome, LinkFate, VariantState
from telecine.core.operator_protocol import BackupStatus, ChannelState, Park, WorkerMode
from telecine.core.policy import QueuePolicy
from telecine.core.protocol import Hello, Stage
from telecine.core.quality import Quality
from telecine.core.worker.board import WorkerState
from telecine.store.database import Store

SECRET = "a secret of the tests, " + 32 * "x"
WORKER_ACCOUNT = "cm-ember"
LEASE_TTL_S = 3.0  # beaten every second


class NoImports:
    async def start(self) -> ImportRun:
        raise AssertionError("these tests import by themselves")

    async def run(self, import_id: int) -> ImportRun:
        raise AssertionError("these tests import by themselves")


class NoBackup:
    async def status(self) -> BackupStatus:
        raise AssertionError("these tests lose no database")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    policy = QueuePolicy(lease_ttl_s=LEASE_TTL_S)
    async with Store.open(tmp_path / "telecine.db", clock=SystemClock(), policy=policy) as opened:
        yield opened


@pytest.fixture
async def settings(store: Store, worker_settings: WorkerSettings) -> AsyncIterator[WorkerSettings]:
    clock = SystemClock()
    services = Services(
        settings=CoordinatorSettings(secret=SECRET, channels_per_account=1, lease_ttl_s=LEASE_TTL_S),
        version="0.0.test",
        clock=clock,
        new_id=map("request-{}".format, itertools.count(1)).__next__,
        tokens=Tokens(SECRET, clock, store.tokens),
        queue=store.queue,
        operations=store.operations,
        backup=NoBackup(),
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

    async def look() -> list[VariantDetail] | None:
        done = await store.catalogue.variants(state=VariantState.DONE)
        return [await store.catalogue.variant(one.code) for one in done] if len(done) >= count else None

    return await found(look, within_s=30)


async def test_films_go_from_the_queue_into_the_channel_and_before_the_bot(
    store: Store, settings: WorkerSettings, telegram: TelegramSettings, emulator: Emulator, url: str
) -> None:
    await _plan(store, _film("Night Train", f"{emulator.media_url}/none.mp4", url), _film("Harbour", url))
    daemon = Daemon(settings, telegram)
    variants = await _done(store, 2)
    await daemon.end()
    fates = sorted(source.fate for variant in variants for source in variant.sources)
    assert fates == [LinkFate.FAILED, LinkFate.USED, LinkFate.USED]
    stored = {file.code or "": file for file in stored_files(emulator)}
    for variant in variants:
        (kept,) = variant.objects
        file = stored[variant.code]
        assert (kept.channel_id, kept.message_id) == (file.channel_id, file.message_id)
        assert kept.size_bytes == len(file.content)
    posts = await _bot_posts(emulator)
    assert sorted(captions.code_of(post["caption"]) or "" for post in posts) == sorted(stored)


async def test_a_worker_that_dies_between_sending_and_settling_reports_at_its_next_start(
    store: Store, settings: WorkerSettings, telegram: TelegramSettings, emulator: Emulator, url: str
) -> None:
    first = Daemon(settings, telegram)
    await eventually(emulator, emulator.world.channels.all)
    await _plan(store, _film("Night Train", url))
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


async def test_a_session_of_another_user_than_the_accounts_is_the_operators_to_mend(
    store: Store, settings: WorkerSettings, telegram: TelegramSettings
) -> None:
    await store.queue.hello(WORKER_ACCOUNT, WORKER_ACCOUNT, Hello("boot", "1.0", 77, premium=False), channels_wanted=1)
    with pytest.raises(ConfigError, match=r"ember\.session: the account cm-ember is Telegram user 77, not") as raised:
        await Daemon(settings, telegram).task
    assert raised.value.hint is not None
    assert "an account name of its own" in raised.value.hint


async def test_a_worker_ends_whose_name_another_process_has_taken_up(
    store: Store, settings: WorkerSettings, telegram: TelegramSettings, emulator: Emulator
) -> None:
    daemon = Daemon(settings, telegram)
    await until_state(daemon, WorkerState.WORKING)
    hello = Hello("another boot", "1.0", emulator.world.directory.user_named(ACCOUNT).id, premium=False)
    await store.queue.hello(WORKER_ACCOUNT, WORKER_ACCOUNT, hello, channels_wanted=1)
    with pytest.raises(ConfigError, match="another process speaks for the worker cm-ember now") as raised:
        await daemon.task
    assert raised.value.field == "worker.name"


# ---- channels ------------------------------------------------------------------------------------


async def test_a_retired_channel_gets_nothing_more_and_a_new_one_is_made_for_the_next_film(
    store: Store, settings: WorkerSettings, telegram: TelegramSettings, emulator: Emulator, url: str
) -> None:
    daemon = Daemon(settings, telegram)
    await _plan(store, _film("Night Train", url))
    await _done(store, 1)
    await store.operations.retire_channel(1)
    await _plan(store, _film("Night Train", url), _film("Harbour", url))
    first, second = await _done(store, 2)
    await daemon.end()
    assert first.objects[0].channel_id != second.objects[0].channel_id
    states = [(channel.state, channel.messages) for channel in await store.operations.channels()]
    assert states == [(ChannelState.RETIRED, 1), (ChannelState.OPEN, 1)]


async def test_a_channel_lost_in_the_middle_costs_neither_the_film_nor_its_link(
    store: Store, settings: WorkerSettings, telegram: TelegramSettings, emulator: Emulator, url: str
) -> None:
    daemon = Daemon(settings, telegram)
    await eventually(emulator, emulator.world.channels.all)
    emulator.faults.plan(RpcFailure(method="messages.sendMedia", code=403, name="CHAT_WRITE_FORBIDDEN"))
    await _plan(store, _film("Night Train", url))
    (variant,) = await _done(store, 1)
    await daemon.end()
    assert [channel.state for channel in await store.operations.channels()] == [ChannelState.LOST, ChannelState.OPEN]
    outcomes = [attempt.outcome for attempt in await store.operations.attempts(code=variant.code)]
    assert outcomes == [AttemptOutcome.DONE, AttemptOutcome.RELEASED]
    (file,) = stored_files(emulator)
    assert (variant.objects[0].channel_id, variant.objects[0].message_id) == (file.channel_id, file.message_id)


# ---- operators -----------------------------------------------------------------------------------


async def test_a_worker_disabled_in_mid_upload_leaves_nothing_behind_and_works_again_when_it_may(
    store: Store, settings: WorkerSettings, telegram: TelegramSettings, emulator: Emulator, url: str
) -> None:
    stall(emulator)
    daemon = Daemon(settings, telegram)
    await _plan(store, _film("Night Train", url))
    await eventually(emulator, lambda: emulator.sources.count(CLIP.name).requests)
    await store.operations.set_mode(WORKER_ACCOUNT, WorkerMode.DISABLED)
    (variant,) = await store.catalogue.variants(state=VariantState.READY)
    emulator.sources.set_faults(CLIP.name, [])
    await store.operations.set_mode(WORKER_ACCOUNT, WorkerMode.ACTIVE)
    await _done(store, 1)
    await daemon.end()
    assert len(stored_files(emulator)) == 1
    assert not (await store.catalogue.variant(variant.code)).expiries


async def test_a_message_sent_while_its_worker_was_disabled_is_taken_back(
    store: Store, settings: WorkerSettings, telegram: TelegramSettings, emulator: Emulator, url: str
) -> None:
    daemon = Daemon(settings, telegram)
    await eventually(emulator, emulator.world.channels.all)
    await _plan(store, _film("Night Train", url))
    before = emulator.world.stats.requests["channels.getMessages"]
    emulator.faults.set_line(ACCOUNT, Line(latency_s=0.15))
    await eventually(emulator, lambda: emulator.world.stats.requests["channels.getMessages"] > before)  # reading back
    await store.operations.set_mode(WORKER_ACCOUNT, WorkerMode.DISABLED)
    assert len(stored_files(emulator)) == 1
    await eventually(emulator, lambda: not stored_files(emulator))
    emulator.faults.set_line(ACCOUNT, Line())
    await store.operations.set_mode(WORKER_ACCOUNT, WorkerMode.ACTIVE)
    (variant,) = await _done(store, 1)
    await daemon.end()
    (file,) = stored_files(emulator)
    assert [kept.message_id for kept in variant.objects] == [file.message_id]


async def test_a_draining_worker_gets_nothing_and_goes_on_at_once_when_told(
    store: Store, settings: WorkerSettings, telegram: TelegramSettings, emulator: Emulator, url: str
) -> None:
    daemon = Daemon(settings, telegram)
    await eventually(emulator, emulator.world.channels.all)
    await store.operations.set_mode(WORKER_ACCOUNT, WorkerMode.DRAINING)
    await _plan(store, _film("Night Train", url))
    assert not await store.catalogue.variants(state=VariantState.LEASED)
    await store.operations.set_mode(WORKER_ACCOUNT, WorkerMode.ACTIVE)
    await _done(store, 1)
    await daemon.end()


async def test_a_paused_worker_keeps_its_upload_and_ends_it_when_it_may(
    store: Store, settings: WorkerSettings, telegram: TelegramSettings, emulator: Emulator, held: HeldSource
) -> None:
    daemon = Daemon(settings, telegram)
    await _plan(store, _film("Night Train", held.url))
    await held.asked()
    await store.operations.set_mode(WORKER_ACCOUNT, WorkerMode.PAUSED)
    await until_state(daemon, WorkerState.PAUSED)
    held.go.set()
    await until(lambda: [job.stage for job in daemon.worker.board.view().jobs] == [Stage.UPLOADING])
    assert not emulator.world.stats.requests["upload.saveFilePart"]
    assert await store.catalogue.variants(state=VariantState.LEASED)
    await store.operations.set_mode(WORKER_ACCOUNT, WorkerMode.ACTIVE)
    (variant,) = await _done(store, 1)
    await daemon.end()
    outcomes = [attempt.outcome for attempt in await store.operations.attempts(code=variant.code)]
    assert outcomes == [AttemptOutcome.DONE]


async def test_a_worker_that_was_killed_gets_its_upload_again_at_once(
    store: Store, settings: WorkerSettings, telegram: TelegramSettings, emulator: Emulator, held: HeldSource
) -> None:
    first = Daemon(settings, telegram)
    await _plan(store, _film("Night Train", held.url))
    await held.asked()
    await first.kill()
    held.go.set()
    second = Daemon(settings, telegram)
    (variant,) = await _done(store, 1)
    await second.end()
    assert not variant.expiries  # its hello gave the lease back, nobody waited for its end
    assert len(stored_files(emulator)) == 1


async def test_two_films_are_moved_side_by_side(
    store: Store,
    settings: WorkerSettings,
    telegram: TelegramSettings,
    emulator: Emulator,
    url: str,
    held: HeldSource,
) -> None:
    daemon = Daemon(msgspec.structs.replace(settings, jobs=2), telegram)
    await _plan(store, _film("Night Train", held.url))
    await held.asked()
    await _plan(store, _film("Night Train", held.url), _film("Harbour", url))
    await _done(store, 1)
    assert len(await store.catalogue.variants(state=VariantState.LEASED)) == 1
    held.go.set()
    await _done(store, 2)
    await daemon.end()
    assert len(stored_files(emulator)) == 2


async def test_while_an_operator_parks_messages_parts_go_up_and_no_message_is_sent(
    store: Store, settings: WorkerSettings, telegram: TelegramSettings, emulator: Emulator, url: str
) -> None:
    first = Daemon(settings, telegram)
    await eventually(emulator, emulator.world.channels.all)
    await store.operations.park(WORKER_ACCOUNT, Park(seconds=600, uploads=False))
    await _plan(store, _film("Night Train", url))
    await eventually(emulator, lambda: emulator.world.stats.requests["upload.saveFilePart"])
    await first.end()
    assert not emulator.world.stats.requests["messages.sendMedia"]
    await store.operations.unpark(WORKER_ACCOUNT)
    second = Daemon(settings, telegram)
    await _done(store, 1)
    await second.end()


async def _bot_posts(emulator: Emulator) -> list[dict[str, str]]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{emulator.bot_api_url}/bot{BOT_TOKEN}/getUpdates") as response,
    ):
        updates = (await response.json())["result"]
    return [update["channel_post"] for update in updates if "channel_post" in update]
