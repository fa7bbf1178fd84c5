"""Nobody, whatever they send, gets an answer that the description does not hold.

schemathesis makes requests from `/v1/openapi.json`, right ones and wrong ones, and sends them to a coordinator on a
socket with a real database behind it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.core.coordinator.over_store import services_over

from telecine.core.catalogue import ImportedLink, ImportedTitle, ImportRun, ImportState, PlannedVariant, TitleKind
from telecine.core.clock import SystemClock
from telecine.core.coordinator.app import ROUTES
from telecine.core.coordinator.calls import Route
from telecine.core.coordinator.openapi import describe
from telecine.core.coordinator.server import CoordinatorServer
from telecine.core.coordinator.tokens import Scope, Tokens
from telecine.core.errors import ConflictError
from telecine.core.protocol import ChannelOpened, ClaimRequest, Hello, Lease
from telecine.core.quality import Quality
from telecine.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from schemathesis import Case, CheckContext, Response

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
HEALTHY = (HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large)
BOOT = "b1"
WAIT_S_MAX = 0.01  # a long poll's wait, where the generator asks for a longer one
DOCUMENT = describe(ROUTES, version="0.0.test")
SCHEMA = schemathesis.openapi.from_dict(msgspec.json.decode(DOCUMENT))
OPERATIONS = {operation.label: operation for operation in (found.ok() for found in SCHEMA.get_all_operations())}  # type: ignore[union-attr]


class Caller(enum.StrEnum):
    WORKER = "worker"
    OPERATOR = "operator"
    NOBODY = "nobody"
    STRANGER = "stranger"  # with a token of another coordinator


@dataclasses.dataclass
class Served:
    """A coordinator that runs in a thread of its own, for a generator that knows no event loops."""

    url: str
    headers: dict[Caller, dict[str, str]]
    there: dict[str, str]
    """For each placeholder, something that there is."""
    session: requests.Session = dataclasses.field(default_factory=requests.Session)


class OneImport:
    """An import that began and never ends."""

    def __init__(self) -> None:
        self.began: ImportRun | None = None

    async def start(self) -> ImportRun:
        if self.began is not None:
            raise ConflictError("an import is running")
        self.began = ImportRun(1, ImportState.RUNNING, started_at_ms=0)
        return self.began

    async def run(self, import_id: int) -> ImportRun:
        return ImportRun(import_id, ImportState.DONE, started_at_ms=0, finished_at_ms=1)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    ready: list[Served] = []
    running, stop = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        async with _serving(tmp_path_factory.mktemp("api")) as it:
            ready.append(it)
            running.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert running.wait(10)
    with ready[0].session:
        yield ready[0]
    loops[0].call_soon_threadsafe(stop.set)
    thread.join(10)


@asynccontextmanager
async def _serving(folder: Path) -> AsyncIterator[Served]:
    clock = SystemClock()
    async with Store.open(folder / "telecine.db", clock=clock) as store:
        run = await store.intake.begin_import()
        await store.intake.import_titles(run.id, [_film(number) for number in range(8)])
        await store.intake.finish_import(run.id, rejected=0)
        hello = Hello(BOOT, "0.1.0", telegram_user_id=77, premium=True)
        (channel,) = await store.queue.hello("cm-ember", "cm-ember", hello, channels_wanted=1)
        await store.queue.channel_opened("cm-ember", channel.id, ChannelOpened(4242).telegram_id)
        lease = await store.queue.claim("cm-ember", ClaimRequest(BOOT, "r1"))
        assert lease is not None
        services = dataclasses.replace(services_over(store, clock), imports=OneImport())
        stranger = Tokens("the secret of another coordinator" * 2, clock, store.tokens)
        server = CoordinatorServer(services)
        await server.start("127.0.0.1", 0)
        try:
            yield Served(server.url, await _headers(services.tokens, stranger), _there(lease))
        finally:
            await server.stop()


async def _headers(ours: Tokens, theirs: Tokens) -> dict[Caller, dict[str, str]]:
    worker, _ = await ours.issue("cm-ember", Scope.WORKER, ttl_s=3600, jti="worker")
    operator, _ = await ours.issue("ada", Scope.OPERATOR, ttl_s=3600, jti="operator")
    stranger, _ = await theirs.issue("mallory", Scope.OPERATOR, ttl_s=3600, jti="stranger")
    tokens = {Caller.WORKER: worker, Caller.OPERATOR: operator, Caller.STRANGER: stranger}
    return {caller: {"Authorization": f"Bearer {token}"} for caller, token in tokens.items()} | {Caller.NOBODY: {}}


def _there(lease: Lease) -> dict[str, str]:
    return {
        "id": "1",
        "code": lease.code,
        "lease": lease.lease,
        "jti": "stranger",
        "name": "cm-ember",
        "blake3": 64 * "0",
    }


def _film(number: int) -> ImportedTitle:
    link = ImportedLink(f"link-{number}", f"http://files.example/{number}.mp4", Quality.HD, "field")
    planned = PlannedVariant(Quality.HD, (link.cm_id,))
    return ImportedTitle(f"film-{number}", TitleKind.MOVIE, f"Film {number}", links=(link,), variants=(planned,))


def _aim(case: Case[Any], served: Served) -> None:
    """Let the request be to something that is there."""
    names = served.there | ({"name": "files.example"} if "/hosts/" in case.path else {})
    case.path_parameters.update({name: names.get(name, "1") for name in case.path_parameters})
    if isinstance(case.body, dict) and "boot_id" in case.body:
        case.body["boot_id"] = BOOT


def _bound(case: Case[Any]) -> None:
    """Let no long poll last."""
    body: Any = case.body
    if isinstance(body, dict) and isinstance(body.get("wait_s"), int | float) and 0 <= body["wait_s"] <= 10**9:
        body["wait_s"] = min(body["wait_s"], WAIT_S_MAX)


def wrong_is_refused(ctx: CheckContext, response: Response, case: Case[Any]) -> bool | None:
    """A request that breaks the description is not answered as if it did not."""
    sent = parse_qs(urlsplit(response.request.url or "").query, keep_blank_values=True)
    if not set(case.query or ()) <= sent.keys():
        return None  # what was wrong, such as a parameter that is an empty list, cannot be written in an address
    return negative_data_rejection(ctx, response, case)


def _explore(served: Served, label: str, caller: Caller, mode: GenerationMode, examples: int) -> None:
    """Make `examples` requests, half of them to something that is there."""
    checks = [*CHECKS, wrong_is_refused] if mode is GenerationMode.NEGATIVE else CHECKS

    @seed(1)
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=HEALTHY, print_blob=True)
    @given(case=OPERATIONS[label].as_strategy(generation_mode=mode), to_what_is_there=st.booleans())
    def ask(case: Case[Any], to_what_is_there: bool) -> None:
        _bound(case)
        if to_what_is_there and mode is GenerationMode.POSITIVE:
            _aim(case, served)
        case.call_and_validate(
            base_url=served.url, session=served.session, headers=served.headers[caller], checks=checks, timeout=10
        )

    ask()


def _ends(route: Route, caller: Caller) -> bool:
    """Whether the answer comes to an end: whoever may follow the events follows for ever."""
    return route.path != "/v1/events" or caller is not Caller.OPERATOR


def _reached(route: Route) -> list[Caller]:
    """Who gets as far as the handler."""
    callers = [Caller(scope.value) for scope in sorted(route.scopes)] or [Caller.NOBODY]
    return [caller for caller in callers if _ends(route, caller)]


def _turned_away(route: Route) -> list[Caller]:
    return [caller for caller in Caller if route.scopes and caller not in {Caller(s.value) for s in route.scopes}]


REACHED = [(f"{route.method} {route.path}", caller) for route in ROUTES for caller in _reached(route)]
FALLIBLE = [
    (label, caller) for label, caller in REACHED if caller is not Caller.NOBODY
]  # probes take nothing that could be wrong
TURNED_AWAY = [(f"{route.method} {route.path}", caller) for route in ROUTES for caller in _turned_away(route)]


@pytest.mark.parametrize(("label", "caller"), REACHED)
def test_right_request_is_answered_as_described(served: Served, label: str, caller: Caller) -> None:
    _explore(served, label, caller, GenerationMode.POSITIVE, 25 if "/leases" in label else 6)


@pytest.mark.parametrize(("label", "caller"), FALLIBLE)
def test_wrong_request_is_refused_as_described(served: Served, label: str, caller: Caller) -> None:
    _explore(served, label, caller, GenerationMode.NEGATIVE, 6)


@pytest.mark.parametrize(("label", "caller"), TURNED_AWAY)
def test_whoever_may_not_make_a_call_learns_that_as_described(served: Served, label: str, caller: Caller) -> None:
    _explore(served, label, caller, GenerationMode.POSITIVE, 1)


@pytest.mark.slow
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize(("label", "caller"), FALLIBLE)
def test_many_requests_are_answered_as_described(
    served: Served, label: str, caller: Caller, mode: GenerationMode
) -> None:
    _explore(served, label, caller, mode, 400)
