"""CM over HTTP, in the shapes of Directus: sign-in below `/auth`, collections below `/items`.

Measured on Directus 11.3.5: `expires` is in milliseconds, a refresh token dies with its first use, what is
unknown or unsigned is 403 FORBIDDEN and never 404, and a page behind the end is an empty list.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import msgspec
from aiohttp import hdrs, web

from telecine.core.clock import Clock
from telecine.core.emulator.cm.auth import CmAuth, CmAuthState, CmCredentials, CmTokens
from telecine.core.emulator.cm.content import CmCatalogue, CmContent, Table
from telecine.core.emulator.cm.query import Projection, parse_query, run_query
from telecine.core.emulator.cm.refusals import (
    FORBIDDEN,
    ROUTE_NOT_FOUND,
    CmRefusalError,
    invalid_payload,
    planned_refusal,
)
from telecine.core.emulator.faults import Faults
from telecine.core.errors import StoreError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

CM_PREFIX = "/cm"
"""Where the emulator mounts CM; its own paths and those of faults begin behind it."""

STATE_FILE = "cm.json"


class CmState(msgspec.Struct):
    """What of a CM outlives a restart."""

    content: CmContent
    auth: CmAuthState


class _Login(msgspec.Struct):
    email: str
    password: str
    mode: str = "json"


class _Refresh(msgspec.Struct):
    refresh_token: str
    mode: str = "json"


class Cm:
    """One CM: its catalogue, its sign-in, its HTTP face."""

    def __init__(
        self,
        credentials: CmCredentials,
        faults: Faults,
        clock: Clock,
        *,
        media_url: Callable[[], str] = str,
        data_dir: Path | None = None,
    ) -> None:
        self._faults = faults
        self._clock = clock
        self._media_url = media_url
        self._file = data_dir / STATE_FILE if data_dir else None
        state = self._load()
        self.auth = CmAuth(credentials, clock, state.auth if state else None)
        self.catalogue = CmCatalogue(clock, state.content if state else None)
        self.catalogue.on_change = self.save
        self.restored = state is not None
        """Whether the content comes from an earlier run."""
        self.requests: Counter[str] = Counter()
        """How often each path was called, refused calls included."""

    def application(self) -> web.Application:
        """The HTTP application, to be mounted where CM's base URL is."""
        app = web.Application(middlewares=[self._answer_refusals])
        app.add_routes(
            [
                web.post("/auth/login", self._login),
                web.post("/auth/refresh", self._refresh),
                web.post("/auth/logout", self._logout),
                web.get("/items/{table}", self._read_many),
                web.get("/items/{table}/{id}", self._read_one),
            ]
        )
        return app

    def save(self) -> None:
        """Write the state beside the world's, whole or not at all; nothing to do for a CM in memory."""
        if self._file is None:
            return
        scratch = self._file.with_suffix(".partial")
        scratch.write_bytes(msgspec.json.encode(CmState(self.catalogue.content(), self.auth.state)))
        scratch.replace(self._file)

    def _load(self) -> CmState | None:
        if self._file is None or not self._file.exists():
            return None
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=CmState)
        except (msgspec.DecodeError, OSError) as error:
            raise StoreError(f"{self._file} is not a state of CM: {error}") from error

    @web.middleware
    async def _answer_refusals(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            await self._meet_faults(request)
            return await handler(request)
        except CmRefusalError as error:
            return _refused(error)
        except web.HTTPNotFound:
            return _refused(CmRefusalError(ROUTE_NOT_FOUND))

    async def _meet_faults(self, request: web.Request) -> None:
        path = request.path.removeprefix(CM_PREFIX)
        self.requests[path] += 1
        if delay_s := self._faults.take_cm_delay_s(path):
            await self._clock.sleep(delay_s)
        if fault := self._faults.take_cm_error(path):
            raise planned_refusal(fault.status, fault.retry_after_s)

    async def _login(self, request: web.Request) -> web.Response:
        login = await _body(request, _Login)
        return self._issued(self.auth.login(login.email, login.password))

    async def _refresh(self, request: web.Request) -> web.Response:
        refresh = await _body(request, _Refresh)
        return self._issued(self.auth.refresh(refresh.refresh_token))

    async def _logout(self, request: web.Request) -> web.Response:
        refresh = await _body(request, _Refresh)
        self.auth.logout(refresh.refresh_token)
        self.save()
        return web.Response(status=204)

    def _issued(self, tokens: CmTokens) -> web.Response:
        self.save()
        return _json({"data": tokens})

    async def _read_many(self, request: web.Request) -> web.Response:
        table = self._permitted_table(request)
        query = parse_query(table, request.query.items(), self.catalogue)
        page = run_query(table, query, self.catalogue, self._media_url())
        body: dict[str, object] = {"data": page.data}
        counts = {"filter_count": page.filter_count, "total_count": page.total_count}
        meta = {name: count for name, count in counts.items() if query.meta & {name, "*"}}
        return _json(body | {"meta": meta} if meta else body)

    async def _read_one(self, request: web.Request) -> web.Response:
        table = self._permitted_table(request)
        query = parse_query(table, request.query.items(), self.catalogue)
        row_id = request.match_info["id"]
        row = self.catalogue.row(table, int(row_id)) if row_id.isdecimal() else None
        if row is None:
            raise CmRefusalError(FORBIDDEN)
        projection = Projection(self.catalogue, self._media_url())
        return _json({"data": projection.record(table, row, query.fields, query.deep)})

    def _permitted_table(self, request: web.Request) -> Table:
        scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise CmRefusalError(FORBIDDEN)
        self.auth.verify(token.strip())
        name = request.match_info["table"]
        if name not in set(Table):
            raise CmRefusalError(FORBIDDEN)
        return Table(name)


BodyT = TypeVar("BodyT", bound=msgspec.Struct)


async def _body(request: web.Request, kind: type[BodyT]) -> BodyT:
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except msgspec.DecodeError as error:
        raise invalid_payload(str(error)) from error


def _refused(error: CmRefusalError) -> web.Response:
    response = _json(error.refusal.body(), status=error.refusal.status)
    if error.refusal.retry_after_s is not None:
        response.headers[hdrs.RETRY_AFTER] = str(error.refusal.retry_after_s)
    return response


def _json(body: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")
