"""Followers over real sockets, with the real log behind them: nothing is missed, and nothing is told twice."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from tests.core.coordinator.over_store import services_over

from telecine.core.clock import SystemClock
from telecine.core.coordinator import events
from telecine.core.coordinator.pruning import DAY_MS
from telecine.core.coordinator.server import CoordinatorServer
from telecine.core.coordinator.tokens import Scope
from telecine.core.protocol import Hello
from telecine.store import Store
from telecine.store.epoch import write_epoch

if TYPE_CHECKING:
    from tests.core.coordinator.conftest import SteeredClock


class Follower:
    """What a browser does with the stream: remembers the latest id, and comes back with it."""

    def __init__(self) -> None:
        self.last_id: str | None = None
        self.ids: list[str] = []
        self.resets = 0

    @property
    def numbers(self) -> list[int]:
        return [int(one.rpartition("-")[2]) for one in self.ids]

    def has_begun(self) -> bool:
        return self.last_id is not None

    def heard(self, count: int) -> Callable[[], bool]:
        """Whether it has heard of so many events that last."""
        return lambda: len(self.ids) >= count

    async def follow(self, coordinator: Coordinator, *, until: Callable[[], bool]) -> None:
        """Read until something has become true, then leave in the middle of whatever is coming."""
        async with asyncio.timeout(10), coordinator.events(self.last_id) as stream:
            while not until():
                self._take((await stream.content.readuntil(b"\n\n")).decode())

    def _take(self, frame: str) -> None:
        fields = dict(line.split(": ", 1) for line in frame.strip().splitlines() if not line.startswith(":"))
        self.last_id = fields.get("id", self.last_id)
        if fields.get("event") == "reset":
            self.resets += 1
        elif "event" in fields and "id" in fields:
            self.ids.append(fields["id"])


class Coordinator:
    """A coordinator on a socket, as an operator sees it."""

    def __init__(self, store: Store, server: CoordinatorServer, client: aiohttp.ClientSession, token: str) -> None:
        self.store = store
        self._server = server
        self._client = client
        self._token = token

    def events(self, last_id: str | None) -> Any:
        headers = {"Authorization": f"Bearer {self._token}"} | ({"Last-Event-ID": last_id} if last_id else {})
        return self._client.get(f"{self._server.url}/v1/events", headers=headers)

    async def metrics(self) -> str:
        async with self._client.get(f"{self._server.url}/metrics") as response:
            return await response.text()


Start = Callable[..., AbstractAsyncContextManager[Coordinator]]


async def happen(store: Store, count: int = 1) -> None:
    """Let so many events happen, each in an operation of its own."""
    await asyncio.gather(*(store.operations.unpark("cm-ember") for _ in range(count)))


async def happen_in_gusts(store: Store, chance: random.Random, count: int) -> None:
    while count:
        gust = min(count, chance.randint(1, 40))
        await happen(store, gust)
        count -= gust


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "telecine.db"


@pytest.fixture
async def start(path: Path, clock: SteeredClock) -> Start:
    """Starts a coordinator on the same database each time. It has one account, of which there is news."""
    jtis = map("ada-{}".format, itertools.count(1))
    async with Store.open(path, clock=clock) as store:
        await store.queue.hello("cm-ember", "cm-ember", Hello("b1", "1", 77, premium=True), channels_wanted=0)

    @asynccontextmanager
    async def started(*, kept_max: int = events.EVENTS_KEPT_MAX) -> AsyncIterator[Coordinator]:
        async with AsyncExitStack() as stack:
            store = await stack.enter_async_context(Store.open(path, clock=clock))
            services = services_over(store, clock, events_kept_max=kept_max)
            token, _ = await services.tokens.issue("ada", Scope.OPERATOR, ttl_s=3600, jti=next(jtis))
            server = CoordinatorServer(services, shutdown_grace_s=2.0)
            await server.start("127.0.0.1", 0)
            stack.push_async_callback(server.stop)
            client = await stack.enter_async_context(aiohttp.ClientSession())
            yield Coordinator(store, server, client, token)

    return started


@pytest.fixture
def follower() -> Follower:
    return Follower()


async def test_a_follower_resumes_over_a_restart(start: Start, path: Path, follower: Follower) -> None:
    async with start() as coordinator:
        await happen(coordinator.store, 3)
        await follower.follow(coordinator, until=follower.has_begun)  # has heard of nothing yet
        await happen(coordinator.store, 3)
    async with Store.open(path, clock=SystemClock()) as store:
        await happen(store, 3)
    async with start() as coordinator:
        await happen(coordinator.store, 3)
        await follower.follow(coordinator, until=follower.heard(9))
    assert follower.ids == [f"1-{number}" for number in range(4, 13)]
    assert follower.resets == 0


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_follower_that_comes_and_goes_hears_everything_once(
    start: Start, follower: Follower, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """However memory and log take turns in telling it."""
    chance = random.Random(seed)
    monkeypatch.setattr(events, "EVENTS_PER_PAGE", 7)
    async with start(kept_max=chance.randint(1, 30)) as coordinator:
        await follower.follow(coordinator, until=follower.has_begun)
        storm = asyncio.create_task(happen_in_gusts(coordinator.store, chance, 600))
        while len(follower.ids) < 600:
            enough = min(600, len(follower.ids) + chance.randint(0, 60))
            await follower.follow(coordinator, until=follower.heard(enough))
        await storm
    assert follower.numbers == list(range(1, 601)), f"seed {seed}"
    assert follower.resets == 0


async def test_a_follower_whose_next_event_was_pruned_looks_anew_and_goes_on(start: Start, follower: Follower) -> None:
    async with start() as coordinator:
        await follower.follow(coordinator, until=follower.has_begun)
        await happen(coordinator.store, 10)
    async with start() as coordinator:
        assert await coordinator.store.retention.prune_events(1 << 60, limit=500) == 9
        await follower.follow(coordinator, until=lambda: follower.resets == 1)
        await happen(coordinator.store)
        await follower.follow(coordinator, until=follower.heard(1))
    assert follower.ids == ["1-11"]


async def test_pruning_what_a_follower_has_seen_costs_it_nothing(start: Start, follower: Follower) -> None:
    async with start() as coordinator:
        await happen(coordinator.store, 5)
        await follower.follow(coordinator, until=lambda: follower.last_id == "1-5")
    async with start() as coordinator:
        await happen(coordinator.store, 5)
        for _ in range(5):
            await coordinator.store.retention.prune_events(1 << 60, limit=1)
        await follower.follow(coordinator, until=follower.heard(5))
    assert (follower.numbers, follower.resets) == ([6, 7, 8, 9, 10], 0)


async def test_after_a_restore_a_follower_looks_anew(start: Start, path: Path, follower: Follower) -> None:
    async with start() as coordinator:
        await happen(coordinator.store, 5)
        await follower.follow(coordinator, until=lambda: follower.last_id == "1-5")
    write_epoch(path, 2)  # as the runbook says; the numbers may mean other events now
    async with start() as coordinator:
        await happen(coordinator.store, 5)
        await follower.follow(coordinator, until=lambda: follower.resets == 1)
        await happen(coordinator.store)
        await follower.follow(coordinator, until=follower.heard(1))
    assert follower.ids == ["2-11"]


async def test_history_is_pruned_while_the_coordinator_runs(start: Start, clock: SteeredClock) -> None:
    async with start() as coordinator:
        await happen(coordinator.store, 5)
    clock.ahead_ms += 15 * DAY_MS  # events are kept for 14 days, attempts for longer
    async with start() as coordinator, asyncio.timeout(5):
        metrics = ""
        while 'telecine_pruned_total{kind="events"} 4' not in metrics:
            metrics = await coordinator.metrics()
        assert [one.number for one in await coordinator.store.events.after(0, limit=10)] == [5]
    assert 'kind="attempts"' not in metrics
