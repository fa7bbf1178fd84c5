from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pysqlite3 import dbapi2
from tests.clocks import HandClock
from tests.store.desk import Desk, opened

from telecine.core.backoff import Ladder
from telecine.core.catalogue import (
    ImportCounts,
    ImportedEpisode,
    ImportedLink,
    ImportedTitle,
    PlannedVariant,
    TitleKind,
)
from telecine.core.policy import QueuePolicy
from telecine.core.protocol import (
    BeatAnswer,
    BeatRequest,
    ChannelRef,
    ClaimRequest,
    Hello,
    Lease,
    ObjectReport,
    Progress,
    Settled,
    SettleDone,
    SettleFailed,
    SourceReport,
    Stage,
)
from telecine.core.quality import Quality
from telecine.core.reasons import Reason
from telecine.store import Store

POLICY = QueuePolicy(
    lease_ttl_s=60.0,
    rounds=Ladder((30.0, 300.0)),
    rounds_max=3,
    hosts=Ladder((5.0, 20.0)),
    accounts=Ladder((60.0, 600.0)),
)


def link(cm_id: str, quality: Quality = Quality.HD, url: str | None = None) -> ImportedLink:
    """A link to a host of its own, unless `url` says otherwise: what becomes of one says nothing about another."""
    return ImportedLink(cm_id, url or f"http://{cm_id}.example/{cm_id}.mkv", quality, "field")


def plan(links: tuple[ImportedLink, ...]) -> tuple[PlannedVariant, ...]:
    qualities = dict.fromkeys(one.quality for one in links)
    return tuple(PlannedVariant(q, tuple(one.cm_id for one in links if one.quality is q)) for q in qualities)


def film(cm_id: str, *links: ImportedLink, name: str = "A Film", year: int | None = 1999) -> ImportedTitle:
    return ImportedTitle(cm_id, TitleKind.MOVIE, name, year, 5400, links, plan(links))


def episode(cm_id: str, season: int, number: int, *links: ImportedLink) -> ImportedEpisode:
    return ImportedEpisode(cm_id, season, number, f"Episode {number}", 1500, links, plan(links))


def series(cm_id: str, *episodes: ImportedEpisode, name: str = "A Series") -> ImportedTitle:
    return ImportedTitle(cm_id, TitleKind.SERIES, name, 2001, episodes=episodes)


class Scene:
    """A store and the people around it, with the short way to say what they do."""

    def __init__(self, store: Store, clock: HandClock, path: Path) -> None:
        self.store = store
        self.clock = clock
        self.path = path
        self.import_id = 0
        self._numbers = itertools.count(1)

    async def imports(self, *titles: ImportedTitle) -> ImportCounts:
        if not self.import_id:
            self.import_id = (await self.store.intake.begin_import()).id
        return await self.store.intake.import_titles(self.import_id, titles)

    async def hello(self, worker: str, *, account: str | None = None, boot: str = "boot-1", channels: int = 1) -> Any:
        user_id = 1000 + sum(map(ord, account or worker))
        facts = Hello(boot, "1.0", user_id, premium=True)
        return await self.store.queue.hello(worker, account or worker, facts, channels_wanted=channels)

    async def enrol(self, worker: str, *, account: str | None = None, channels: int = 1) -> tuple[ChannelRef, ...]:
        """Say hello and open the channels; their ids in Telegram are ours plus 500."""
        for ref in await self.hello(worker, account=account, channels=channels):
            await self.store.queue.channel_opened(worker, ref.id, 500 + ref.id)
        refs: tuple[ChannelRef, ...] = await self.hello(worker, account=account, channels=channels)
        return refs

    async def claim(self, worker: str, request_id: str | None = None, *, boot: str = "boot-1") -> Lease | None:
        request = ClaimRequest(boot, request_id or f"request-{next(self._numbers)}")
        return await self.store.queue.claim(worker, request)

    async def lease(self, worker: str) -> Lease:
        lease = await self.claim(worker)
        assert lease is not None
        return lease

    async def beat(self, worker: str, *leases: Lease, boot: str = "boot-1") -> BeatAnswer:
        progress = tuple(Progress(lease.lease, Stage.UPLOADING, lease.sources[0].link_id, 7, 70) for lease in leases)
        return await self.store.queue.beat(worker, BeatRequest(boot, progress))

    async def done(self, worker: str, lease: Lease, *message_ids: int) -> Settled:
        return await self.store.queue.settle(worker, lease.lease, uploaded(lease, *message_ids))

    async def fails(self, worker: str, lease: Lease, reasons: Mapping[int, Reason]) -> Settled:
        reports = tuple(SourceReport(link_id, reason, "why", 10, 1.0) for link_id, reason in reasons.items())
        reason = reports[-1].reason if reports else None
        return await self.store.queue.settle(worker, lease.lease, SettleFailed(reason or Reason.INTERNAL, reports))

    def sql(self, statement: str, *params: Any) -> list[tuple[Any, ...]]:
        """Straight to the file, past the store."""
        raw = dbapi2.connect(str(self.path), isolation_level=None)
        try:
            raw.execute("PRAGMA foreign_keys=ON")
            raw.execute("PRAGMA busy_timeout=5000")
            rows: list[tuple[Any, ...]] = raw.execute(statement, params).fetchall()
            return rows
        finally:
            raw.close()


def uploaded(lease: Lease, *message_ids: int) -> SettleDone:
    """The report of an upload by the lease's first link."""
    messages = message_ids or (int(lease.lease.split(".")[1]) * 10,)
    assert lease.channel.telegram_id is not None
    objects = tuple(
        ObjectReport(number, len(messages), lease.channel.telegram_id, message_id, 1 << 20, "0" * 64, 60.0)
        for number, message_id in enumerate(messages, start=1)
    )
    return SettleDone(objects, (SourceReport(lease.sources[0].link_id, None, None, 1 << 20, 3.0),), "direct")


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "telecine.db"


@pytest.fixture
async def scene(path: Path, clock: HandClock) -> AsyncIterator[Scene]:
    async with Store.open(path, clock=clock, policy=POLICY) as store:
        yield Scene(store, clock, path)
    assert Scene(store, clock, path).sql("PRAGMA integrity_check") == [("ok",)]
    assert Scene(store, clock, path).sql("PRAGMA foreign_key_check") == []


@pytest.fixture
async def queued(scene: Scene) -> Scene:
    """A film of three links that are said to be 720p, and somebody to upload it."""
    await scene.enrol("w")
    await scene.imports(film("1", link("a"), link("b"), link("c")))
    return scene


@pytest.fixture
async def desk(path: Path, clock: HandClock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    async with opened(path, clock, monkeypatch) as desk:
        yield desk


@pytest.fixture
async def held(scene: Scene) -> Scene:
    """A film of two links that the account of `w` holds, of which a copy is wanted; `v` uploads for another account."""
    await scene.enrol("w")
    await scene.imports(film("1", link("a"), link("b")))
    lease = await scene.lease("w")
    await scene.fails("w", lease, {lease.sources[0].link_id: Reason.GONE})
    await scene.done("w", await scene.lease("w"), 11)
    await scene.enrol("v")
    await scene.store.operations.set_copies(1, 2)
    return scene


@pytest.fixture
async def copied(held: Scene) -> Scene:
    """The same, with the copy done too."""
    await held.store.sweeper.sweep()
    await held.done("v", await held.lease("v"), 21)
    return held
