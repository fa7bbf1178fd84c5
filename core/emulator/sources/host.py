"""A host of source files that behaves, or misbehaves in the ways real ones do.

It serves the files of one folder below `/media/` with ranges, validators and HEAD (RFC 9110), and gives any path
the faults it is told to: dead, slow, stalled, truncated, lying, looping. What was asked of each path is counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from aiohttp import hdrs, web

from telecine.core.clock import Clock
from telecine.core.emulator.sources.answers import (
    Plan,
    ServedFile,
    asked_span,
    chunks_of,
    packed,
    response_to,
    validators,
)
from telecine.core.emulator.sources.faults import SourceFault, SourceFaultKind

CHANGES = frozenset({SourceFaultKind.CHANGING, SourceFaultKind.RESIZED})
HTML_PAGE = (
    b"<!DOCTYPE html><html><head><title>Link expired</title></head><body><h1>This link has expired</h1></body></html>\n"
)


class SourceCount(msgspec.Struct):
    """What was asked of a path so far."""

    requests: int = 0
    head_requests: int = 0
    range_requests: int = 0
    open_requests: int = 0
    most_open_requests: int = 0
    bytes_sent: int = 0


class _Exchange(msgspec.Struct, frozen=True):
    """One request with what goes wrong with it."""

    request: web.Request
    plan: Plan
    count: SourceCount


class SourceHost:
    """Serves `media_dir` (None: nothing but faults) at `/media/{path}`; `on_request` hears of each request counted."""

    def __init__(self, media_dir: Path | None, clock: Clock, *, on_request: Callable[[], None] | None = None) -> None:
        self._on_request = on_request or _tell_nobody
        self._media_dir = media_dir.resolve() if media_dir else None
        self._clock = clock
        self._faults: dict[str, list[SourceFault]] = {}
        self._counts: dict[str, SourceCount] = {}
        self._closing = asyncio.Event()

    def routes(self) -> list[web.RouteDef]:
        """What the HTTP application has to route here."""
        return [web.get("/media/{path:.+}", self._serve)]

    def close(self) -> None:
        """Let stalled requests go."""
        self._closing.set()

    def set_faults(self, path: str, faults: Sequence[SourceFault]) -> None:
        """Replace the faults of a path (relative to `/media/`, decoded); none makes it well again."""
        if faults:
            self._faults[path] = list(faults)
        else:
            self._faults.pop(path, None)

    def faults(self) -> Mapping[str, Sequence[SourceFault]]:
        """The faults in force by path."""
        return {path: list(faults) for path, faults in self._faults.items()}

    def clear_faults(self) -> None:
        """Make every path well again."""
        self._faults.clear()

    def count(self, path: str) -> SourceCount:
        """What was asked of this path so far; live."""
        return self._counts.setdefault(path, SourceCount())

    def counts(self) -> Mapping[str, SourceCount]:
        """What was asked so far, by path."""
        return dict(self._counts)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        with _Open(self.count(path), request) as count:
            self._on_request()
            exchange = _Exchange(request, self._plan(path, count), count)
            refusal = _redirect(exchange) or _crowd_refusal(exchange) or _refusal(exchange)
            return refusal or await self._serve_file(exchange, self._file(path, exchange.plan))

    def _plan(self, path: str, count: SourceCount) -> Plan:
        standing = self._faults.get(path, [])
        changing = next((fault for fault in standing if fault.kind in CHANGES), None)
        version = max(0, count.requests - changing.after_requests) if changing else 0
        self.set_faults(path, [left for fault in standing if (left := _after_one_more(fault))])
        return Plan(faults={fault.kind: fault for fault in standing}, version=version)

    def _file(self, path: str, plan: Plan) -> ServedFile:
        file = (self._media_dir / path).resolve() if self._media_dir else None
        if file is None or not file.is_relative_to(self._media_dir or "") or not file.is_file():
            raise web.HTTPNotFound
        stat = file.stat()
        shrunk = plan.version if SourceFaultKind.RESIZED in plan else 0
        return ServedFile(file, max(0, stat.st_size - shrunk), stat.st_mtime_ns)

    async def _serve_file(self, exchange: _Exchange, file: ServedFile) -> web.StreamResponse:
        if SourceFaultKind.COMPRESSED in exchange.plan:
            return packed(file)
        headers = validators(file, exchange.plan)
        span = asked_span(exchange.request, exchange.plan, headers, file.size)
        if span is None:
            return web.Response(status=416, headers={hdrs.CONTENT_RANGE: f"bytes */{file.size}"})
        response = response_to(file, headers, span, exchange.plan)
        await response.prepare(exchange.request)
        if exchange.request.method != hdrs.METH_HEAD:
            await self._send(exchange, response, chunks_of(file.path, span, exchange.plan))
        return response

    async def _send(self, exchange: _Exchange, response: web.StreamResponse, chunks: Iterator[bytes]) -> None:
        plan = exchange.plan
        slow = plan.get(SourceFaultKind.SLOW)
        for chunk in chunks:
            if slow:
                await self._clock.sleep(len(chunk) / slow.bytes_per_s)
            await response.write(chunk)
            exchange.count.bytes_sent += len(chunk)
        if SourceFaultKind.STALL in plan:
            await self._closing.wait()
        if exchange.request.transport and plan.ends_abruptly():
            exchange.request.transport.close()


def _tell_nobody() -> None:
    """A host that stands alone."""


class _Open:
    """Counts a request when it comes and keeps the number of open ones right, whatever becomes of it."""

    def __init__(self, count: SourceCount, request: web.Request) -> None:
        self._count = count
        count.requests += 1
        count.head_requests += request.method == hdrs.METH_HEAD
        count.range_requests += hdrs.RANGE in request.headers

    def __enter__(self) -> SourceCount:
        self._count.open_requests += 1
        self._count.most_open_requests = max(self._count.most_open_requests, self._count.open_requests)
        return self._count

    def __exit__(self, *_: object) -> None:
        self._count.open_requests -= 1


def _after_one_more(fault: SourceFault) -> SourceFault | None:
    if fault.count is None:
        return fault
    return msgspec.structs.replace(fault, count=fault.count - 1) if fault.count > 1 else None


def _redirect(exchange: _Exchange) -> web.Response | None:
    """An answer that sends the client elsewhere."""
    if SourceFaultKind.REDIRECT_LOOP in exchange.plan:
        hops = exchange.request.query.get("hop", "")
        location = str(exchange.request.rel_url.with_query(hop=int(hops) + 1 if hops.isdecimal() else 1))
    elif fault := exchange.plan.get(SourceFaultKind.REDIRECT):
        location = fault.location
    else:
        return None
    return web.Response(status=302, headers={hdrs.LOCATION: location})


def _crowd_refusal(exchange: _Exchange) -> web.Response | None:
    """What a host answers that wants to be asked for one thing at a time."""
    fault = exchange.plan.get(SourceFaultKind.CROWDED)
    if fault is None or exchange.count.open_requests == 1:
        return None
    if not fault.crowd_status and exchange.request.transport:
        exchange.request.transport.abort()
    return web.Response(status=fault.crowd_status or 503)


def _refusal(exchange: _Exchange) -> web.Response | None:
    """The whole answer, where the fault leaves no file to send."""
    plan = exchange.plan
    if fault := plan.get(SourceFaultKind.DEAD):
        return web.Response(status=fault.status, text=f"{fault.status}\n")
    if fault := plan.get(SourceFaultKind.RATE_LIMITED):
        return web.Response(status=429, headers={hdrs.RETRY_AFTER: str(fault.retry_after_s)})
    if SourceFaultKind.NO_HEAD in plan and exchange.request.method == hdrs.METH_HEAD:
        return web.Response(status=405, headers={hdrs.ALLOW: hdrs.METH_GET})
    if SourceFaultKind.HTML_PAGE in plan:
        return web.Response(body=HTML_PAGE, content_type="text/html")
    return None


@asynccontextmanager
async def serve_sources(
    media_dir: Path, clock: Clock, host: str = "127.0.0.1"
) -> AsyncIterator[tuple[SourceHost, str]]:
    """A source host alone on a free port; yields it and the URL below which its files are."""
    sources = SourceHost(media_dir, clock)
    app = web.Application()
    app.add_routes(sources.routes())
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(runner, host, 0)
    try:
        await site.start()
        address = runner.addresses[0]
        yield sources, f"http://{address[0]}:{address[1]}/media"
    finally:
        sources.close()
        await runner.cleanup()
