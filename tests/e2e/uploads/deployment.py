"""A worker process of its own, the coordinator on a real database, and the embedded Telegram and source host."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from tests.core.worker.conftest import sign_in_as
from tests.e2e.crash.processes import Child
from tests.e2e.uploads.front import Front
from tests.waiting import found, until

from telecine.core import captions
from telecine.core.catalogue import (
    ImportedLink,
    ImportedTitle,
    ImportRun,
    PlannedVariant,
    StoredObject,
    TitleKind,
    VariantDetail,
)
from telecine.core.clock import SystemClock
from telecine.core.config import CoordinatorSettings, TelegramSettings
from telecine.core.coordinator.events import Events
from telecine.core.coordinator.metrics import Metrics
from telecine.core.coordinator.server import CoordinatorServer
from telecine.core.coordinator.services import Services
from telecine.core.coordinator.tokens import Scope, Tokens
from telecine.core.emulator.control.messages import NewAccount, NewBot
from telecine.core.emulator.server import Emulator, EmulatorSettings
from telecine.core.emulator.telegram.entities import Document
from telecine.core.emulator.telegram.keys import ServerKey
from telecine.core.leases import VariantState
from telecine.core.operator_protocol import BackupStatus
from telecine.core.policy import QueuePolicy
from telecine.core.quality import Quality
from telecine.store.database import Store

ACCOUNT = "ember"
PHONE = "15550001"
BOT_TOKEN = "4242:AAtesttokenAAtesttokenAAtesttokenA1"
BOT_USERNAME = "telecine_bot"
SECRET = "a secret of the tests, " + 32 * "x"
LEASE_TTL_S = 30.0  # no lease of these tests runs out: a worker that starts anew has let go of what it held


class NoImports:
    async def start(self) -> ImportRun:
        raise AssertionError("these tests import by themselves")

    async def run(self, import_id: int) -> ImportRun:
        raise AssertionError("these tests import by themselves")


class NoBackup:
    async def status(self) -> BackupStatus:
        raise AssertionError("these tests lose no database")


class Uploaded(msgspec.Struct, frozen=True):
    """A message of an upload, as its channel holds it."""

    code: str
    channel_id: int
    message_id: int
    document: Document


class Deployment:
    """All of it. `worker` is started by the test."""

    def __init__(self, folder: Path, emulator: Emulator, store: Store, front: Front, worker: Child) -> None:
        self.folder = folder
        self.emulator = emulator
        self.front = front
        self.worker = worker
        self.store = store
        self._titles = itertools.count(1)

    @property
    def media(self) -> Path:
        assert self.emulator.settings.media_dir is not None
        return self.emulator.settings.media_dir

    @property
    def requests(self) -> Mapping[str, int]:
        """How often each of Telegram's methods has been called."""
        return self.emulator.world.stats.requests

    async def plan(self, *names: str, quality: Quality = Quality.AUTO) -> str:
        """Have a title uploaded whose links lead to files of the source host. The upload's code."""
        before = {one.code for one in await self.store.catalogue.variants(limit=500)}
        run = await self.store.intake.begin_import()
        await self.store.intake.import_titles(run.id, [self._title(names, quality)])
        await self.store.intake.finish_import(run.id, rejected=0)
        after = {one.code for one in await self.store.catalogue.variants(limit=500)}
        (code,) = after - before
        return code

    async def variant(self, code: str) -> VariantDetail:
        return await self.store.catalogue.variant(code)

    async def done(self, code: str, timeout_s: float = 60.0) -> tuple[StoredObject, ...]:
        """Wait for an upload; what the coordinator knows of its parts. Raises DiedError where the worker ends."""

        async def look() -> VariantDetail | None:
            self.worker.check()
            variant = await self.variant(code)
            return variant if variant.state is VariantState.DONE else None

        variant = await found(look, timeout_s)
        return tuple(sorted(variant.objects, key=lambda kept: kept.part_no))

    def uploaded(self, code: str) -> list[Uploaded]:
        """Every message whose caption names the upload or a part of it, in the order of parts and messages."""
        world, found = self.emulator.world, []
        for channel in world.channels.all():
            for message in world.messages.in_channel(channel):
                named = captions.code_of(message.content.text) or ""
                document = world.documents.find(message.content.document_id or 0)
                if document is not None and named.startswith(code):
                    found.append(Uploaded(named, channel.id, message.post_id, document))
        return sorted(found, key=lambda one: (one.code, one.message_id))

    def content(self, stored: Uploaded) -> bytes:
        return self.emulator.world.documents.read(stored.document)

    def file(self, stored: Uploaded) -> Path:
        """Where Telegram keeps the content of a file that came in whole parts."""
        return self.folder / "world" / "blobs" / stored.document.blob

    async def kill_worker(self) -> None:
        """SIGKILL. Whoever has worked for it must end, too, and at once."""
        parsers = [] if self.worker.pid is None else _children(self.worker.pid)
        await self.worker.kill()
        await until(lambda: not any(_is_up(parser) for parser in parsers), within_s=20)

    def left_behind(self) -> list[str]:
        """What a worker that is idle keeps for its next start. Nothing, if all went well."""
        journal = self.folder / "worker.journal"
        lines = journal.read_text().splitlines() if journal.exists() else []
        return [*_open(lines), *(path.name for path in (self.folder / "worker.uploads").glob("*"))]

    def _title(self, names: tuple[str, ...], quality: Quality) -> ImportedTitle:
        number = next(self._titles)
        links = tuple(
            ImportedLink(f"{number}-{place}", f"{self.emulator.media_url}/{name}", quality, "field")
            for place, name in enumerate(names)
        )
        planned = PlannedVariant(quality, tuple(link.cm_id for link in links))
        return ImportedTitle(f"film-{number}", TitleKind.MOVIE, f"Film {number}", links=links, variants=(planned,))


@asynccontextmanager
async def deployed(folder: Path, key: ServerKey, *, premium: bool = False, **worker: Any) -> AsyncIterator[Deployment]:
    """A deployment in an empty folder. `worker`: settings of the worker beside those that it needs."""
    (folder / "media").mkdir()
    settings = EmulatorSettings(
        data_dir=folder / "world",
        media_dir=folder / "media",
        accounts=(NewAccount(phone=PHONE, name=ACCOUNT, premium=premium),),
        bots=(NewBot(token=BOT_TOKEN, username=BOT_USERNAME),),
    )
    async with AsyncExitStack() as stack:
        emulator = await stack.enter_async_context(Emulator(settings, key=key))
        policy = QueuePolicy(lease_ttl_s=LEASE_TTL_S)
        store = await stack.enter_async_context(Store.open(folder / "telecine.db", clock=SystemClock(), policy=policy))
        url, token = await stack.enter_async_context(_coordinator(store))
        front = await stack.enter_async_context(Front.before(url))
        file = folder / "telecine.toml"
        telegram = _telegram(emulator, folder)
        await sign_in_as(emulator, telegram, folder / "worker.session", PHONE)
        needed = {"name": "worker", "coordinator_url": front.url, "token": token}
        file.write_text(_toml(telegram, {**needed, "session": str(folder / "worker.session"), **_HASTE, **worker}))
        child = Child("worker", "telecine.cmd", ["-c", str(file), "work"], log=folder / "worker.log")
        yield await stack.enter_async_context(_started(Deployment(folder, emulator, store, front, child)))


_HASTE = {"sends_per_minute": 6000, "allow_private_sources": True, "shutdown_grace_s": 5.0}


@asynccontextmanager
async def _started(deployment: Deployment) -> AsyncIterator[Deployment]:
    async with deployment.worker:
        yield deployment


@asynccontextmanager
async def _coordinator(store: Store) -> AsyncIterator[tuple[str, str]]:
    """Its URL, and the token of a worker."""
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
    token, _ = await services.tokens.issue("worker", Scope.WORKER, ttl_s=3600, jti="worker")
    try:
        yield server.url, token
    finally:
        await server.stop()


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _is_up(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _telegram(emulator: Emulator, folder: Path) -> TelegramSettings:
    public_key = folder / "server-public.pem"
    public_key.write_text(emulator.public_key_pem)
    host, port = emulator.mtproto_address
    return TelegramSettings(api_id=1, api_hash="a" * 32, server=f"{host}:{port}", public_key=public_key)


def _toml(telegram: TelegramSettings, worker: Mapping[str, object]) -> str:
    lines = [f"{name} = {json.dumps(value)}" for name, value in worker.items()]
    return (
        f'[telegram]\napi_id = {telegram.api_id}\napi_hash = "{telegram.api_hash}"\nserver = "{telegram.server}"\n'
        f'public_key = "{telegram.public_key}"\n[worker]\n' + "\n".join(lines) + "\n"
    )


def _open(journal: list[str]) -> list[str]:
    """The records about leases that are not closed."""
    records = [json.loads(line) for line in journal]
    closed = {record["lease"] for record in records if record["type"] == "closed"}
    return [str(record) for record in records if record["lease"] not in closed]
