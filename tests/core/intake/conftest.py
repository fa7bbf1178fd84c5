"""A CM on a real socket, a catalogue in memory and a clock that jumps."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from tests.clocks import JumpingClock

from telecine.core.catalogue import ImportCounts, ImportedEpisode, ImportedTitle, ImportRun, ImportState
from telecine.core.config import CmSettings
from telecine.core.emulator.cm.auth import CmCredentials
from telecine.core.emulator.cm.content import CmContent, CmEpisode, CmKind, CmLink, CmTitle
from telecine.core.emulator.cm.service import CM_PREFIX, Cm
from telecine.core.emulator.faults import Faults
from telecine.core.errors import ConflictError, InputError, NotFoundError
from telecine.core.intake.auth import Authentication, authentication
from telecine.core.intake.client import CmClient
from telecine.core.intake.importer import open_session

EMAIL, PASSWORD = "importer@cm.example", "a-very-secret-password"
TOKEN_TTL_MS = 8_000
DEEP = {
    "fields": "*,links.*,episodes.*,episodes.links.*",
    "deep[episodes][_limit]": "-1",
    "deep[links][_limit]": "-1",
    "deep[episodes][links][_limit]": "-1",
    "sort": "id",
}
EMBEDDED = {"path": "/items/titles", "query": DEEP}


class MemoryIntake:
    """A CatalogueIntake that keeps titles by CM id. `refused` holds the names of titles that it does not take."""

    def __init__(self) -> None:
        self.runs: dict[int, ImportRun] = {}
        self.titles: dict[str, ImportedTitle] = {}
        self.batches: list[int] = []
        self.refused: set[str] = set()
        self.before_batch: Callable[[], Awaitable[None]] | None = None
        self.before_finish: Callable[[], Awaitable[None]] | None = None

    async def begin_import(self) -> ImportRun:
        run = ImportRun(id=len(self.runs) + 1, state=ImportState.RUNNING, started_at_ms=1)
        self.runs[run.id] = run
        return run

    async def import_titles(self, import_id: int, titles: Sequence[ImportedTitle]) -> ImportCounts:
        if self.before_batch:
            await self.before_batch()
        for title in titles:
            if title.name in self.refused:
                raise InputError(f"title {title.cm_id} is refused")
        self.batches.append(len(titles))
        before = self.counts()
        self.titles.update({title.cm_id: title for title in titles})
        counts = self._new(titles, before)
        run = self.runs[import_id]
        self.runs[import_id] = msgspec.structs.replace(run, counts=run.counts + counts)
        return counts

    async def finish_import(
        self, import_id: int, *, rejected: int, refused: int = 0, error: str | None = None
    ) -> ImportRun:
        state = ImportState.FAILED if error else ImportState.DONE
        if self.before_finish:
            await self.before_finish()
        run = self.runs[import_id]
        if run.state is not ImportState.RUNNING:
            raise ConflictError(f"import {import_id} is over")
        self.runs[import_id] = msgspec.structs.replace(
            run, state=state, rejected=rejected, refused=refused, error=error, finished_at_ms=2
        )
        return self.runs[import_id]

    async def import_run(self, import_id: int) -> ImportRun:
        if import_id not in self.runs:
            raise NotFoundError(f"no import {import_id}")
        return self.runs[import_id]

    def counts(self) -> ImportCounts:
        return _count(list(self.titles.values()))

    def _new(self, titles: Sequence[ImportedTitle], before: ImportCounts) -> ImportCounts:
        seen, after = _count(titles), self.counts()
        new = {
            f"{word}_new": getattr(after, word) - getattr(before, word)
            for word in ("titles", "episodes", "links", "variants")
        }
        return msgspec.structs.replace(seen, **new)


def _count(titles: Sequence[ImportedTitle]) -> ImportCounts:
    episodes = [episode for title in titles for episode in title.episodes]
    places: list[ImportedTitle | ImportedEpisode] = [*titles, *episodes]
    return ImportCounts(
        titles=len(titles),
        episodes=len(episodes),
        links=sum(len(place.links) for place in places),
        variants=sum(len(place.variants) for place in places),
    )


class CmServer:
    """The emulator's CM on a socket."""

    def __init__(self, cm: Cm, faults: Faults, clock: JumpingClock, url: str) -> None:
        self.cm = cm
        self.faults = faults
        self.clock = clock
        self.url = url

    def count(self, path: str) -> int:
        return self.cm.requests[path]

    def settings(self, **tables: Any) -> CmSettings:
        """Settings as they come out of a file; `tables` replace those of the example."""
        return cm_settings(self.url, **tables)


def cm_settings(base_url: str, **tables: Any) -> CmSettings:
    document: dict[str, Any] = {
        "base_url": base_url,
        "resources": {"titles": EMBEDDED},
        "map": {},
        "auth": jwt_refresh(),
        "paging": {"kind": "offset"},
    }
    return msgspec.convert(document | tables, CmSettings, dec_hook=lambda kind, value: kind(value))


def jwt_refresh(**keys: Any) -> dict[str, Any]:
    return {
        "kind": "jwt_refresh",
        "skew_s": 2,
        "login": {"path": "/auth/login", "body": {"email": EMAIL, "password": PASSWORD, "mode": "json"}},
        "refresh": {"path": "/auth/refresh", "body": {"refresh_token": "{refresh_token}", "mode": "json"}},
        "response": {
            "access_token": "data.access_token",
            "refresh_token": "data.refresh_token",
            "expires_in": "data.expires",
            "expires_unit": "ms",
        },
        "expired": {"status": [401], "code_path": "errors.0.extensions.code", "codes": ["TOKEN_EXPIRED"]},
        **keys,
    }


def film(number: int, *links: CmLink, name: str | None = None) -> CmTitle:
    return CmTitle(id=number, name=name or f"Film {number}", kind=CmKind.MOVIE, year=2001, links=links)


def links(first: int, *qualities: str | None) -> tuple[CmLink, ...]:
    return tuple(
        CmLink(id=number, url=f"https://cdn.example/{number}.mkv", quality=quality)
        for number, quality in enumerate(qualities, first)
    )


def series(number: int, episodes: int, *qualities: str | None) -> CmTitle:
    return CmTitle(
        id=number,
        name=f"Series {number}",
        kind=CmKind.SERIES,
        episodes=tuple(
            CmEpisode(
                id=number * 1000 + n,
                season=1,
                episode=n,
                links=links((number * 1000 + n) * 10, *qualities),
            )
            for n in range(1, episodes + 1)
        ),
    )


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock(1_800_000_000.0)


@pytest.fixture
def intake() -> MemoryIntake:
    return MemoryIntake()


@pytest.fixture
async def cm(clock: JumpingClock) -> AsyncIterator[CmServer]:
    faults = Faults()
    credentials = CmCredentials(email=EMAIL, password=PASSWORD, access_ttl_ms=TOKEN_TTL_MS, static_token="static")
    content = Cm(credentials, faults, clock)
    content.catalogue.replace(
        CmContent(
            titles=(
                film(1, *links(1, "1080p", "720p", None)),
                film(2, *links(4, "2160p")),
                series(3, 2, "720p", "480p"),
            )
        )
    )
    app = web.Application()
    app.add_subapp(CM_PREFIX, content.application())
    async with TestServer(app) as server:
        yield CmServer(content, faults, clock, str(server.make_url(CM_PREFIX)))


Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[[Answering], Awaitable[str]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts a server that answers everything with one function, and tells its URL."""
    servers: list[TestServer] = []

    async def start(answering: Answering) -> str:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answering)
        server = TestServer(app)
        servers.append(server)
        await server.start_server()
        return str(server.make_url("")).rstrip("/")

    yield start
    for server in servers:
        await server.close()


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    return tmp_path / "kept" / "cm-tokens.json"


class Connection:
    """A client of CM with its authentication."""

    def __init__(self, client: CmClient, auth: Authentication) -> None:
        self.client = client
        self.auth = auth

    async def get(self, path: str = "/items/titles") -> object:
        return (await self.client.get(self.client.url(path))).document


@contextlib.asynccontextmanager
async def connect(settings: CmSettings, clock: JumpingClock) -> AsyncIterator[Connection]:
    auth = authentication(settings, clock)
    async with open_session(auth) as session:
        yield Connection(CmClient(settings, session, clock, jitter=lambda: 0.5), auth)
        await auth.aclose()
