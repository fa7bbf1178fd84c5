"""A coordinator over a real store, and a person who types commands at it."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
from click.testing import CliRunner

from telecine.cmd.main import main
from telecine.core.catalogue import (
    ImportedEpisode,
    ImportedLink,
    ImportedTitle,
    ImportRun,
    PlannedVariant,
    TitleKind,
)
from telecine.core.clock import SystemClock
from telecine.core.config import CoordinatorSettings
from telecine.core.coordinator.backup import ReplicaWatch
from telecine.core.coordinator.events import Events
from telecine.core.coordinator.metrics import Metrics
from telecine.core.coordinator.server import CoordinatorServer
from telecine.core.coordinator.services import Services
from telecine.core.coordinator.tokens import Scope, Tokens
from telecine.core.errors import ConflictError
from telecine.core.protocol import (
    BeatRequest,
    ClaimRequest,
    Hello,
    Lease,
    ObjectReport,
    Outcome,
    Progress,
    SettleDone,
    SettleFailed,
    SourceReport,
    Stage,
)
from telecine.core.quality import Quality
from telecine.core.reasons import Reason
from telecine.store.database import Store

SECRET = "s" * 40
BOOT = "boot-1"
FILE_BYTES_MAX = 4 * 10**9


@dataclass(frozen=True)
class Said:
    """What a command printed, and how it ended."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[list[str]]:
        """The words of each line."""
        return [line.split() for line in self.out.splitlines()]

    @property
    def document(self) -> Any:
        return json.loads(self.out)


class NoImports:
    async def start(self) -> ImportRun:
        raise ConflictError("not here")

    async def run(self, import_id: int) -> ImportRun:
        raise ConflictError("not here")


def film(number: int, *hosts: str) -> ImportedTitle:
    """A film with a link to each host."""
    links = tuple(
        ImportedLink(f"link-{number}-{host}", f"https://{host}/{number}.mp4?key=secret", Quality.HD, "field")
        for host in hosts or ("files.example",)
    )
    plan = (PlannedVariant(Quality.HD, tuple(link.cm_id for link in links)),)
    return ImportedTitle(f"title-{number}", TitleKind.MOVIE, f"Film {number}", 1999, links=links, variants=plan)


def series(number: int) -> ImportedTitle:
    """A series of one episode."""
    link = ImportedLink(f"link-{number}", f"https://files.example/{number}.mp4", Quality.HD, "field")
    plan = (PlannedVariant(Quality.HD, (link.cm_id,)),)
    episode = ImportedEpisode(f"episode-{number}", 1, 1, "The Pilot", links=(link,), variants=plan)
    return ImportedTitle(f"title-{number}", TitleKind.SERIES, f"Series {number}", episodes=(episode,))


class Deployment:
    """A coordinator with a queue of its own, the workers that call it, and the operator at a terminal."""

    def __init__(self, store: Store, settings: Path) -> None:
        self.store = store
        self.settings = settings
        self._requests = itertools.count(1)

    async def types(self, *arguments: str | int, answering: str = "") -> Said:
        """What `telecine ARGUMENTS` prints. `answering`: what the person types at its questions."""
        words = ["--config", str(self.settings), *map(str, arguments)]
        return await asyncio.to_thread(run_program, words, answering)

    async def imports(self, *titles: ImportedTitle) -> None:
        importing = await self.store.intake.begin_import()
        await self.store.intake.import_titles(importing.id, titles)

    async def enrols(self, worker: str) -> None:
        """A worker with an account of the same name says hello and opens its channel."""
        hello = Hello(BOOT, "1.0", 1000 + sum(map(ord, worker)), premium=True)
        for channel in await self.store.queue.hello(worker, worker, hello, channels_wanted=1):
            await self.store.queue.channel_opened(worker, channel.id, 500 + channel.id)

    async def claims(self, worker: str) -> Lease:
        request = ClaimRequest(BOOT, f"r{next(self._requests)}", 0, 10**12, FILE_BYTES_MAX)
        lease = await self.store.queue.claim(worker, request)
        assert lease is not None
        return lease

    async def beats(self, worker: str, lease: Lease, *, done: int, total: int) -> None:
        await self.store.queue.beat(
            worker, BeatRequest(BOOT, (Progress(lease.lease, Stage.UPLOADING, lease.sources[0].link_id, done, total),))
        )

    async def uploads(self, worker: str) -> Lease:
        """A worker claims one upload and is done with it."""
        lease = await self.claims(worker)
        part = ObjectReport(1, 1, lease.channel.telegram_id or 0, 10 + next(self._requests), 1_400_000_000, "0" * 64)
        source = SourceReport(lease.sources[0].link_id, None, bytes_read=1_400_000_000, seconds=12)
        await self._settles(worker, lease, SettleDone((part,), (source,), "direct"))
        return lease

    async def fails(
        self,
        worker: str,
        reason: Reason = Reason.GONE,
        detail: str = "404 Not Found",
        *,
        measured: Quality | None = None,
    ) -> Lease:
        """A worker claims one upload and finds none of its links good; the last one, of the quality `measured`."""
        lease = await self.claims(worker)
        tried = [SourceReport(source.link_id, reason, detail) for source in lease.sources]
        tried[-1] = msgspec.structs.replace(tried[-1], quality=measured)
        await self._settles(worker, lease, SettleFailed(reason, tuple(tried), detail))
        return lease

    async def _settles(self, worker: str, lease: Lease, outcome: Outcome) -> None:
        await self.store.queue.settle(worker, lease.lease, outcome)


@asynccontextmanager
async def deploy(folder: Path, *, replicated: bool = False) -> AsyncIterator[Deployment]:
    """A coordinator that listens, and the settings of an operator in `folder`."""
    clock = SystemClock()
    async with Store.open(folder / "telecine.db", clock=clock) as store:
        tokens = Tokens(SECRET, clock, store.tokens)
        token, _ = await tokens.issue("me", Scope.OPERATOR, ttl_s=60, jti="1")
        server = CoordinatorServer(_services(store, tokens, clock, replicated=replicated))
        await server.start("127.0.0.1", 0)
        try:
            settings = folder / "telecine.toml"
            settings.write_text(f'[operator]\ncoordinator_url = "{server.url}"\ntoken = "{token}"\n')
            yield Deployment(store, settings)
        finally:
            await server.stop()


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    async with deploy(tmp_path) as deployed:
        yield deployed


def _services(store: Store, tokens: Tokens, clock: SystemClock, *, replicated: bool) -> Services:
    return Services(
        settings=CoordinatorSettings(secret=SECRET),
        version="0",
        clock=clock,
        new_id=lambda: "r",
        tokens=tokens,
        queue=store.queue,
        operations=store.operations,
        backup=ReplicaWatch(store.files, clock, replicated=replicated),
        sweeper=store.sweeper,
        retention=store.retention,
        catalogue=store.catalogue,
        shelf=store.shelf,
        imports=NoImports(),
        events=Events(store.events),
        metrics=Metrics(),
        bot_username=lambda: None,
    )


class Program(click.Command):
    """The program as a process would run it, but for the process."""

    def main(self, args: Sequence[str] | None = None, *_: Any, **__: Any) -> Any:
        main(args)


def run_program(words: Sequence[str], answering: str = "") -> Said:
    """What `telecine WORDS` prints, and how it ends."""
    done = CliRunner().invoke(Program("telecine"), words, input=answering, catch_exceptions=False)
    return Said(done.exit_code, done.stdout, done.stderr)
