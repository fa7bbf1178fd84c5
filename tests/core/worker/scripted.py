"""A coordinator that does as a test tells it."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable
from time import monotonic

import msgspec
from aiohttp import web

from telecine.core.catalogue import StoredObject, VariantDetail
from telecine.core.errors import ConflictError, LeaseLostError, NotFoundError, TelecineError
from telecine.core.leases import VariantState
from telecine.core.protocol import (
    PROBLEM_TYPE,
    BeatAnswer,
    BeatRequest,
    ChannelLost,
    ChannelOpened,
    ChannelRef,
    ClaimRequest,
    Hello,
    Lease,
    LeaseVerdict,
    ObjectReport,
    Outcome,
    Problem,
    Settled,
    SettleDone,
    SettleFloodWait,
    SettleRequest,
    SourceRef,
    Verdict,
    Welcome,
)
from telecine.core.quality import Quality

TOKEN = "worker-token"
BOT_USERNAME = "telecine_bot"


class Coordinator:
    """Speaks the coordination API, hands out what is put into it, and remembers what it hears."""

    def __init__(self) -> None:
        self.url = ""
        self.channels = [ChannelRef(1, "CM_C000001"), ChannelRef(2, "CM_C000002")]
        self.bot_username: str | None = BOT_USERNAME
        self.ttl_s = 60.0
        self.drain = False
        self.pause = False
        self.leases: deque[Lease] = deque()
        self.live: dict[str, Lease] = {}
        self.verdicts: dict[str, Verdict] = {}
        self.settled: dict[str, Outcome] = {}
        self.objects: dict[str, tuple[ObjectReport, ...]] = {}
        self.hellos: list[Hello] = []
        self.claims: list[ClaimRequest] = []
        self.lost: list[tuple[int, str]] = []  # channel and detail
        self.beats: list[BeatRequest] = []
        self.trouble: deque[tuple[str, int]] = deque()  # (path's end, status): answered instead, once each
        self.pages: deque[tuple[str, int]] = deque()  # the same, by a proxy that answers in its place
        self.lost_replies: deque[str] = deque()  # path's end: carried out, then the connection drops
        self.silences: deque[str] = deque()  # path's end: carried out, then nothing comes until the caller hangs up
        self.paused = asyncio.Event()
        self.paused.set()
        self._changed = asyncio.Condition()
        self._offered = asyncio.Event()
        self._fences = itertools.count(1)
        self._given: dict[str, str] = {}  # request id: lease
        self._sends_from_s = monotonic()

    # ---- for tests ---------------------------------------------------------------------------------

    def put(
        self,
        code: str,
        *urls: str,
        quality: Quality = Quality.TINY,
        runtime_s: int | None = None,
        waited_s: float = 0.0,
        sends_parked_s: float | None = None,
    ) -> Lease:
        """Have the next claim answered with a lease of `code`; `sends_parked_s`: parks messages before."""
        if sends_parked_s is not None:
            self.park_sends(sends_parked_s)
        fence = next(self._fences)
        lease = Lease(
            lease=f"1.{fence}.1",
            code=code,
            quality=quality,
            generation=0,
            ttl_s=self.ttl_s,
            channel=self.channels[0],
            sources=tuple(SourceRef(fence * 100 + i, url, i) for i, url in enumerate(urls)),
            runtime_s=runtime_s,
            waited_s=waited_s,
        )
        self.leases.append(lease)
        self._offered.set()
        return lease

    def park_sends(self, seconds: float) -> None:
        """Have the account send nothing for so long from now on."""
        self._sends_from_s = monotonic() + seconds

    @property
    def sends_parked_s(self) -> float:
        return max(0.0, self._sends_from_s - monotonic())

    async def until(self, condition: Callable[[], object], timeout_s: float = 30.0) -> None:
        """Wait until something that was heard makes `condition` true."""
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(lambda: bool(condition()))

    async def settlement(self, lease: Lease, timeout_s: float = 30.0) -> Outcome:
        """Wait for a lease's outcome."""
        await self.until(lambda: lease.lease in self.settled, timeout_s)
        return self.settled[lease.lease]

    def lose(self, lease: Lease) -> None:
        """Take a lease back."""
        self.live.pop(lease.lease, None)

    # ---- the API -----------------------------------------------------------------------------------

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._front])
        app.router.add_post("/v1/workers/hello", self._hello)
        app.router.add_post("/v1/channels/{id}/opened", self._opened)
        app.router.add_post("/v1/channels/{id}/lost", self._lost)
        app.router.add_post("/v1/leases", self._claim)
        app.router.add_post("/v1/leases/beat", self._beat)
        app.router.add_post("/v1/leases/{lease}/settle", self._settle)
        app.router.add_get("/v1/variants/{code}", self._variant)
        return app

    @web.middleware
    async def _front(self, request: web.Request, handler: Callable[..., object]) -> web.StreamResponse:
        await self.paused.wait()
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return _problem(401, "unauthorized", "no token that holds")
        if self.trouble and request.path.endswith(self.trouble[0][0]):
            return _problem(self.trouble.popleft()[1], "error", "trouble")
        if self.pages and request.path.endswith(self.pages[0][0]):
            return web.Response(status=self.pages.popleft()[1], text="<h1>Host error</h1>", content_type="text/html")
        try:
            answer = await handler(request)  # type: ignore[misc]
        except TelecineError as error:
            answer = _problem(error.http_status, error.code, error.message)
        async with self._changed:
            self._changed.notify_all()
        if self.lost_replies and request.path.endswith(self.lost_replies[0]):
            self.lost_replies.popleft()
            assert request.transport is not None
            request.transport.abort()
        if self.silences and request.path.endswith(self.silences[0]):
            self.silences.popleft()
            await asyncio.Event().wait()
        assert isinstance(answer, web.StreamResponse)
        return answer

    async def _hello(self, request: web.Request) -> web.Response:
        self.hellos.append(msgspec.json.decode(await request.read(), type=Hello))
        self.live.clear()
        return _json(Welcome("ember", "ember", self.ttl_s, self.bot_username, tuple(self.channels)))

    async def _opened(self, request: web.Request) -> web.Response:
        told = msgspec.json.decode(await request.read(), type=ChannelOpened)
        for index, ref in enumerate(self.channels):
            if ref.id == int(request.match_info["id"]):
                if ref.telegram_id not in (None, told.telegram_id):
                    raise ConflictError("open under another id")
                self.channels[index] = msgspec.structs.replace(ref, telegram_id=told.telegram_id)
        return web.Response(status=204)

    async def _lost(self, request: web.Request) -> web.Response:
        told = msgspec.json.decode(await request.read(), type=ChannelLost)
        channel_id = int(request.match_info["id"])
        self.lost.append((channel_id, told.detail))
        self.channels = [ref for ref in self.channels if ref.id != channel_id]
        return web.Response(status=204)

    async def _claim(self, request: web.Request) -> web.Response:
        claim = msgspec.json.decode(await request.read(), type=ClaimRequest)
        self.claims.append(claim)
        async with self._changed:
            self._changed.notify_all()
        given = self.live.get(self._given.get(claim.request_id, ""))
        if given is not None:
            return _json(given)
        try:
            async with asyncio.timeout(claim.wait_s):
                while not self.leases:
                    self._offered.clear()
                    await self._offered.wait()
        except TimeoutError:
            return web.Response(status=204)
        lease = msgspec.structs.replace(
            self.leases.popleft(), channel=self.channels[0], sends_parked_s=self.sends_parked_s
        )
        self.live[lease.lease] = lease
        self._given[claim.request_id] = lease.lease
        return _json(lease)

    async def _beat(self, request: web.Request) -> web.Response:
        beat = msgspec.json.decode(await request.read(), type=BeatRequest)
        self.beats.append(beat)
        verdicts = tuple(
            LeaseVerdict(
                one.lease,
                self.verdicts.get(one.lease, Verdict.GO_ON) if one.lease in self.live else Verdict.LOST,
                self.ttl_s,
            )
            for one in beat.leases
        )
        return _json(BeatAnswer(verdicts, drain=self.drain, pause=self.pause, sends_parked_s=self.sends_parked_s))

    async def _settle(self, request: web.Request) -> web.Response:
        lease = request.match_info["lease"]
        outcome = msgspec.json.decode(await request.read(), type=SettleRequest).outcome
        if lease in self.settled:
            return _json(Settled("", VariantState.DONE, repeated=True))
        if lease not in self.live:
            raise LeaseLostError("not yours")
        if isinstance(outcome, SettleDone) and self.verdicts.get(lease) is Verdict.CANCEL:
            raise LeaseLostError("cancelled")
        code = self.live.pop(lease).code
        self.settled[lease] = outcome
        if isinstance(outcome, SettleFloodWait) and not outcome.request.startswith("upload."):
            self.park_sends(outcome.wait_s)
        if isinstance(outcome, SettleDone):
            self.objects[code] = outcome.objects
        return _json(Settled(code, VariantState.DONE))

    async def _variant(self, request: web.Request) -> web.Response:
        code = request.match_info["code"]
        if code == "CM_M999999_720P":
            raise NotFoundError("no such variant")
        stored = tuple(
            StoredObject(
                part_no=one.part_no,
                part_count=one.part_count,
                channel_id=one.channel_id,
                message_id=one.message_id,
                account="ember",
                size_bytes=one.size_bytes,
                duration_s=one.duration_s,
                sha256=one.sha256,
            )
            for one in self.objects.get(code, ())
        )
        state = VariantState.DONE if stored else VariantState.READY
        return _json(VariantDetail(code, 1, None, Quality.AUTO, state, 0, 0, 0, None, (), stored))


def _json(message: msgspec.Struct) -> web.Response:
    return web.Response(body=msgspec.json.encode(message), content_type="application/json")


def _problem(status: int, code: str, detail: str) -> web.Response:
    problem = Problem(PROBLEM_TYPE + code, code, status, detail)
    return web.Response(status=status, body=msgspec.json.encode(problem), content_type="application/problem+json")
