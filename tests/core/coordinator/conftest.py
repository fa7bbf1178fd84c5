"""A coordinator on a real socket, over a queue and a catalogue that are held in memory and steered by the test."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from tests.core.coordinator.operations_in_memory import BackupInMemory, OperationsInMemory
from tests.core.coordinator.peers import Opened, Stored, opened_at

from telecine.core.catalogue import (
    CatalogueCounts,
    ImportRun,
    ImportState,
    Title,
    TitleDetail,
    TitleKind,
    VariantDetail,
    VariantSummary,
)
from telecine.core.clock import SystemClock
from telecine.core.config import CoordinatorSettings
from telecine.core.coordinator.events import Events
from telecine.core.coordinator.metrics import Metrics
from telecine.core.coordinator.server import CoordinatorServer
from telecine.core.coordinator.services import Services
from telecine.core.coordinator.tokens import IssuedToken, Scope, Tokens
from telecine.core.delivery import BotFile, DeliveryOutcome, Resolved
from telecine.core.errors import ConflictError, LeaseLostError, NotFoundError
from telecine.core.events import Happening, Listener, Recorded, kind_of
from telecine.core.leases import Swept, VariantState
from telecine.core.protocol import (
    BeatAnswer,
    BeatRequest,
    ChannelRef,
    ClaimRequest,
    Hello,
    Lease,
    LeaseVerdict,
    Outcome,
    Settled,
    SettleDone,
    SourceRef,
    StoredContent,
    Verdict,
)
from telecine.core.quality import Quality

SECRET = "a secret of the tests, " + 64 * "x"
CHANNEL = ChannelRef(id=1, title="CM_C000001", telegram_id=4242)


class SteeredClock(SystemClock):
    """The machine's time, with the wall clock moved by `ahead_ms`."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.ahead_ms


class RegistryInMemory:
    def __init__(self, clock: SteeredClock) -> None:
        self.clock = clock
        self.tokens: dict[str, IssuedToken] = {}

    async def add(self, token: IssuedToken) -> None:
        if token.jti in self.tokens:
            raise ConflictError(f"the token {token.jti} was issued before", field="jti")
        self.tokens[token.jti] = token

    async def revoke(self, jti: str) -> IssuedToken:
        if jti not in self.tokens:
            raise NotFoundError(f"no token {jti}", field="jti")
        self.tokens[jti] = msgspec.structs.replace(self.tokens[jti], revoked_at_ms=self.clock.now_ms())
        return self.tokens[jti]

    async def revoked(self) -> frozenset[str]:
        return frozenset(jti for jti, token in self.tokens.items() if token.revoked_at_ms is not None)

    async def issued(self) -> tuple[IssuedToken, ...]:
        return tuple(self.tokens.values())


@dataclass
class QueueInMemory:
    """Leases that the test hands out. `claiming` is held to keep claims in flight."""

    ready: list[str] = field(default_factory=list)
    leased: dict[str, Lease] = field(default_factory=dict)
    settled: dict[str, tuple[str, Outcome]] = field(default_factory=dict)
    heard: list[Any] = field(default_factory=list)
    waiting: int = 0
    error: Exception | None = None
    claiming: asyncio.Lock = field(default_factory=asyncio.Lock)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    fences: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    requests: dict[str, str] = field(default_factory=dict)
    swept: list[Swept] = field(default_factory=list)

    async def put(self, code: str) -> None:
        self.ready.append(code)
        await self._notify()

    async def until(self, condition: Any) -> None:
        """Wait until something here has become true."""
        async with asyncio.timeout(5), self.changed:
            await self.changed.wait_for(condition)

    async def hello(self, worker: str, account: str, hello: Hello, *, channels_wanted: int) -> tuple[ChannelRef, ...]:
        self.heard.append((worker, account, hello, channels_wanted))
        return (CHANNEL,)

    async def channel_opened(self, worker: str, channel_id: int, telegram_id: int) -> None:
        if channel_id != CHANNEL.id:
            raise NotFoundError(f"no channel {channel_id}", field="id")
        self.heard.append((worker, channel_id, telegram_id))

    async def channel_lost(self, worker: str, channel_id: int, detail: str) -> None:
        if channel_id != CHANNEL.id:
            raise NotFoundError(f"no channel {channel_id}", field="id")
        self.heard.append((worker, channel_id, detail))

    async def claim(self, worker: str, request: ClaimRequest) -> Lease | None:
        self.heard.append(request)
        await self._notify()
        async with self.claiming:
            if self.error is not None:
                raise self.error
            if self.requests.get(request.request_id) in self.leased:
                return self.leased[self.requests[request.request_id]]
            if not self.ready:
                return None
            lease = self._lease(self.ready.pop(0))
            self.leased[lease.lease] = lease
            self.requests[request.request_id] = lease.lease
        await self._notify()
        return lease

    async def wait_for_work(self, timeout_s: float) -> None:
        self.waiting += 1
        await self._notify()
        try:
            async with asyncio.timeout(timeout_s), self.changed:
                await self.changed.wait_for(lambda: bool(self.ready))
        except TimeoutError:
            pass
        finally:
            self.waiting -= 1

    async def beat(self, worker: str, request: BeatRequest) -> BeatAnswer:
        verdicts = (
            LeaseVerdict(told.lease, Verdict.GO_ON if told.lease in self.leased else Verdict.LOST, 60.0)
            for told in request.leases
        )
        return BeatAnswer(tuple(verdicts))

    async def settle(self, worker: str, lease: str, outcome: Outcome) -> Settled:
        if lease in self.settled:
            return Settled(self.settled[lease][0], VariantState.DONE, repeated=True)
        held = self.leased.pop(lease, None)
        if held is None:
            raise LeaseLostError("the lease is not yours any more")
        self.settled[lease] = (held.code, outcome)
        await self._notify()
        done = isinstance(outcome, SettleDone)
        return Settled(held.code, VariantState.DONE if done else VariantState.READY)

    async def renew(self) -> None: ...

    async def sweep(self) -> Swept:
        return self.swept.pop(0) if self.swept else Swept(0, 0, None)

    def _lease(self, code: str) -> Lease:
        source = SourceRef(link_id=7, url="http://files.example/film.mp4", position=0)
        return Lease(f"1.1.{next(self.fences)}", code, Quality.HD, 0, 60.0, CHANNEL, (source,))

    async def _notify(self) -> None:
        async with self.changed:
            self.changed.notify_all()


class CatalogueInMemory:
    """One film; what was asked for is kept in `asked`."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.codes = tuple(f"CM_M{number:06d}_720P" for number in range(1, 6))

    async def search(self, text: str, *, limit: int = 20, offset: int = 0) -> tuple[Title, ...]:
        self.asked.append((text, limit, offset))
        return (Title(1, TitleKind.MOVIE, "Night Train", 1959, 1),)

    async def title(self, title_id: int) -> TitleDetail:
        if title_id != 1:
            raise NotFoundError(f"no title {title_id}", field="id")
        return TitleDetail(1, "cm-1", TitleKind.MOVIE, "Night Train", 1959, (), ())

    async def variant(self, code: str) -> VariantDetail:
        if code not in self.codes:
            raise NotFoundError(f"no variant {code}", field="code")
        return VariantDetail(code, 1, None, Quality.HD, VariantState.READY, 0, 0, 0, None, (), ())

    async def variants(
        self, *, state: VariantState | None = None, account: str | None = None, after: str = "", limit: int = 100
    ) -> tuple[VariantSummary, ...]:
        self.asked.append((state, account, after, limit))
        behind = (code for code in self.codes if code > after)
        return tuple(VariantSummary(code, Quality.HD, VariantState.READY) for code in itertools.islice(behind, limit))

    async def contents(self, account: str, blake3: str) -> tuple[StoredContent, ...]:
        self.asked.append((account, blake3))
        return (StoredContent(4242, 10, 1000, self.codes[0]),)

    async def counts(self) -> CatalogueCounts:
        states = {"ready": 4, "done": 1}
        return CatalogueCounts(1, 1, 0, 0, 5, 5, 5, states, {"untried": 5}, 1, 1, {"done": 1}, 1, 0)


class ShelfInMemory:
    async def resolve(self, code: str, *, bot_id: int) -> Resolved:
        return Resolved(code, VariantState.READY, f"asked by {bot_id}", None, None, None, Quality.HD, ())

    async def save_bot_file(self, file: BotFile) -> None:
        raise AssertionError("the API keeps no file ids")

    async def forget_bot_file(self, bot_id: int, channel_id: int, message_id: int) -> None:
        raise AssertionError("the API keeps no file ids")

    async def note_user(self, user_id: int, language: str | None) -> None:
        raise AssertionError("the API knows no users")

    async def record_delivery(self, code: str, user_id: int, outcome: DeliveryOutcome) -> None:
        raise AssertionError("the API delivers nothing")


class LogInMemory:
    """Events that last; `pruned` of the oldest are gone."""

    epoch = 1

    def __init__(self) -> None:
        self.recorded: list[Recorded] = []
        self.pruned = 0
        self.reads: list[int] = []
        self.error: Exception | None = None
        self._listeners: list[Listener] = []

    @property
    def newest(self) -> int:
        return len(self.recorded)

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def record(self, *happenings: Happening, announced: bool = True) -> None:
        """Let something happen; all at once, as by one commit."""
        first = self.newest + 1
        new = [Recorded(n, kind_of(one), msgspec.json.encode(one)) for n, one in enumerate(happenings, first)]
        self.recorded += new
        if announced:
            self.announce(new)

    def announce(self, recorded: list[Recorded]) -> None:
        for listener in self._listeners:
            listener(recorded)

    async def after(self, number: int, *, limit: int) -> tuple[Recorded, ...]:
        self.reads.append(number)
        if self.error is not None:
            raise self.error
        return tuple(self.recorded[max(number, self.pruned) :][:limit])


class NothingToForget:
    async def prune_attempts(self, before_ms: int, *, limit: int) -> int:
        return 0

    async def prune_events(self, before_ms: int, *, limit: int) -> int:
        return 0


class ImportsInMemory:
    def __init__(self) -> None:
        self.runs: list[ImportRun] = []

    async def start(self) -> ImportRun:
        if self.runs:
            raise ConflictError("an import is running")
        self.runs.append(ImportRun(1, ImportState.RUNNING, started_at_ms=0))
        return self.runs[0]

    async def run(self, import_id: int) -> ImportRun:
        if not 1 <= import_id <= len(self.runs):
            raise NotFoundError(f"no import {import_id}", field="id")
        return self.runs[import_id - 1]


@dataclass
class Api:
    """A running coordinator, what stands behind it, and a client in front of it."""

    server: CoordinatorServer
    client: aiohttp.ClientSession
    services: Services
    clock: SteeredClock
    queue: QueueInMemory
    operations: OperationsInMemory
    catalogue: CatalogueInMemory
    log: LogInMemory
    worker: str  # a token
    operator: str  # a token

    def as_worker(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.worker}"}

    def as_operator(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.operator}"}

    def post(self, path: str, body: Any = None, *, token: str | None = None, data: bytes | None = None) -> Any:
        """A worker's call, unless another `token` is given."""
        content = msgspec.json.encode(body) if data is None and body is not None else data
        headers = {"Authorization": f"Bearer {token or self.worker}", "Content-Type": "application/json"}
        return self.client.post(self.server.url + path, data=content, headers=headers)

    def get(self, path: str, *, token: str | None = None, **headers: str) -> Any:
        """An operator's call, unless another `token` is given."""
        headers = {"Authorization": f"Bearer {token or self.operator}", **headers}
        return self.client.get(self.server.url + path, headers=headers)

    def claim(self, request_id: str = "r1", *, wait_s: float = 0.0) -> Any:
        return self.post("/v1/leases", {"boot_id": "b1", "request_id": request_id, "wait_s": wait_s})


@asynccontextmanager
async def serving() -> AsyncIterator[Api]:
    """A coordinator over memory."""
    clock = SteeredClock()
    operations = OperationsInMemory()
    queue, catalogue, log = QueueInMemory(), CatalogueInMemory(), LogInMemory()
    tokens = Tokens(SECRET, clock, RegistryInMemory(clock))
    services = Services(
        settings=CoordinatorSettings(secret=SECRET, sweep_interval_s=3600),
        version="0.0.test",
        clock=clock,
        new_id=map("request-{}".format, itertools.count(1)).__next__,
        tokens=tokens,
        queue=queue,
        operations=operations,
        backup=BackupInMemory(),
        sweeper=queue,
        retention=NothingToForget(),
        catalogue=catalogue,
        shelf=ShelfInMemory(),
        imports=ImportsInMemory(),
        events=Events(log),
        metrics=Metrics(),
        bot_username=lambda: "telecine_bot",
    )
    worker, _ = await services.tokens.issue("cm-ember", Scope.WORKER, ttl_s=3600, jti="worker-1")
    operator, _ = await services.tokens.issue("ada", Scope.OPERATOR, ttl_s=3600, jti="operator-1")
    server = CoordinatorServer(services, shutdown_grace_s=2.0)
    await server.start("127.0.0.1", 0)
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as client:
            yield Api(server, client, services, clock, queue, operations, catalogue, log, worker, operator)
    finally:
        await server.stop()


Serve = Callable[[], AbstractAsyncContextManager[Api]]


@pytest.fixture
def serve() -> Serve:
    """For tests that start a coordinator themselves."""
    return serving


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with serving() as running:
        yield running


@pytest.fixture
def log() -> LogInMemory:
    return LogInMemory()


@pytest.fixture
def clock() -> SteeredClock:
    return SteeredClock()


@pytest.fixture
def registry(clock: SteeredClock) -> RegistryInMemory:
    return RegistryInMemory(clock)


@pytest.fixture
def tokens(clock: SteeredClock, registry: RegistryInMemory) -> Tokens:
    return Tokens(SECRET, clock, registry)


@pytest.fixture
def opened(tmp_path: Path, clock: SteeredClock) -> Opened:
    """Starts a coordinator on the same database each time."""
    return opened_at(tmp_path / "telecine.db", clock)


@pytest.fixture
async def stored(opened: Opened) -> AsyncIterator[Stored]:
    """A coordinator over a real database."""
    async with opened() as running:
        yield running
