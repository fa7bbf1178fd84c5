"""A host of source files that behaves, or misbehaves in the ways real ones do.

It serves the files of one folder below `/media/` with ranges, validators and HEAD (RFC 9110), and gives any path
the faults it is told to: dead, slow, stalled, truncated, lying, looping. What was asked of each path is counted.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path

import msgspec
from aiohttp import hdrs, web

from telecine.core.clock import Clock
from telecine.core.emulator.sources.faults import SourceFault, SourceFaultKind

CHUNK_BYTES = 256 * 1024

CONTENT_TYPES = {
    ".avi": "video/x-msvideo",
    ".html": "text/html",
    ".m4v": "video/x-m4v",
    ".mkv": "video/x-matroska",
    ".mov": "video/quicktime",
    ".mp4": "video/mp4",
    ".ts": "video/mp2t",
    ".webm": "video/webm",
}
"""Spelled out because the system's own table differs from machine to machine."""

HTML_PAGE = (
    b"<!DOCTYPE html><html><head><title>Link expired</title></head><body><h1>This link has expired</h1></body></html>\n"
)


class SourceCount(msgspec.Struct):
    """What was asked of a path so far."""

    requests: int = 0
    head_requests: int = 0
    range_requests: int = 0
    open_requests: int = 0
    bytes_sent: int = 0


class _Span(msgspec.Struct, frozen=True):
    """The bytes of a file to send, and whether they answer a range."""

    start: int
    length: int
    size: int
    partial: bool


class _Plan(msgspec.Struct, frozen=True):
    """The faults that one request meets."""

    faults: Mapping[SourceFaultKind, SourceFault]
    version: int

    def get(self, kind: SourceFaultKind) -> SourceFault | None:
        return self.faults.get(kind)

    def __contains__(self, kind: SourceFaultKind) -> bool:
        return kind in self.faults

    def ends_abruptly(self) -> bool:
        """Whether the connection has to go after the body, because less or more was declared than is sent."""
        return not self.faults.keys().isdisjoint(
            (SourceFaultKind.STALL, SourceFaultKind.TRUNCATED, SourceFaultKind.LYING_LENGTH)
        )


class _File(msgspec.Struct, frozen=True):
    """A file to serve."""

    path: Path
    size: int
    mtime_ns: int


class _Exchange(msgspec.Struct, frozen=True):
    """One request with what goes wrong with it."""

    request: web.Request
    plan: _Plan
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
            refusal = _redirect(exchange) or _refusal(exchange)
            return refusal or await self._serve_file(exchange, self._file(path))

    def _plan(self, path: str, count: SourceCount) -> _Plan:
        standing = self._faults.get(path, [])
        changing = next((fault for fault in standing if fault.kind is SourceFaultKind.CHANGING), None)
        version = max(0, count.requests - changing.after_requests) if changing else 0
        self.set_faults(path, [left for fault in standing if (left := _after_one_more(fault))])
        return _Plan(faults={fault.kind: fault for fault in standing}, version=version)

    def _file(self, path: str) -> _File:
        file = (self._media_dir / path).resolve() if self._media_dir else None
        if file is None or not file.is_relative_to(self._media_dir or "") or not file.is_file():
            raise web.HTTPNotFound
        stat = file.stat()
        return _File(file, stat.st_size, stat.st_mtime_ns)

    async def _serve_file(self, exchange: _Exchange, file: _File) -> web.StreamResponse:
        headers = _validators(file, exchange.plan.version)
        span = _span(exchange, headers, file.size)
        if span is None:
            return web.Response(status=416, headers={hdrs.CONTENT_RANGE: f"bytes */{file.size}"})
        response = _response(file, headers, span, exchange.plan)
        await response.prepare(exchange.request)
        if exchange.request.method != hdrs.METH_HEAD:
            await self._send(exchange, response, _chunks(file.path, span, exchange.plan))
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


def _validators(file: _File, version: int) -> dict[str, str]:
    identity = f"{file.path.name}:{file.size}:{file.mtime_ns}:{version}"
    return {
        hdrs.ETAG: f'"{hashlib.blake2b(identity.encode(), digest_size=8).hexdigest()}"',
        hdrs.LAST_MODIFIED: formatdate(file.mtime_ns // 1_000_000_000 + version, usegmt=True),
    }


def _span(exchange: _Exchange, validators: Mapping[str, str], size: int) -> _Span | None:
    """What to send; None where the range lies outside the file."""
    whole = _Span(0, size, size, partial=False)
    if SourceFaultKind.NO_RANGES in exchange.plan or SourceFaultKind.NO_LENGTH in exchange.plan:
        return whole
    condition = exchange.request.headers.get(hdrs.IF_RANGE)
    if condition is not None and condition not in validators.values():
        return whole
    try:
        asked = exchange.request.http_range
    except ValueError:
        return whole  # RFC 9110, 14.2: a Range that is not understood is ignored
    if asked.start is None and asked.stop is None:
        return whole
    start, stop, _ = asked.indices(size)
    return _Span(start, stop - start, size, partial=True) if start < stop else None


def _response(file: _File, headers: Mapping[str, str], span: _Span, plan: _Plan) -> web.StreamResponse:
    response = web.StreamResponse(status=206 if span.partial else 200, headers=headers)
    lie = plan.get(SourceFaultKind.LYING_TYPE)
    response.content_type = lie.content_type if lie else _content_type(file.path)
    if SourceFaultKind.NO_LENGTH in plan:
        response.enable_chunked_encoding()
        return response
    if SourceFaultKind.NO_RANGES not in plan:
        response.headers[hdrs.ACCEPT_RANGES] = "bytes"
    length = plan.get(SourceFaultKind.LYING_LENGTH)
    response.content_length = length.content_length if length and not span.partial else span.length
    if span.partial:
        last = span.start + span.length - 1
        response.headers[hdrs.CONTENT_RANGE] = f"bytes {span.start}-{last}/{span.size}"
    return response


def _content_type(file: Path) -> str:
    return CONTENT_TYPES.get(file.suffix.lower(), "application/octet-stream")


def _chunks(file: Path, span: _Span, plan: _Plan) -> Iterator[bytes]:
    """The bytes of a span as far as the faults let it come."""
    cut = plan.get(SourceFaultKind.STALL) or plan.get(SourceFaultKind.TRUNCATED)
    slow = plan.get(SourceFaultKind.SLOW)
    left = min(span.length, cut.after_bytes) if cut else span.length
    chunk_bytes = min(CHUNK_BYTES, max(1, slow.bytes_per_s // 10)) if slow else CHUNK_BYTES
    with file.open("rb") as stream:
        stream.seek(span.start)
        while left > 0 and (chunk := stream.read(min(chunk_bytes, left))):
            left -= len(chunk)
            yield _altered(chunk, plan.version)


def _altered(chunk: bytes, version: int) -> bytes:
    """Other bytes of the same length for another version of a file."""
    if not version:
        return chunk
    shift = version % 255 + 1
    return chunk.translate(bytes((value + shift) % 256 for value in range(256)))


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
