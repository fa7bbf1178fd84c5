"""Workers and an operator in front of a coordinator over a real database."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp
import msgspec
import yarl
from tests.core.coordinator.over_store import services_over

from telecine.core.catalogue import ImportedLink, ImportedTitle, PlannedVariant, TitleKind
from telecine.core.coordinator.server import CoordinatorServer
from telecine.core.coordinator.tokens import Scope
from telecine.core.protocol import (
    BeatAnswer,
    BeatRequest,
    ChannelOpened,
    ClaimRequest,
    Hello,
    Lease,
    ObjectReport,
    Outcome,
    Progress,
    Settled,
    SettleDone,
    SettleRequest,
    SourceReport,
    Stage,
    Verdict,
    Welcome,
)
from telecine.core.quality import Quality
from telecine.store.database import Store

if TYPE_CHECKING:
    from pathlib import Path

    from telecine.core.clock import Clock

T = TypeVar("T")


class Peer:
    """Someone with a token: a worker or an operator."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str) -> None:
        self._session = session
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}

    async def call(self, method: str, path: str, answer: type[T], body: Any = None, *, status: int = 200) -> T:
        data = None if body is None else msgspec.json.encode(body)
        async with self._session.request(method, self._url + path, data=data, headers=self._headers) as response:
            text = await response.read()
            assert response.status == status, text
        return msgspec.json.decode(text or b"null", type=answer)

    def get(self, path: str) -> Any:
        return self._session.get(yarl.URL(self._url + path, encoded=True), headers=self._headers)

    async def refusal(self, method: str, path: str, body: Any = None, *, status: int) -> str:
        """The kind of problem that a call is refused with."""
        problem = await self.call(method, path, dict[str, Any], body, status=status)
        return str(problem["type"]).rpartition(":")[2]

    async def enter(self, boot: str = "b1", *, user_id: int = 77) -> Welcome:
        """Say hello and open every planned channel."""
        hello = Hello(boot, "0.1.0", telegram_user_id=user_id, premium=True)
        welcome = await self.call("POST", "/v1/workers/hello", Welcome, hello)
        for channel in welcome.channels:
            path = f"/v1/channels/{channel.id}/opened"
            await self.call("POST", path, type(None), ChannelOpened(5000 + channel.id), status=204)
        return welcome

    async def claim(self, request_id: str = "r1", *, boot: str = "b1", wait_s: float = 0.0) -> Lease:
        return await self.call("POST", "/v1/leases", Lease, ClaimRequest(boot, request_id, wait_s))

    async def claim_nothing(self, request_id: str = "r9") -> None:
        await self.call("POST", "/v1/leases", type(None), ClaimRequest("b1", request_id), status=204)

    async def beat(self, lease: Lease) -> Verdict:
        told = BeatRequest("b1", (Progress(lease.lease, Stage.UPLOADING, bytes_done=7),))
        return (await self.call("POST", "/v1/leases/beat", BeatAnswer, told)).leases[0].verdict

    async def settle(self, lease: Lease, outcome: Outcome) -> Settled:
        return await self.call("POST", f"/v1/leases/{lease.lease}/settle", Settled, SettleRequest("b1", outcome))

    async def settle_refused(self, lease: Lease, outcome: Outcome) -> str:
        path = f"/v1/leases/{lease.lease}/settle"
        return await self.refusal("POST", path, SettleRequest("b1", outcome), status=409)


class Stored:
    """A coordinator on a database, with two workers and an operator in front of it."""

    def __init__(self, store: Store, server: CoordinatorServer, ember: Peer, rora: Peer, ada: Peer) -> None:
        self.store = store
        self.server = server
        self.ember = ember
        self.rora = rora
        self.ada = ada

    async def plan(self, *names: str) -> None:
        """Import films, each with two links of one quality."""
        await self._import(*map(film, names))

    async def plan_link(self, name: str, url: str) -> None:
        """Import a film with one link."""
        link = ImportedLink(f"{name}-1", url, Quality.HD, "field")
        plan = PlannedVariant(Quality.HD, (link.cm_id,))
        await self._import(ImportedTitle(f"cm-{name}", TitleKind.MOVIE, name, links=(link,), variants=(plan,)))

    async def _import(self, *titles: ImportedTitle) -> None:
        run = await self.store.intake.begin_import()
        await self.store.intake.import_titles(run.id, titles)
        await self.store.intake.finish_import(run.id, rejected=0)


Opened = Callable[[], AbstractAsyncContextManager[Stored]]


def opened_at(path: Path, clock: Clock) -> Opened:
    """Starts a coordinator on the same database each time."""
    jtis = itertools.count(1)

    @asynccontextmanager
    async def start() -> AsyncIterator[Stored]:
        async with AsyncExitStack() as stack:
            store = await stack.enter_async_context(Store.open(path, clock=clock))
            services = services_over(store, clock)
            server = CoordinatorServer(services)
            await server.start("127.0.0.1", 0)
            stack.push_async_callback(server.stop)
            session = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)))

            async def peer(name: str, scope: Scope) -> Peer:
                token, _ = await services.tokens.issue(name, scope, ttl_s=86_400, jti=f"{name}-{next(jtis)}")
                return Peer(session, server.url, token)

            ember, rora = await peer("cm-ember", Scope.WORKER), await peer("cm-rora", Scope.WORKER)
            yield Stored(store, server, ember, rora, await peer("ada", Scope.OPERATOR))

    return start


def film(name: str) -> ImportedTitle:
    """A film with two links of one quality."""
    links = tuple(
        ImportedLink(f"{name}-{n}", f"http://files.example/{name}-{n}.mp4", Quality.HD, "field") for n in (1, 2)
    )
    planned = PlannedVariant(Quality.HD, tuple(link.cm_id for link in links))
    return ImportedTitle(f"cm-{name}", TitleKind.MOVIE, name, links=links, variants=(planned,))


def done(lease: Lease) -> SettleDone:
    """The report of an upload by the lease's first link."""
    channel_id = lease.channel.telegram_id
    assert channel_id is not None
    sent = ObjectReport(1, 1, channel_id, message_id=10, size_bytes=1000, sha256=64 * "0", duration_s=60.0)
    return SettleDone((sent,), (SourceReport(lease.sources[0].link_id, None, bytes_read=1000),), plan="direct")
