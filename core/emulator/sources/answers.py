"""What a source host answers about a file, and what the faults make of it."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator, Mapping
from email.utils import formatdate
from pathlib import Path

import msgspec
from aiohttp import hdrs, web

from telecine.core.emulator.sources.faults import SourceFault, SourceFaultKind

CHUNK_BYTES = 256 * 1024

CONTENT_TYPES = {
    ".avi": "video/x-msvideo",
    ".html": "text/html",
    ".m3u8": "application/vnd.apple.mpegurl",
    ".m4s": "video/iso.segment",
    ".m4v": "video/x-m4v",
    ".mkv": "video/x-matroska",
    ".mov": "video/quicktime",
    ".mp4": "video/mp4",
    ".ts": "video/mp2t",
    ".webm": "video/webm",
}
"""Spelled out because the system's own table differs from machine to machine."""


class Span(msgspec.Struct, frozen=True):
    """The bytes of a file to send, and whether they answer a range."""

    start: int
    length: int
    size: int
    partial: bool


class Plan(msgspec.Struct, frozen=True):
    """The faults that one request meets."""

    faults: Mapping[SourceFaultKind, SourceFault]
    version: int

    def get(self, kind: SourceFaultKind) -> SourceFault | None:
        """The fault of a kind, if it is met."""
        return self.faults.get(kind)

    def __contains__(self, kind: SourceFaultKind) -> bool:
        return kind in self.faults

    def ends_abruptly(self) -> bool:
        """Whether the connection has to go after the body, because less or more was declared than is sent."""
        return not self.faults.keys().isdisjoint(
            (SourceFaultKind.STALL, SourceFaultKind.TRUNCATED, SourceFaultKind.LYING_LENGTH)
        )


class ServedFile(msgspec.Struct, frozen=True):
    """A file to serve."""

    path: Path
    size: int
    mtime_ns: int


def validators(file: ServedFile, plan: Plan) -> dict[str, str]:
    """The headers that tell one version of a file from another."""
    if SourceFaultKind.NO_VALIDATORS in plan:
        return {}
    identity = f"{file.path.name}:{file.size}:{file.mtime_ns}:{plan.version}"
    return {
        hdrs.ETAG: f'"{hashlib.blake2b(identity.encode(), digest_size=8).hexdigest()}"',
        hdrs.LAST_MODIFIED: formatdate(file.mtime_ns // 1_000_000_000 + plan.version, usegmt=True),
    }


def asked_span(request: web.Request, plan: Plan, headers: Mapping[str, str], size: int) -> Span | None:
    """What to send; None where the range lies outside the file."""
    whole = Span(0, size, size, partial=False)
    if SourceFaultKind.NO_RANGES in plan or SourceFaultKind.NO_LENGTH in plan:
        return whole
    condition = request.headers.get(hdrs.IF_RANGE)
    if condition is not None and condition not in headers.values():
        return whole
    try:
        asked = request.http_range
    except ValueError:
        return whole  # RFC 9110, 14.2: a Range that is not understood is ignored
    if asked.start is None and asked.stop is None:
        return whole
    start, stop, _ = asked.indices(size)
    return Span(start, stop - start, size, partial=True) if start < stop else None


def response_to(file: ServedFile, headers: Mapping[str, str], span: Span, plan: Plan) -> web.StreamResponse:
    """The head of an answer that brings bytes of a file."""
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
        first = span.start + (SourceFaultKind.WRONG_RANGE in plan and span.start > 0)
        response.headers[hdrs.CONTENT_RANGE] = f"bytes {first}-{first + span.length - 1}/{span.size}"
    return response


def _content_type(file: Path) -> str:
    return CONTENT_TYPES.get(file.suffix.lower(), "application/octet-stream")


def chunks_of(file: Path, span: Span, plan: Plan) -> Iterator[bytes]:
    """The bytes of a span as far as the faults let it come."""
    cut = plan.get(SourceFaultKind.STALL) or plan.get(SourceFaultKind.TRUNCATED)
    slow = plan.get(SourceFaultKind.SLOW)
    left = min(span.length, cut.after_bytes) if cut else span.length
    chunk_bytes = min(CHUNK_BYTES, max(1, slow.bytes_per_s // 10)) if slow else CHUNK_BYTES
    version = plan.version if SourceFaultKind.CHANGING in plan else 0
    with file.open("rb") as stream:
        stream.seek(span.start)
        while left > 0 and (chunk := stream.read(min(chunk_bytes, left))):
            left -= len(chunk)
            yield _altered(chunk, version)


def packed(file: ServedFile) -> web.Response:
    """All of a file, packed."""
    body = gzip.compress(file.path.read_bytes(), mtime=0)
    return web.Response(body=body, headers={hdrs.CONTENT_ENCODING: "gzip"}, content_type=_content_type(file.path))


def _altered(chunk: bytes, version: int) -> bytes:
    """Other bytes of the same length for another version of a file."""
    if not version:
        return chunk
    shift = version % 255 + 1
    return chunk.translate(bytes((value + shift) % 256 for value in range(256)))
